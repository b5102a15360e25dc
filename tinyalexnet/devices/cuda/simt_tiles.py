"""The work of one block of an implicit GEMM: loads from memory, shared-memory tiles, and each thread's register tile.

A block of threads computes a tile of ROWS x COLS elements of the product; each thread has 8 x 8 of them in registers.
"""

from typing import NamedTuple

import numpy as np

from .runtime import cuda, device, load, load4, store, store4
from .unrolled import unrolled_loop, unrolled_tuple

COLS = 64
"""Columns of a block's tile: AlexNet's layers have multiples of 64 filters."""

ROWS = 2 * COLS
"""Rows of a block's tile."""

DEPTH = COLS // 8
"""Terms of the sums in one shared-memory tile. In these proportions of ROWS, COLS and DEPTH each thread makes two
vectorised loads from A and one from B for each tile."""

THREADS = ROWS * COLS // 64
"""Threads of a block."""

PITCH = ROWS + 4
"""Elements between two rows of A's tile: the 32 threads that write to it together meet 32 different banks."""

A_SIZE, B_SIZE = DEPTH * PITCH, DEPTH * COLS

OUTSIDE = np.int32(-(1 << 30))
"""A row so far above the images that no kernel position reaches them."""


class Problem(NamedTuple):
    """The sizes of a product, as kernels need them.

    ``height`` and ``width`` of an image and its elements, ``image_size``; the product's ``rows`` and ``columns`` over
    all groups and ``depth``, the terms of its sums; the channels of x and the columns of the product in one group;
    ``split_steps``, the tiles that one split sums; and if A and B (with the result and the bias) allow vectorised
    loads.
    """

    height: int
    width: int
    image_size: int
    rows: int
    depth: int
    columns: int
    group_channels: int
    group_columns: int
    split_steps: int
    vector_a: bool
    vector_b: bool


@device
def shared_tiles(x):  # type: ignore[no-untyped-def]
    a_tile = cuda.shared.array(A_SIZE, x.dtype, alignment=16)
    b_tile = cuda.shared.array(B_SIZE, x.dtype, alignment=16)
    return a_tile, b_tile


@device
def split_bounds(split, problem):  # type: ignore[no-untyped-def]
    """Begin and end of the sums of one split."""
    length = problem.split_steps * DEPTH
    return split * length, min((split + 1) * length, problem.depth)


@device
def pixel_at(pixel_table, n, pixel, exists, problem, group):  # type: ignore[no-untyped-def]
    """Offset, row and column of an output pixel's window in image n; a row far outside if there is no such pixel."""
    offset, top, left, _ = load4(pixel_table, 4 * pixel)
    offset += n * problem.image_size + group * problem.group_channels
    return offset, top if exists else OUTSIDE, left


@device
def load_a(x, pixel, entry, kernel_table, k, problem):  # type: ignore[no-untyped-def]
    """Entries k to k + 3 of the kernel table at a pixel; 0 for padding. If vectorised, they are neighbours in x."""
    zero = x.dtype.type(0)
    four = (zero, zero, zero, zero)
    if problem.vector_a:
        if _is_inside(pixel, entry, problem):
            four = load4(x, pixel[0] + entry[0])
    else:
        four = _load_entries(x, pixel, kernel_table, k, problem)
    return four


@device
def _load_element(x, pixel, entry, problem):  # type: ignore[no-untyped-def]
    return load(x, pixel[0] + entry[0]) if _is_inside(pixel, entry, problem) else x.dtype.type(0)


_load_entries = unrolled_tuple(
    4,
    "x, pixel, kernel_table, k, problem",
    "load_element(x, pixel, load4(kernel_table, 4 * k + 4 * {k}), problem)",
    load_element=_load_element,
    load4=load4,
)


@device
def _is_inside(pixel, entry, problem):  # type: ignore[no-untyped-def]
    """One comparison along each axis: as an unsigned integer, a negative one is larger than any image."""
    row, column = np.uint32(pixel[1] + entry[1]), np.uint32(pixel[2] + entry[2])
    return row < np.uint32(problem.height) and column < np.uint32(problem.width)


@device
def _element_or_zero(matrix, at, exists):  # type: ignore[no-untyped-def]
    return load(matrix, at) if exists else matrix.dtype.type(0)


_load_each = unrolled_tuple(
    4, "matrix, at, count", "element_or_zero(matrix, at + {k}, count > {k})", element_or_zero=_element_or_zero
)


@device
def load_columns(matrix, at, count, vector):  # type: ignore[no-untyped-def]
    """Four elements of a row from ``at`` on, if ``count`` are left in the row; 0 behind them."""
    zero = matrix.dtype.type(0)
    four = (zero, zero, zero, zero)
    if vector:
        if count > 0:
            four = load4(matrix, at)
    else:
        four = _load_each(matrix, at, count)
    return four


@device
def own_columns(matrix, at, count, thread, vector):  # type: ignore[no-untyped-def]
    """The elements of a row in the columns of a thread: four in each half of the tile."""
    col = thread % (COLS // 8) * 4
    left = load_columns(matrix, at + col, count - col, vector)
    return left + load_columns(matrix, at + col + COLS // 2, count - col - COLS // 2, vector)


repeated = unrolled_tuple(8, "row", "row")

plus_scaled = unrolled_tuple(8, "total, a, b", "total[{k}] + a * b[{k}]")
"""total + a b, for eight elements of total and b."""

_plus_rows = unrolled_tuple(8, "total, a, b", "plus_scaled(total[{k}], a[{k}], b)", plus_scaled=plus_scaled)


@device
def plus_product(total, a_tile, b_tile, thread):  # type: ignore[no-untyped-def]
    """A thread's 8 x 8 sums, plus the product of its rows of A's tile and its columns of B's.

    Two steps are written out: one has more instructions, and four need more registers than a thread of float64 has.
    """
    row, col = thread // (COLS // 8) * 4, thread % (COLS // 8) * 4
    for k in range(0, DEPTH, 2):
        total = _plus_outer(total, a_tile, row + k * PITCH, b_tile, col + k * COLS)
        total = _plus_outer(total, a_tile, row + (k + 1) * PITCH, b_tile, col + (k + 1) * COLS)
    return total


@device
def _plus_outer(total, a_tile, row, b_tile, col):  # type: ignore[no-untyped-def]
    """total + a bᵀ, with eight elements of each tile."""
    a = load4(a_tile, row) + load4(a_tile, row + ROWS // 2)
    b = load4(b_tile, col) + load4(b_tile, col + COLS // 2)
    return _plus_rows(total, a, b)


@device
def _write_four(sums, at, count, vector, four):  # type: ignore[no-untyped-def]
    if vector:
        if count > 0:
            store4(sums, at, four)
    else:
        for i in range(4):
            if count > i:
                store(sums, at + i, four[i])


@device
def _write_row(sums, at, exists, cols, vector, row):  # type: ignore[no-untyped-def]
    if exists:
        _write_four(sums, at, cols, vector, row[:4])
        _write_four(sums, at + COLS // 2, cols - COLS // 2, vector, row[4:])


@device
def _row_of(k):  # type: ignore[no-untyped-def]
    """Row k of a thread's register tile: four in each half of the shared-memory tile."""
    return k // 4 * (ROWS // 2) + k % 4


_write_rows = unrolled_loop(
    8,
    "sums, at, pitch, rows, cols, vector, total",
    "write_row(sums, at + row_of({k}) * pitch, rows > row_of({k}), cols, vector, total[{k}])",
    write_row=_write_row,
    row_of=_row_of,
)


@device
def write(sums, row, col, rows, cols, thread, problem, total):  # type: ignore[no-untyped-def]
    """Writes a thread's sums, if ``rows`` and ``cols`` are left in the matrix from (``row``, ``col``) on."""
    own_row, own_col = thread // (COLS // 8) * 4, thread % (COLS // 8) * 4
    at = (row + own_row) * problem.columns + col + own_col
    _write_rows(sums, at, problem.columns, rows - own_row, cols - own_col, problem.vector_b, total)
