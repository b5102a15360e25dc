"""The convolution as a product of matrices, by tiles, and the same for the gradient of its filters: docs/gpu.md.

The first matrix is the images as the window sees them: its rows are places of the window, its columns the positions in
it, here called taps; or the other way round. It is never made: a number is read from the images where ``places`` and
``taps`` say. A block of threads computes ROWS x COLS numbers of the product, a thread 8 x 8 of them, in registers.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ...geometry import Pair
from .memory import empty, to_device
from .reduction import column_sums
from .runtime import (
    SIMULATED,
    are_fours,
    check_size,
    cuda,
    device,
    kernel,
    launch,
    launch_blocks,
    load,
    load_four,
    position,
    store,
    store_four,
)

COLS = 32 if SIMULATED else 64
"""Columns of a block's tile: AlexNet's layers have multiples of 64 filters."""

ROWS = 2 * COLS
"""Rows of a block's tile."""

DEPTH = COLS // 8
"""How far the sums go between two loads of tiles. In these proportions of ROWS, COLS and DEPTH each thread loads two
fours of numbers of the first matrix and one of the second."""

THREADS = ROWS * COLS // 64
"""Threads of a block."""

PITCH = ROWS + 4
"""From one row of the first tile to the next: so the 32 threads that write to it together meet 32 banks of memory."""

FIRST_SIZE, SECOND_SIZE = DEPTH * PITCH, DEPTH * COLS

ENOUGH_BLOCKS = 6 if SIMULATED else 396
"""Sums are cut into parts as long as there are fewer blocks: three for each of an H100's 132 multiprocessors, as many
as the registers of one have room for."""

LEAST_STEPS = 2 if SIMULATED else 16
"""Loads of tiles that a part has at least: so that adding up the parts is little beside it."""

OUTSIDE = np.int32(-(1 << 30))
"""A row so far above the images that no tap reaches them."""


def convolve(x: Any, w: Any, b: Any, stride: Pair, before: Pair, groups: int, out: Any) -> None:
    """Writes to ``out`` the convolution of x with w, plus b: a row for each place, a sum over the taps.

    The first window begins ``before`` rows and columns outside the images, or inside where that is negative.
    """
    taps, places = _tables(w.shape[:2], stride, before, out.shape[1:3], x.shape[1:], groups)
    rows, depth, filters = out.size // w.shape[3], math.prod(w.shape[:3]), w.shape[3]
    _in_parts(_convolve, (rows, depth, filters), groups, (x, taps, places, w, b), out)


def convolve_back(dout: Any, w: Any, before: Pair, groups: int, dx: Any) -> None:
    """Writes to ``dx`` the gradient of the images of a convolution with stride 1, which is a convolution of dout."""
    filters, before = turned(w, before, groups)
    convolve(dout, filters, zeros(dx.shape[3], dx.dtype), (1, 1), before, groups, dx)


def turned(w: Any, before: Pair, groups: int) -> tuple[Any, Pair]:
    """The filters of the adjoint of a convolution with stride 1, and how far outside its first window begins.

    Each of its windows ends where one of the forward begins: the kernel's length, less one, less what is before that.
    """
    kernel_h, kernel_w, channels, filters = w.shape
    result = empty((kernel_h, kernel_w, filters // groups, channels * groups), w.dtype)
    launch(_turn, result.size, w, result)
    return result, (kernel_h - 1 - before[0], kernel_w - 1 - before[1])


def correlate(dout: Any, x: Any, stride: Pair, before: Pair, groups: int, dw: Any) -> None:
    """Writes to ``dw`` the sums of dout times what its windows see: a row for each tap, a sum over the places."""
    taps, places = _tables(dw.shape[:2], stride, before, dout.shape[1:3], x.shape[1:], groups)
    rows, depth, filters = math.prod(dw.shape[:3]), dout.size // dout.shape[3], dout.shape[3]
    _in_parts(_correlate, (rows, depth, filters), groups, (x, taps, places, dout), dw)


def _in_parts(kernel: Any, size: tuple[int, int, int], groups: int, arrays: tuple[Any, ...], out: Any) -> None:
    """Launches a kernel for a product of a size, with as many blocks as the GPU has room for if it can."""
    x, taps, places, second, *rest = arrays
    height, width, channels = x.shape[1:]
    rows, depth, filters = size
    shares = channels // groups, filters // groups
    tiles = -(-rows // ROWS), -(-shares[1] // COLS)
    steps = -(-depth // DEPTH)
    wanted = max(1, min(ENOUGH_BLOCKS // (tiles[0] * tiles[1] * groups), steps // LEAST_STEPS))
    steps_a_part = -(-steps // wanted)
    parts = -(-steps // steps_a_part)
    check_size("an array of sums", parts * out.size)
    sums = out if parts == 1 else empty((parts, out.size), out.dtype)
    launch_blocks(
        kernel,
        (*tiles, groups * parts),
        THREADS,
        x.reshape(x.size),
        taps,
        places,
        second.reshape(second.size),
        *rest,
        (height, width, height * width * channels),
        size,
        shares,
        steps_a_part,
        (are_fours(x, shares[0]), all(are_fours(array, shares[1]) for array in (second, sums, *rest))),
        sums.reshape(sums.size),
    )
    if parts > 1:
        column_sums(sums, out)


@functools.lru_cache(maxsize=256)
def _tables(
    kernel: Pair, stride: Pair, before: Pair, out_size: Pair, image_shape: tuple[int, int, int], groups: int
) -> tuple[Any, Any]:
    """Taps and places, on the device, four integers for each: where it is in an image, its row, and its column; and 0.

    The number that a tap sees at a place is number tap[0] + place[0] of the image, if row tap[1] + place[1] and column
    tap[2] + place[2] are in it, and otherwise padding. Taps are of the first group. Behind the last tap, as far as
    tiles reach, are some that see nothing.
    """
    _, width, channels = image_shape
    kh, kw, c = np.indices((*kernel, channels // groups), np.int32).reshape(3, -1)
    oh, ow = np.indices(out_size, np.int32).reshape(2, -1)
    top, left = oh * stride[0] - before[0], ow * stride[1] - before[1]
    taps = np.zeros((-(-kh.size // ROWS) * ROWS + 2 * DEPTH, 4), np.int32)
    taps[:, 1] = OUTSIDE
    taps[: kh.size, :3] = np.stack([(kh * width + kw) * channels + c, kh, kw], 1)
    places = np.stack([(top * width + left) * channels, top, left, np.zeros_like(top)], 1).astype(np.int32)
    return to_device(taps.ravel()), to_device(places.ravel())


@functools.lru_cache(maxsize=256)
def zeros(count: int, dtype: np.dtype) -> Any:
    """The bias of what has none."""
    return to_device(np.zeros(count, dtype))


@kernel
def _turn(w, turned):  # type: ignore[no-untyped-def]
    """turned[kh, kw, f, c] = w[KH - 1 - kh, KW - 1 - kw, c, f], within each group."""
    index = cuda.grid(1)
    if index >= turned.size:
        return
    kh, kw, f, channel = position(index, turned.shape)
    group, c = divmod(channel, w.shape[2])
    turned[kh, kw, f, channel] = w[w.shape[0] - 1 - kh, w.shape[1] - 1 - kw, c, group * turned.shape[2] + f]


@kernel
def _convolve(x, taps, places, w, b, image, size, shares, steps, fours, sums):  # type: ignore[no-untyped-def]
    first, second = _shared(x)
    rows, depth, filters = size
    thread, row, col = cuda.threadIdx.x, cuda.blockIdx.x * ROWS, cuda.blockIdx.y * COLS
    part, group = divmod(cuda.blockIdx.z, filters // shares[1])
    start, end = _run(part, steps, depth)
    count = places.size // 4
    own_row, own_tap = thread // (DEPTH // 4), thread % (DEPTH // 4) * 4
    own_depth, own_col = thread // (COLS // 4), thread % (COLS // 4) * 4
    n, index = divmod(row + own_row, count)
    upper = _place(places, n, index, row + own_row < rows, image[2], group * shares[0])
    n, index = divmod(row + own_row + ROWS // 2, count)
    lower = _place(places, n, index, row + own_row + ROWS // 2 < rows, image[2], group * shares[0])
    bias = _eight_columns(b, group * shares[1] + col, shares[1] - col if part == 0 else 0, thread, fours[1])
    total = (bias, bias, bias, bias, bias, bias, bias, bias)
    for k in range(start, end + DEPTH, DEPTH):
        tap = load_four(taps, 4 * (k + own_tap))
        one = _seen(x, upper, tap, taps, k + own_tap, image, fours[0])
        two = _seen(x, lower, tap, taps, k + own_tap, image, fours[0])
        at = (k + own_depth) * filters + group * shares[1] + col + own_col
        three = _columns(w, at, shares[1] - col - own_col if k + own_depth < end else 0, fours[1])
        # The loads are on their way while the tiles before are multiplied.
        if k > start:
            total = _plus_product(total, first, second, thread)
        cuda.syncthreads()
        for i in range(4):
            store(first, (own_tap + i) * PITCH + own_row, one[i])
            store(first, (own_tap + i) * PITCH + own_row + ROWS // 2, two[i])
        store_four(second, own_depth * COLS + own_col, three)
        cuda.syncthreads()
    at = (part * rows + row) * filters + group * shares[1] + col
    _write(sums, at, filters, rows - row, shares[1] - col, thread, fours[1], total)


@kernel
def _correlate(x, taps, places, dout, image, size, shares, steps, fours, sums):  # type: ignore[no-untyped-def]
    first, second = _shared(x)
    rows, depth, filters = size
    thread, row, col = cuda.threadIdx.x, cuda.blockIdx.x * ROWS, cuda.blockIdx.y * COLS
    part, group = divmod(cuda.blockIdx.z, filters // shares[1])
    start, end = _run(part, steps, depth)
    own_depth, own = thread // (COLS // 4), thread % (COLS // 4) * 4
    zero = x.dtype.type(0)
    none = (zero, zero, zero, zero, zero, zero, zero, zero)
    total = (none, none, none, none, none, none, none, none)
    left, right = load_four(taps, 4 * (row + own)), load_four(taps, 4 * (row + own + ROWS // 2))
    count = places.size // 4
    # From one round to the next the place moves on by DEPTH, and never has to be divided again.
    n, index = divmod(start + own_depth, count)
    images, rest = divmod(DEPTH, count)
    for k in range(start, end + DEPTH, DEPTH):
        place = _place(places, n, index, k + own_depth < end, image[2], group * shares[0])
        n, index = n + images, index + rest
        if index >= count:
            n, index = n + 1, index - count
        one = _seen(x, place, left, taps, row + own, image, fours[0])
        two = _seen(x, place, right, taps, row + own + ROWS // 2, image, fours[0])
        at = (k + own_depth) * filters + group * shares[1] + col + own
        three = _columns(dout, at, shares[1] - col - own if k + own_depth < end else 0, fours[1])
        if k > start:
            total = _plus_product(total, first, second, thread)
        cuda.syncthreads()
        store_four(first, own_depth * PITCH + own, one)
        store_four(first, own_depth * PITCH + own + ROWS // 2, two)
        store_four(second, own_depth * COLS + own, three)
        cuda.syncthreads()
    at = (part * rows + row) * filters + group * shares[1] + col
    _write(sums, at, filters, rows - row, shares[1] - col, thread, fours[1], total)


@device
def _shared(x):  # type: ignore[no-untyped-def]
    """The two tiles. The simulator knows a shared array by the line that makes it, and no alignment."""
    if SIMULATED:
        first = cuda.shared.array(FIRST_SIZE, x.dtype)
        second = cuda.shared.array(SECOND_SIZE, x.dtype)
    else:
        first = cuda.shared.array(FIRST_SIZE, x.dtype, alignment=16)
        second = cuda.shared.array(SECOND_SIZE, x.dtype, alignment=16)
    return first, second


@device
def _run(part, steps, depth):  # type: ignore[no-untyped-def]
    """Where a part of the sums begins and ends."""
    return part * steps * DEPTH, min((part + 1) * steps * DEPTH, depth)


@device
def _place(places, n, index, is_there, image_size, channel):  # type: ignore[no-untyped-def]
    """Number of a channel's value at a place of image n, row, and column; where there is none, a row far outside."""
    offset, top, left, _ = load_four(places, 4 * index)
    return n * image_size + channel + offset, top if is_there else OUTSIDE, left


@device
def _seen(x, place, tap, taps, k, image, fours):  # type: ignore[no-untyped-def]
    """What taps k to k + 3 see at a place; 0 for padding. With ``fours`` they are neighbours, the first is ``tap``."""
    zero = x.dtype.type(0)
    four = (zero, zero, zero, zero)
    if fours:
        if _is_inside(place, tap, image):
            four = load_four(x, place[0] + tap[0])
    else:
        four = (
            _value(x, place, load_four(taps, 4 * k), image),
            _value(x, place, load_four(taps, 4 * k + 4), image),
            _value(x, place, load_four(taps, 4 * k + 8), image),
            _value(x, place, load_four(taps, 4 * k + 12), image),
        )
    return four


@device
def _value(x, place, tap, image):  # type: ignore[no-untyped-def]
    return load(x, place[0] + tap[0]) if _is_inside(place, tap, image) else x.dtype.type(0)


@device
def _is_inside(place, tap, image):  # type: ignore[no-untyped-def]
    """One comparison in each direction: as a number without a sign, what is negative is larger than any image."""
    row, column = np.uint32(place[1] + tap[1]), np.uint32(place[2] + tap[2])
    return row < np.uint32(image[0]) and column < np.uint32(image[1])


@device
def _columns(matrix, at, count, fours):  # type: ignore[no-untyped-def]
    """Four numbers of a row from ``at`` on, of which ``count`` are left; 0 behind them."""
    zero = matrix.dtype.type(0)
    four = (zero, zero, zero, zero)
    if fours:
        if count > 0:
            four = load_four(matrix, at)
    else:
        four = (
            load(matrix, at) if count > 0 else zero,
            load(matrix, at + 1) if count > 1 else zero,
            load(matrix, at + 2) if count > 2 else zero,
            load(matrix, at + 3) if count > 3 else zero,
        )
    return four


@device
def _eight_columns(matrix, at, count, thread, fours):  # type: ignore[no-untyped-def]
    """The numbers of a row in the columns of a thread: a four in each half of the tile."""
    col = thread % (COLS // 8) * 4
    left = _columns(matrix, at + col, count - col, fours)
    return left + _columns(matrix, at + col + COLS // 2, count - col - COLS // 2, fours)


@device
def _plus_product(total, first, second, thread):  # type: ignore[no-untyped-def]
    """A thread's 8 x 8 sums, and the products of its rows of the one tile with its columns of the other.

    Two steps are written out: one has more instructions, and four need more registers than a thread of float64 has.
    """
    row, col = thread // (COLS // 8) * 4, thread % (COLS // 8) * 4
    for k in range(0, DEPTH, 2):
        total = _plus_outer(total, first, row + k * PITCH, second, col + k * COLS)
        total = _plus_outer(total, first, row + (k + 1) * PITCH, second, col + (k + 1) * COLS)
    return total


@device
def _plus_outer(total, first, row, second, col):  # type: ignore[no-untyped-def]
    """total + a bᵀ, with eight numbers of each tile."""
    a = load_four(first, row) + load_four(first, row + ROWS // 2)
    b = load_four(second, col) + load_four(second, col + COLS // 2)
    return (
        plus_scaled(total[0], a[0], b),
        plus_scaled(total[1], a[1], b),
        plus_scaled(total[2], a[2], b),
        plus_scaled(total[3], a[3], b),
        plus_scaled(total[4], a[4], b),
        plus_scaled(total[5], a[5], b),
        plus_scaled(total[6], a[6], b),
        plus_scaled(total[7], a[7], b),
    )


@device
def plus_scaled(total, a, b):  # type: ignore[no-untyped-def]
    """total + a b, of eight numbers each."""
    return (
        total[0] + a * b[0],
        total[1] + a * b[1],
        total[2] + a * b[2],
        total[3] + a * b[3],
        total[4] + a * b[4],
        total[5] + a * b[5],
        total[6] + a * b[6],
        total[7] + a * b[7],
    )


@device
def _write(sums, at, pitch, rows, cols, thread, fours, total):  # type: ignore[no-untyped-def]
    """Writes a thread's sums, of which so many rows and columns are in the matrix from ``at`` on."""
    row, col = thread // (COLS // 8) * 4, thread % (COLS // 8) * 4
    at, rows, cols = at + row * pitch + col, rows - row, cols - col
    _write_row(sums, at, rows, cols, fours, total[0])
    _write_row(sums, at + pitch, rows - 1, cols, fours, total[1])
    _write_row(sums, at + 2 * pitch, rows - 2, cols, fours, total[2])
    _write_row(sums, at + 3 * pitch, rows - 3, cols, fours, total[3])
    at, rows = at + ROWS // 2 * pitch, rows - ROWS // 2
    _write_row(sums, at, rows, cols, fours, total[4])
    _write_row(sums, at + pitch, rows - 1, cols, fours, total[5])
    _write_row(sums, at + 2 * pitch, rows - 2, cols, fours, total[6])
    _write_row(sums, at + 3 * pitch, rows - 3, cols, fours, total[7])


@device
def _write_row(sums, at, rows, cols, fours, eight):  # type: ignore[no-untyped-def]
    if rows > 0:
        _write_four(sums, at, cols, fours, eight[:4])
        _write_four(sums, at + COLS // 2, cols - COLS // 2, fours, eight[4:])


@device
def _write_four(sums, at, count, fours, four):  # type: ignore[no-untyped-def]
    if fours:
        if count > 0:
            store_four(sums, at, four)
    else:
        for i in range(4):
            if count > i:
                store(sums, at + i, four[i])
