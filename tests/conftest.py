"""What the tests share: reproducible examples, the backends, and whether kernels are compiled here."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

JIT = not numba.config.DISABLE_JIT

# As plain Python the kernels' products of sizes that fill no vector were seen to warn of an invalid value, though every
# number was finite: OpenBLAS computes on what lies behind the matrix too. Compiled code does not look at that flag.
if not JIT:
    np.seterr(invalid="ignore")

# Derandomised: the same examples in every run. No deadline: the first example of a kernel compiles it.
settings.register_profile(
    "default",
    derandomize=True,
    deadline=None,
    max_examples=200 if JIT else 60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--emulated-gpu", action="store_true", help="compiled CUDA kernels, interpreted: tests/emulated_gpu.py"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--emulated-gpu"):
        import emulated_gpu

        try:
            emulated_gpu.install()
        except ImportError as error:
            raise pytest.UsageError(str(error)) from None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not JIT:
        skip = pytest.mark.skip(reason="NUMBA_DISABLE_JIT=1: plain Python would take minutes")
        for item in items:
            if "compiled" in item.keywords:
                item.add_marker(skip)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20151126)


@pytest.fixture(params=["reference", "cpu"])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param
