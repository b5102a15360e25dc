"""Max-pooling on a GPU."""

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from ...devices.cuda.memory import empty
from ...devices.cuda.runtime import (
    cuda,
    device,
    divide,
    kernel,
    launch,
    load,
    load4,
    store,
    store4,
    unravel,
    windows_over,
)
from ...devices.cuda.unrolled import unrolled_loop, unrolled_sum, unrolled_tuple
from ...devices.cuda.vectors import MOST_ROWS, THREADS, launch_grid, load_bytes, store_bytes
from ...geometry import Pair, Window
from . import argmax_dtype

MOST_POSITIONS = 25
"""The most kernel positions, and pixels from one window to the next, for which loops are written out."""

MOST_WINDOWS = 9
"""The most windows that hold one pixel, for which they are kept in registers."""

NOWHERE = 255
"""Kernel position that no argmax has: of a window that does not exist, or that does not hold a pixel."""


def maxpool_forward(x: Any, window: Window) -> tuple[Any, Any]:
    """Schedule: if ``_is_unrolled``, one thread per output pixel and four channels, which it loads with 16 bytes each;
    the grid is over output columns and channels, output rows, and images. Else one thread per output element."""
    place = _place(window, x.shape)
    out = empty(place.out_shape, x.dtype)
    argmax = empty(place.out_shape, argmax_dtype(window))
    flat = x.flat(), out.flat(), argmax.flat()
    if place.is_unrolled:
        n, rows, columns, channels = place.out_shape
        function = _unrolled_forward(window.kernel, window.stride, place.is_clipped)
        launch_grid(function, columns * (channels // 4), rows, n, x.shape, place.out_shape, place.before, *flat)
    else:
        launch(_forward, out.size, x.shape, place.out_shape, window.kernel, window.stride, place.before, *flat)
    return out, argmax


def maxpool_backward(dout: Any, argmax: Any, x_shape: tuple[int, ...], window: Window) -> Any:
    """Schedule: each thread gathers from the windows that hold its pixels: no atomic additions, and their order is
    fixed. If ``_is_unrolled``, a thread has four channels of a block of stride x stride pixels, which lie in the same
    few windows: it loads each of them once, with 16 bytes. Else it has one pixel and channel."""
    place = _place(window, x_shape)
    before = place.before
    dx = empty(x_shape, dout.dtype)
    flat = dout.flat(), argmax.flat(), dx.flat()
    if place.is_unrolled:
        n, height, width, channels = x_shape
        down, across = -(-(height + before[0]) // window.stride[0]), -(-(width + before[1]) // window.stride[1])
        function = _unrolled_backward(window.kernel, window.stride)
        launch_grid(function, across * (channels // 4), down, n, x_shape, dout.shape, before, *flat)
    else:
        launch(_backward, dx.size, x_shape, dout.shape, window.kernel, window.stride, before, *flat)
    return dx


class Place(NamedTuple):
    """Where windows lie: the output's shape, the padding before the images, if windows are partly outside, and if the
    kernels for four channels serve."""

    out_shape: tuple[int, ...]
    before: Pair
    is_clipped: bool
    is_unrolled: bool


@functools.lru_cache(maxsize=256)
def _place(window: Window, x_shape: tuple[int, ...]) -> Place:
    n, height, width, channels = x_shape
    size = height, width
    out_shape = n, *window.output_size(size), channels
    is_clipped = any(pad for pads in window.pads(size) for pad in pads)
    return Place(out_shape, window.before(size), is_clipped, _is_unrolled(window, x_shape))


def _is_unrolled(window: Window, x_shape: tuple[int, ...]) -> bool:
    """If the kernels for four channels serve: the window is small, and the grid has no more rows than a GPU allows."""
    n, height, _, channels = x_shape
    is_small = max(math.prod(window.kernel), math.prod(window.stride)) <= MOST_POSITIONS
    is_small &= math.prod(_windows_of_a_block(window.kernel, window.stride)) <= MOST_WINDOWS
    pads = window.pads((x_shape[1], x_shape[2]))
    return is_small and channels % 4 == 0 and max(n, height + sum(pads[0])) <= MOST_ROWS


def _windows_of_a_block(size: Pair, stride: Pair) -> Pair:
    """Windows, along each axis, that hold pixels of a block of stride x stride pixels at whose corner one begins."""
    return -(-size[0] // stride[0]), -(-size[1] // stride[1])


# --- four channels of a small window ----------------------------------------------------------------------------------


@functools.cache
def _unrolled_forward(size: Pair, stride: Pair, is_clipped: bool) -> Any:
    """The forward for windows of one size and stride: constants, so that the compiler writes out the loops.

    ``is_clipped`` says if windows may be partly outside the image.
    """
    (kernel_h, kernel_w), (stride_h, stride_w) = size, stride

    @kernel
    def forward_by_four(shape, out_shape, pad, x, out, argmax):  # type: ignore[no-untyped-def]
        _, height, width, channels = shape
        _, rows, columns, _ = out_shape
        ow, c = divide(cuda.blockIdx.x * THREADS + cuda.threadIdx.x, channels // 4)
        if ow >= columns:
            return
        n, oh = cuda.blockIdx.z, cuda.blockIdx.y
        top, left = oh * stride_h - pad[0], ow * stride_w - pad[1]
        corner = ((n * height + top) * width + left) * channels + 4 * c
        lowest = x.dtype.type(-np.inf)
        best = lowest, lowest, lowest, lowest
        # If all pixels are -inf, the first inside the image wins.
        first = np.int32(max(-top, 0) * kernel_w + max(-left, 0)) if is_clipped else np.int32(0)
        winner = first, first, first, first
        for kh in range(kernel_h):
            for kw in range(kernel_w):
                is_inside = not is_clipped or (0 <= top + kh < height and 0 <= left + kw < width)
                pixel = load4(x, np.int32(corner + (kh * width + kw) * channels if is_inside else 0))
                best, winner = _best_of_four(best, winner, pixel, np.int32(kh * kernel_w + kw), is_inside)
        at = ((n * rows + oh) * columns + ow) * channels + 4 * c
        store4(out, np.int32(at), best)
        store_bytes(argmax, at, _as_bytes(winner))

    return forward_by_four


@device
def _better(best, winner, value, position, is_inside):  # type: ignore[no-untyped-def]
    """The larger of two, and its position; the first of equals. A NaN is not <= ``best``, takes over, and stays."""
    wins = is_inside and not value <= best and best == best
    return value if wins else best, position if wins else winner


@device
def _best_of_four(best, winner, pixel, position, is_inside):  # type: ignore[no-untyped-def]
    best_0, winner_0 = _better(best[0], winner[0], pixel[0], position, is_inside)
    best_1, winner_1 = _better(best[1], winner[1], pixel[1], position, is_inside)
    best_2, winner_2 = _better(best[2], winner[2], pixel[2], position, is_inside)
    best_3, winner_3 = _better(best[3], winner[3], pixel[3], position, is_inside)
    return (best_0, best_1, best_2, best_3), (winner_0, winner_1, winner_2, winner_3)


@device
def _as_bytes(four):  # type: ignore[no-untyped-def]
    return np.uint8(four[0]), np.uint8(four[1]), np.uint8(four[2]), np.uint8(four[3])


@functools.cache
def _unrolled_backward(size: Pair, stride: Pair) -> Any:
    """The backward for windows of one size and stride, which are constants.

    Window (a, b) begins at the corner of block (a, b); its pixels lie in the windows (a - d, b - e), d, e >= 0.
    """
    down, across = _windows_of_a_block(size, stride)
    # Windows from the top, rows first: the order of the additions.
    before = [(d, e) for d in reversed(range(down)) for e in reversed(range(across))]
    pixels = tuple(np.ndindex(*stride))
    # positions[pixel][window]: where the window has the pixel.
    positions = tuple(tuple(_position(size, stride, pixel, of) for of in before) for pixel in pixels)
    load_windows = unrolled_tuple(
        len(before),
        "dout, argmax, corner, a, b, out_shape",
        "load_window(dout, argmax, corner, a, b, before[{k}], out_shape)",
        load_window=_load_window,
        before=tuple(before),
    )
    sum_windows = unrolled_sum(
        len(before), "total, windows, positions", "plus(total, windows[{k}], positions[{k}])", plus=_plus_winners
    )
    store_pixels = unrolled_loop(
        len(pixels),
        "dx, corner, h, i, shape, windows",
        "store_pixel(dx, corner, h, i, pixels[{k}], shape, sum_windows(zeros(dx), windows, positions[{k}]))",
        store_pixel=_store_pixel,
        sum_windows=sum_windows,
        zeros=_zeros,
        pixels=pixels,
        positions=positions,
    )
    stride_h, stride_w = stride

    @kernel
    def backward_by_four(shape, out_shape, pad, dout, argmax, dx):  # type: ignore[no-untyped-def]
        _, height, width, channels = shape
        _, rows, columns, _ = out_shape
        b, c = divide(cuda.blockIdx.x * THREADS + cuda.threadIdx.x, channels // 4)
        n, a = cuda.blockIdx.z, cuda.blockIdx.y
        h, i = a * stride_h - pad[0], b * stride_w - pad[1]
        if i >= width:
            return
        corner = ((n * rows + a) * columns + b) * channels + 4 * c
        windows = load_windows(dout, argmax, corner, a, b, out_shape)
        store_pixels(dx, ((n * height + h) * width + i) * channels + 4 * c, h, i, shape, windows)

    return backward_by_four


def _position(size: Pair, stride: Pair, pixel: Pair, before: Pair) -> int:
    """The kernel position of a block's pixel in the window that begins so many blocks before the block."""
    kh, kw = pixel[0] + stride[0] * before[0], pixel[1] + stride[1] * before[1]
    return kh * size[1] + kw if kh < size[0] and kw < size[1] else NOWHERE


@device
def _load_window(dout, argmax, corner, a, b, before, out_shape):  # type: ignore[no-untyped-def]
    """The gradient of window (a, b) - ``before`` and its kernel position, of four channels.

    A window that does not exist loads the first elements: a branch would let the next loads wait.
    """
    _, rows, columns, channels = out_shape
    exists = 0 <= a - before[0] < rows and 0 <= b - before[1] < columns
    at = corner - (before[0] * columns + before[1]) * channels if exists else 0
    gradient, winner, nowhere = load4(dout, np.int32(at)), load_bytes(argmax, at), np.uint8(NOWHERE)
    return gradient, (winner if exists else (nowhere, nowhere, nowhere, nowhere))


@device
def _zeros(array):  # type: ignore[no-untyped-def]
    zero = array.dtype.type(0)
    return zero, zero, zero, zero


@device
def _plus_winners(total, window, position):  # type: ignore[no-untyped-def]
    """Adds the gradient of a window in those channels whose maximum is at this position."""
    if position == NOWHERE:
        return total
    gradient, winner = window
    return (
        total[0] + gradient[0] if winner[0] == position else total[0],
        total[1] + gradient[1] if winner[1] == position else total[1],
        total[2] + gradient[2] if winner[2] == position else total[2],
        total[3] + gradient[3] if winner[3] == position else total[3],
    )


@device
def _store_pixel(dx, corner, h, i, pixel, shape, total):  # type: ignore[no-untyped-def]
    _, height, width, channels = shape
    if 0 <= h + pixel[0] < height and 0 <= i + pixel[1] < width:
        store4(dx, np.int32(corner + (pixel[0] * width + pixel[1]) * channels), total)


# --- any window, any number of channels -------------------------------------------------------------------------------


@kernel
def _forward(shape, out_shape, size, stride, pad, x, out, argmax):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index >= out.size:
        return
    n, oh, ow, c = unravel(index, out_shape)
    _, height, width, channels = shape
    top, left = oh * stride[0] - pad[0], ow * stride[1] - pad[1]
    first_h, first_w = max(-top, 0), max(-left, 0)
    corner = (n * height + top) * width + left
    best = load(x, (corner + first_h * width + first_w) * channels + c)
    winner = first_h * size[1] + first_w
    for kh in range(first_h, min(size[0], height - top)):
        for kw in range(first_w, min(size[1], width - left)):
            value = load(x, (corner + kh * width + kw) * channels + c)
            # A NaN takes over, and stays: nothing compares with it.
            if value > best or (value != value and best == best):
                best, winner = value, kh * size[1] + kw
    store(out, index, best)
    store(argmax, index, winner)


@kernel
def _backward(shape, out_shape, size, stride, pad, dout, argmax, dx):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index >= dx.size:
        return
    n, h, i, c = unravel(index, shape)
    _, rows, columns, channels = out_shape
    first_h, end_h = windows_over(h + pad[0], size[0], stride[0], rows)
    first_w, end_w = windows_over(i + pad[1], size[1], stride[1], columns)
    total = dx.dtype.type(0)
    for oh in range(first_h, end_h):
        for ow in range(first_w, end_w):
            here = (h + pad[0] - oh * stride[0]) * size[1] + i + pad[1] - ow * stride[1]
            at = ((n * rows + oh) * columns + ow) * channels + c
            if load(argmax, at) == here:
                total += load(dout, at)
    store(dx, index, total)
