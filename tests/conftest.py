"""Shared by the tests: reproducible examples, the backends, and if kernels are compiled here.

pytest                                       the backends "reference" and "cpu", and everything that needs no GPU
pytest --backend cuda                        the tests of the operations, and of the GPU itself, on a GPU
pytest --backend cuda --emulated-gpu         the same without a GPU: compiled, and interpreted; needs numba-cuda
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from backends import JIT, Backend
from hypothesis import HealthCheck, Phase, settings

HOST = ("reference", "cpu")

REPEATED = ("bestiary", "dojo", "gradcheck")
"""Folders with tests of one kind for every exercise or known mistake. They compile nothing."""

PLAIN = (
    *(*REPEATED, "explorer", "tracing"),
    *("test_command.py", "test_console.py", "test_docs.py", "test_files.py", "test_fuzz.py", "test_geometry.py"),
    *("test_house.py", "test_images.py", "test_main.py", "test_notation.py", "test_numbers.py", "test_pictures.py"),
    *("test_strategies.py", "test_teaching.py", "test_augment.py", "test_checkpoint.py", "test_contents.py"),
    *("test_folder.py", "test_idx.py", "test_kinds.py", "test_labels.py", "test_refusals.py", "test_rendered.py"),
    *("test_site.py", "test_terms.py", "test_torch_file.py", "test_tree.py", "test_exchange.py", "test_link.py"),
    *("test_hybrid.py", "test_linked_training.py", "test_processes.py", "test_scaling.py"),
    *("test_agreement.py", "test_together.py"),
    *("test_defaults.py", "test_progress.py"),
    *("test_schemes_picture.py", "test_task_counts.py", "test_team.py", "test_matrix.py", "test_matrix_picture.py"),
)
"""Folders and files whose tests have nothing to do with the compiler: ``-m "not plain"`` leaves them to the run without
it."""

THINNED = 4
"""With --few-examples one of so many runs of the parametrised tests in REPEATED."""

# Derandomised: the same examples in every run. No deadline: the first example of a kernel compiles it. On a GPU a test
# has fewer: each example waits for the GPU, and the emulated one interprets every thread. A mutant needs a failure, and
# no small one.
PHASES = (Phase.explicit, Phase.generate) if os.environ.get("MUTANT") else tuple(Phase)
for name, examples in {"compiled": 200, "plain": 60, "cuda": 25, "emulated": 12, "few": 10}.items():
    settings.register_profile(
        name,
        derandomize=True,
        deadline=None,
        max_examples=examples,
        phases=PHASES,
        suppress_health_check=[HealthCheck.too_slow],
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--backend", choices=["host", "cuda"], default="host", help="where the operations are tested")
    parser.addoption("--few-examples", action="store_true", help="ten of each property, for a second Python")
    parser.addoption("--emulated-gpu", action="store_true", help="compiled kernels, interpreted: tests/gpu/emulator.py")


def pytest_configure(config: pytest.Config) -> None:
    on_gpu = config.getoption("--backend") == "cuda"
    profile = "few" if config.getoption("--few-examples") else "compiled" if JIT else "plain"
    emulated = config.getoption("--emulated-gpu")
    settings.load_profile("emulated" if emulated else "cuda" if on_gpu else profile)
    try:
        if config.getoption("--emulated-gpu"):
            sys.path.append(str(Path(__file__).parent / "gpu"))
            import emulator

            emulator.install()
        if on_gpu:
            assert Backend("cuda").device
    except ImportError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``run`` calls a function on each backend that is tested here: ``backends.Backend``."""
    names = ("cuda",) if metafunc.config.getoption("--backend") == "cuda" else HOST
    if "run" in metafunc.fixturenames:
        metafunc.parametrize("run", [Backend(name) for name in names], ids=names)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    on_gpu = config.getoption("--backend") == "cuda"
    few = config.getoption("--few-examples")
    wanted, left_out, repeated = [], [], 0
    for item in items:
        parts = set(item.path.relative_to(config.rootpath).parts)
        if parts.intersection(PLAIN) and not item.get_closest_marker("compiled"):
            item.add_marker("plain")
        if few and parts.intersection(REPEATED) and hasattr(item, "callspec"):
            repeated += 1
            if repeated % THINNED:
                left_out.append(item)
                continue
        # Not ``item.keywords``: these have the names of folders too, and a checkout may be in one called cuda.
        needs_gpu = item.get_closest_marker("cuda") is not None
        either = "run" in getattr(item, "fixturenames", ())
        (wanted if needs_gpu == on_gpu or (on_gpu and either) else left_out).append(item)
    items[:] = wanted
    config.hook.pytest_deselected(items=left_out)
    if not JIT:
        skip = pytest.mark.skip(reason="NUMBA_DISABLE_JIT=1: plain Python would take minutes")
        for item in items:
            if item.get_closest_marker("compiled") is not None:
                item.add_marker(skip)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20151126)


@pytest.fixture(params=HOST)
def backend(request: pytest.FixtureRequest) -> str:
    """The names of those whose arrays are NumPy's."""
    return request.param


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine a run says what it waits for; tests compare all that it says."""
    monkeypatch.setattr("tinyalexnet.console.SILENCE", 1000.0)
