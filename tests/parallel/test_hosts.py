"""What a link between two hosts carries is what the run counts: on network namespaces, which root alone may make.

    pytest -m hosts

needs iproute2, root, and the extra ``parallel``. Without ``-m hosts`` it is skipped: it changes the machine's network.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOSTS = ROOT / "tests" / "hosts.sh"
ROUNDS, STEPS = 2, 15
"""Those after the first, which compiles; and the steps of all three."""

pytestmark = [pytest.mark.hosts, pytest.mark.compiled]


def hosts(*words, **environment):
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    found = os.environ | {"PATH": beside, "PYTHONPATH": str(ROOT), "NUMBA_NUM_THREADS": "1"} | environment
    return subprocess.run(
        [HOSTS, *map(str, words)], env=found, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True
    ).stdout


@pytest.fixture
def two_hosts(request):
    if "hosts" not in request.config.option.markexpr:
        pytest.skip("pytest -m hosts makes network namespaces, which needs root")
    hosts("down")
    hosts("up", 2, "1gbit")
    yield
    hosts("down")


def sent():
    return [int(count) for count in re.findall(r"sent (\d+)", hosts("bytes"))]


@pytest.mark.parametrize("flags", [(), ("dense=columns", "blocks=8")])
def test_the_link_carries_what_is_counted(two_hosts, flags):
    """With TCP's headers, one in 40 of its bytes, and what MPI says at the start."""
    before = sent()
    out = hosts("run", 2, sys.executable, "docs/processes.py", "mnist", 8, "skip=1", f"rounds={ROUNDS}", *flags)
    counted = sum(float(size) for size in re.findall(r"'(?:gradients|activations)': ([0-9.]+)", out)) * 1e6
    assert counted > 2e6
    for first, last in zip(before, sent(), strict=True):
        assert counted * STEPS <= last - first <= counted * STEPS * 1.04 + 1e6
