"""What a program prints if Numba makes code for AVX2."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tinyalexnet.devices.cpu.microkernel import FEATURES


def printed(code, cache):
    """The words; skips on a processor without fused multiply-add, as then AVX2's code rounds otherwise."""
    if "+fma" not in FEATURES.split(","):
        pytest.skip("this processor has no fused multiply-add")
    narrow = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma", "NUMBA_CACHE_DIR": str(cache)}
    found = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **narrow}, capture_output=True, text=True, check=True
    )
    return found.stdout.split()
