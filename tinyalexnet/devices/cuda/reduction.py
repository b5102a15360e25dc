"""Sums in a fixed order, by trees: the same bits every time."""

from typing import Any

import numpy as np

from .memory import empty
from .runtime import THREADS, cuda, divide, kernel, launch, launch_blocks

BLOCKS = 128
"""Blocks of the first stage. Each sums every BLOCKS-th slice of THREADS elements, always the same ones."""

BRANCHES = 64
"""Rows that a thread of ``column_sums`` adds."""


def sum_of(terms: Any, factor: float = 1.0) -> Any:
    """``factor`` times the sum, as a device array of one element.

    Shapes
        terms (N,), float64 -> (1,), float64.
    Schedule
        Two launches: BLOCKS partial sums, then their sum. N alone decides which thread adds which terms, and so every
        rounding error.
    """
    partial, total = empty((BLOCKS,), np.float64), empty((1,), np.float64)
    launch_blocks(_sums, (BLOCKS,), THREADS, terms, 1.0, partial)
    launch_blocks(_sums, (1,), THREADS, partial, factor, total)
    return total


def column_sums(matrix: Any, out: Any) -> None:
    """Writes to ``out`` the sums of the columns.

    Shapes
        matrix (M, out.size), out of any shape, of one dtype.
    Schedule
        A thread adds BRANCHES rows of one column in order. The same is done with the sums until one row is left.
    """
    rows = matrix.size // out.size
    while rows > 1 or matrix is not out:
        sums_of_rows = -(-rows // BRANCHES)
        sums = out if sums_of_rows == 1 else empty((sums_of_rows, out.size), out.dtype)
        launch(_column_sums, sums.size, matrix.reshape(rows, out.size), sums.reshape(sums_of_rows, out.size))
        matrix, rows = sums, sums_of_rows


@kernel
def _column_sums(matrix, sums):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index >= sums.size:
        return
    branch, column = divide(index, sums.shape[1])
    total = sums.dtype.type(0)
    for row in range(branch * BRANCHES, min((branch + 1) * BRANCHES, matrix.shape[0])):
        total += matrix[row, column]
    sums[branch, column] = total


@kernel
def _sums(terms, factor, sums):  # type: ignore[no-untyped-def]
    own = cuda.shared.array(THREADS, np.float64)
    thread = cuda.threadIdx.x
    total = 0.0
    for index in range(cuda.grid(1), terms.size, cuda.gridsize(1)):
        total += terms[index]
    own[thread] = total
    half = THREADS // 2
    while half > 0:
        cuda.syncthreads()
        if thread < half:
            own[thread] += own[thread + half]
        half //= 2
    if thread == 0:
        sums[cuda.blockIdx.x] = factor * own[0]
