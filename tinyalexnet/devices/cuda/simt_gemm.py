"""Implicit GEMM in plain multiply-adds: for float64, for GPUs without tensor cores, and for odd numbers of channels.

Matrix A is im2col(x): a row for each output pixel, a column for each (kh, kw, c). It is never stored: each element is
loaded from x at the sum of two table offsets. For dw, A is transposed. ``simt_tiles`` has the work of one block.
"""

import functools
import math
from typing import Any

import numpy as np

from ...geometry import Pair
from .memory import empty, to_device
from .reduction import column_sums
from .runtime import check_size, cuda, kernel, launch_blocks, load4, store, store4
from .simt_tiles import (
    COLS,
    DEPTH,
    OUTSIDE,
    PITCH,
    ROWS,
    THREADS,
    Problem,
    load_a,
    load_columns,
    own_columns,
    pixel_at,
    plus_product,
    repeated,
    shared_tiles,
    split_bounds,
    write,
)

ENOUGH_BLOCKS = 396
"""Split-K is used below this number of blocks: three for each of an H100's 132 multiprocessors, which is as many as
their registers have room for."""

LEAST_STEPS = 16
"""The fewest tiles that a split sums: to add up the splits then takes little time in comparison."""


def convolve(x: Any, w: Any, b: Any, stride: Pair, before: Pair, groups: int, out: Any) -> None:
    """Writes to ``out`` the convolution of x with w, plus b: a row for each output pixel, a sum over (kh, kw, c).

    The first window begins ``before`` rows and columns outside the images; inside if that is negative.
    """
    tables = _tables(w.shape[:2], stride, before, out.shape[1:3], x.shape[1:], groups)
    sizes = out.size // w.shape[3], math.prod(w.shape[:3]), w.shape[3]
    _split_k(_implicit_gemm, sizes, groups, (x, *tables, w, b), out)


def correlate(dout: Any, x: Any, stride: Pair, before: Pair, groups: int, dw: Any) -> None:
    """Writes to ``dw`` the product im2col(x)ᵀ dout: a row for each (kh, kw, c), a sum over the output pixels."""
    tables = _tables(dw.shape[:2], stride, before, dout.shape[1:3], x.shape[1:], groups)
    sizes = math.prod(dw.shape[:3]), dout.size // dout.shape[3], dout.shape[3]
    _split_k(_transposed_gemm, sizes, groups, (x, *tables, dout), dw)


def _split_k(function: Any, sizes: tuple[int, int, int], groups: int, arrays: tuple[Any, ...], out: Any) -> None:
    """Launches a kernel for a product. If there are few blocks, its sums are split, to fill the GPU."""
    x, kernel_table, pixel_table, b_matrix, *bias = arrays
    height, width, channels = x.shape[1:]
    rows, depth, columns = sizes
    group_columns = columns // groups
    tiles = -(-rows // ROWS), -(-group_columns // COLS)
    steps = -(-depth // DEPTH)
    wanted = max(1, min(ENOUGH_BLOCKS // (tiles[0] * tiles[1] * groups), steps // LEAST_STEPS))
    split_steps = -(-steps // wanted)
    splits = -(-steps // split_steps)
    check_size("an array of sums", splits * out.size)
    sums = out if splits == 1 else empty((splits, out.size), out.dtype)
    problem = Problem(
        height,
        width,
        height * width * channels,
        rows,
        depth,
        columns,
        channels // groups,
        group_columns,
        split_steps,
        channels // groups % 4 == 0,
        group_columns % 4 == 0,
    )
    flat_b, flat_sums = b_matrix.flat(), sums.flat()
    blocks = *tiles, groups * splits
    launch_blocks(function, blocks, THREADS, x.flat(), kernel_table, pixel_table, flat_b, *bias, problem, flat_sums)
    if splits > 1:
        column_sums(sums, out)


@functools.cache
def _tables(
    kernel: Pair, stride: Pair, before: Pair, out_size: Pair, image_shape: tuple[int, int, int], groups: int
) -> tuple[Any, Any]:
    """Two lookup tables on the device with four int32 per entry: offset, row, column, unused.

    One has an entry for each (kh, kw, c) of a group, the other for each output pixel. The sum of two entries is an
    element's position in an image; outside the image it is padding. Spare entries at the end always mean padding, so
    that the last tile needs no check.
    """
    _, width, channels = image_shape
    kh, kw, c = np.indices((*kernel, channels // groups), np.int32).reshape(3, -1)
    oh, ow = np.indices(out_size, np.int32).reshape(2, -1)
    top, left = oh * stride[0] - before[0], ow * stride[1] - before[1]
    kernel_table = np.zeros((-(-kh.size // ROWS) * ROWS + 2 * DEPTH, 4), np.int32)
    kernel_table[:, 1] = OUTSIDE
    kernel_table[: kh.size, :3] = np.stack([(kh * width + kw) * channels + c, kh, kw], 1)
    pixel_table = np.stack([(top * width + left) * channels, top, left, np.zeros_like(top)], 1).astype(np.int32)
    return to_device(kernel_table.ravel()), to_device(pixel_table.ravel())


@kernel
def _implicit_gemm(x, kernel_table, pixel_table, w, bias, problem, sums):  # type: ignore[no-untyped-def]
    """sums[split] = im2col(x) w, plus the bias in the first split: one tile of ROWS output pixels x COLS filters."""
    a_tile, b_tile = shared_tiles(x)
    thread, row, col = cuda.threadIdx.x, cuda.blockIdx.x * ROWS, cuda.blockIdx.y * COLS
    split, group = divmod(cuda.blockIdx.z, problem.columns // problem.group_columns)
    start, end = split_bounds(split, problem)
    pixels = pixel_table.size // 4
    own_row, own_position = thread // (DEPTH // 4), thread % (DEPTH // 4) * 4
    own_depth, own_col = thread // (COLS // 4), thread % (COLS // 4) * 4
    n, pixel = divmod(row + own_row, pixels)
    upper = pixel_at(pixel_table, n, pixel, row + own_row < problem.rows, problem, group)
    n, pixel = divmod(row + own_row + ROWS // 2, pixels)
    lower = pixel_at(pixel_table, n, pixel, row + own_row + ROWS // 2 < problem.rows, problem, group)
    first_col = group * problem.group_columns + col
    in_group = problem.group_columns - col
    row_of_bias = own_columns(bias, first_col, in_group if split == 0 else 0, thread, problem.vector_b)
    total = repeated(row_of_bias)
    for k in range(start, end + DEPTH, DEPTH):
        entry = load4(kernel_table, 4 * (k + own_position))
        a_upper = load_a(x, upper, entry, kernel_table, k + own_position, problem)
        a_lower = load_a(x, lower, entry, kernel_table, k + own_position, problem)
        at = (k + own_depth) * problem.columns + first_col + own_col
        b_own = load_columns(w, at, in_group - own_col if k + own_depth < end else 0, problem.vector_b)
        # Double buffering in registers: the loads are on their way while the tiles before are multiplied.
        if k > start:
            total = plus_product(total, a_tile, b_tile, thread)
        cuda.syncthreads()
        for i in range(4):
            store(a_tile, (own_position + i) * PITCH + own_row, a_upper[i])
            store(a_tile, (own_position + i) * PITCH + own_row + ROWS // 2, a_lower[i])
        store4(b_tile, own_depth * COLS + own_col, b_own)
        cuda.syncthreads()
    write(sums, split * problem.rows + row, first_col, problem.rows - row, in_group, thread, problem, total)


@kernel
def _transposed_gemm(x, kernel_table, pixel_table, dout, problem, sums):  # type: ignore[no-untyped-def]
    """sums[split] = im2col(x)ᵀ dout: one tile of ROWS entries (kh, kw, c) x COLS filters."""
    a_tile, b_tile = shared_tiles(x)
    thread, row, col = cuda.threadIdx.x, cuda.blockIdx.x * ROWS, cuda.blockIdx.y * COLS
    split, group = divmod(cuda.blockIdx.z, problem.columns // problem.group_columns)
    start, end = split_bounds(split, problem)
    own_depth, own = thread // (COLS // 4), thread % (COLS // 4) * 4
    zero = x.dtype.type(0)
    total = repeated((zero, zero, zero, zero, zero, zero, zero, zero))
    left, right = load4(kernel_table, 4 * (row + own)), load4(kernel_table, 4 * (row + own + ROWS // 2))
    first_col = group * problem.group_columns + col
    in_group = problem.group_columns - col
    pixels = pixel_table.size // 4
    # From one tile to the next the pixel moves on by DEPTH, so it never has to be divided again.
    n, pixel = divmod(start + own_depth, pixels)
    images, rest = divmod(DEPTH, pixels)
    for k in range(start, end + DEPTH, DEPTH):
        at_pixel = pixel_at(pixel_table, n, pixel, k + own_depth < end, problem, group)
        n, pixel = n + images, pixel + rest
        if pixel >= pixels:
            n, pixel = n + 1, pixel - pixels
        a_left = load_a(x, at_pixel, left, kernel_table, row + own, problem)
        a_right = load_a(x, at_pixel, right, kernel_table, row + own + ROWS // 2, problem)
        at = (k + own_depth) * problem.columns + first_col + own
        b_own = load_columns(dout, at, in_group - own if k + own_depth < end else 0, problem.vector_b)
        if k > start:
            total = plus_product(total, a_tile, b_tile, thread)
        cuda.syncthreads()
        store4(a_tile, own_depth * PITCH + own, a_left)
        store4(a_tile, own_depth * PITCH + own + ROWS // 2, a_right)
        store4(b_tile, own_depth * COLS + own, b_own)
        cuda.syncthreads()
    write(sums, split * problem.rows + row, first_col, problem.rows - row, in_group, thread, problem, total)
