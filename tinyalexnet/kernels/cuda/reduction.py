"""Sums over many numbers in a fixed order: by a tree within each block, and once more over the blocks' sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from .runtime import SIMULATED, THREADS, cuda, empty, kernel

BLOCKS = 3 if SIMULATED else 128
"""Blocks of the first stage, each of which sums every BLOCKS-th run of THREADS numbers: always the same ones."""


def sum_of(numbers: Any, factor: float = 1.0) -> Any:
    """``factor`` times the sum, as a device array of one number.

    Shapes
        numbers (N,), float64 -> (1,), float64.
    Schedule
        Two launches: BLOCKS partial sums, then their sum. Which thread adds what depends on N alone, and so does every
        rounding error.
    """
    parts, total = empty((BLOCKS,), np.float64), empty((1,), np.float64)
    _sums[BLOCKS, THREADS](numbers, 1.0, parts)
    _sums[1, THREADS](parts, factor, total)
    return total


@kernel
def _sums(numbers, factor, sums):  # type: ignore[no-untyped-def]
    own = cuda.shared.array(THREADS, np.float64)
    thread = cuda.threadIdx.x
    total = 0.0
    for index in range(cuda.grid(1), numbers.size, cuda.gridsize(1)):
        total += numbers[index]
    own[thread] = total
    half = THREADS // 2
    while half > 0:
        cuda.syncthreads()
        if thread < half:
            own[thread] += own[thread + half]
        half //= 2
    if thread == 0:
        sums[cuda.blockIdx.x] = factor * own[0]
