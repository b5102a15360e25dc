"""Sums over many numbers in a fixed order, by trees: so each is the same bit for bit every time."""

from __future__ import annotations

from typing import Any

import numpy as np

from .memory import empty
from .runtime import SIMULATED, THREADS, cuda, divided, kernel, launch, launch_blocks

BLOCKS = 3 if SIMULATED else 128
"""Blocks of the first stage, each of which sums every BLOCKS-th run of THREADS numbers: always the same ones."""

BRANCHES = 4 if SIMULATED else 64
"""Rows that a thread of ``column_sums`` adds."""


def sum_of(numbers: Any, factor: float = 1.0) -> Any:
    """``factor`` times the sum, as a device array of one number.

    Shapes
        numbers (N,), float64 -> (1,), float64.
    Schedule
        Two launches: BLOCKS partial sums, then their sum. Which thread adds what depends on N alone, and so does every
        rounding error.
    """
    parts, total = empty((BLOCKS,), np.float64), empty((1,), np.float64)
    launch_blocks(_sums, (BLOCKS,), THREADS, numbers, 1.0, parts)
    launch_blocks(_sums, (1,), THREADS, parts, factor, total)
    return total


def column_sums(numbers: Any, out: Any) -> None:
    """Writes to ``out`` the sums of the columns.

    Shapes
        numbers (M, out.size), out of any shape, of one dtype.
    Schedule
        A thread for each column of BRANCHES rows, which adds them in order; then the same with the sums, until there is
        one row.
    """
    rows = numbers.size // out.size
    while rows > 1 or numbers is not out:
        parts = -(-rows // BRANCHES)
        sums = out if parts == 1 else empty((parts, out.size), out.dtype)
        launch(_column_sums, sums.size, numbers.reshape(rows, out.size), sums.reshape(parts, out.size))
        numbers, rows = sums, parts


@kernel
def _column_sums(numbers, sums):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index >= sums.size:
        return
    part, column = divided(index, sums.shape[1])
    total = sums.dtype.type(0)
    for row in range(part * BRANCHES, min((part + 1) * BRANCHES, numbers.shape[0])):
        total += numbers[row, column]
    sums[part, column] = total


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
