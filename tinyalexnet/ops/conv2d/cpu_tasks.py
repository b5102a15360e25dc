"""The tasks of the compiled matrix products: blocks of output rows, which depend on the shapes alone."""

from ...devices.cpu.compiler import inner
from ...geometry import Pair, Window

BLOCK_PIXELS = 448
"""Output pixels of one task: enough rows to keep the matrix product near its peak. A block of conv4 then has 6 MB and
fits the shared cache; smaller blocks, for the core's own cache, were no faster."""

LEAST_TASKS = 16
"""Small inputs are cut finer than BLOCK_PIXELS, so that this many threads have work."""

PARTIAL_SUMS = 16
"""Partial sums over the batch, which are then added in a fixed order."""


def placement(window: Window, size: Pair) -> tuple[Pair, Pair, Pair]:
    return window.kernel, window.stride, window.before(size)


def rows_per_block(out_shape: tuple[int, ...]) -> int:
    """Output rows of one task."""
    n, out_h, out_w, _ = out_shape
    rows = n * out_h
    return max(1, min(BLOCK_PIXELS // out_w, rows // LEAST_TASKS))


@inner
def add_to_rows(matrix, row):  # type: ignore[no-untyped-def]
    for r in range(matrix.shape[0]):
        target = matrix[r]
        for i in range(row.size):
            target[i] += row[i]


@inner
def add_rows_to(row, matrix):  # type: ignore[no-untyped-def]
    for r in range(matrix.shape[0]):
        source = matrix[r]
        for i in range(row.size):
            row[i] += source[i]
