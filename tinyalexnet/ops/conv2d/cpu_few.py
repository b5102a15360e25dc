"""The convolution of few output pixels, compiled: im2col of all of them, and products that are cut along the filters.

A task of ``cpu.py`` has some output rows and reads all filters. Of one image that would be 16 tasks of a row each, and
to read the filters, and to order them for each product, would take most of the time. Here all windows are one matrix,
which has to fit the cache that the cores share. A task of the forward has some filters and many windows, and reads each
weight once; a task of dw has some rows of dw, and writes each once.
"""

import numba
import numpy as np

from ...devices.cpu.compiler import inner, parallel, slice_bounds
from ...devices.cpu.memory import empty
from ...devices.cpu.panels import add_panel_product
from ...geometry import Pair
from .cpu_im2col import im2col

Placement = tuple[Pair, Pair, Pair]

FILTERS, DEPTH = 64, 96
"""Columns and rows of the filters' matrix in one product: 24 KB, copied into a core's fastest cache."""

LANES = 16
"""Channels that are written together: a cache line."""

SLICES = 16
"""Slices of the output rows for im2col, and of the rows of dw at least."""

LEAST_ROWS, MOST_ROWS = 48, 160
"""Windows in one product: of fewer the copy of the filters would take a good part of the time; more, of DEPTH channels,
would leave the cache of a core."""

LEAST_TASKS = 8
"""The windows are cut finer, so that this many threads have work: each slice reads the filters again."""


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, placed: Placement, out: np.ndarray) -> None:
    """Schedule: im2col, parallel over slices of the output rows; then parallel over blocks of FILTERS filters and
    slices of the windows, each of which adds products of DEPTH channels in order, and the bias. No two write the same.
    """
    filters = out.shape[3]
    cols = empty((out.size // filters, len(w)), x.dtype)
    _forward(x, w, b, *placed, slices_of_windows(len(cols), filters), cols, out)


def backward_input(dout: np.ndarray, w: np.ndarray, placed: Placement, dx: np.ndarray) -> None:
    """Schedule: the forward's, at stride 1. dx is the convolution of dout, padded by kernel - 1 less the forward's
    padding, with the filters (KH, KW, C, F) turned by 180° and channels and filters exchanged, which a loop writes."""
    kernel, stride, pad = placed
    turned = empty((*w.shape[:2], w.shape[3], w.shape[2]), w.dtype)
    _turn(w, turned)
    around = kernel, stride, (kernel[0] - 1 - pad[0], kernel[1] - 1 - pad[1])
    forward(dout, turned.reshape(-1, w.shape[2]), np.zeros(w.shape[2], w.dtype), around, dx)


def backward_params(dout: np.ndarray, x: np.ndarray, placed: Placement, dw: np.ndarray) -> None:
    """Schedule: im2col, and dout in blocks of FILTERS filters, parallel over slices of the output rows; then parallel
    over slices of the rows of dw, each of which adds products of DEPTH windows in order."""
    windows = dout.size // dout.shape[3]
    cols = empty((windows, len(dw)), x.dtype)
    gradients = empty((-(-dout.shape[3] // FILTERS), windows, FILTERS), x.dtype)
    _backward_params(dout, x, *placed, slices_of_dw(len(dw)), cols, gradients, dw)


def slices_of_windows(windows: int, filters: int) -> int:
    """How many the forward has: enough tasks, but few, as each reads the filters again."""
    enough = min(-(-LEAST_TASKS // -(-filters // FILTERS)), windows // LEAST_ROWS)
    return max(1, enough, -(-windows // MOST_ROWS))


def slices_of_dw(rows: int) -> int:
    """How many slices of so many rows dw has."""
    return min(rows, max(SLICES, -(-rows // MOST_ROWS)))


@inner
def _copy_part(matrix, first, last, left, right, target):  # type: ignore[no-untyped-def]
    """Rows ``first`` up to ``last``, columns ``left`` up to ``right``."""
    for row in range(first, last):
        # Of a part of a matrix Numba does not know that elements of a row are neighbours; of these views it does.
        source, to = matrix[row, left:right], target[row - first, : right - left]
        for i in range(source.size):
            to[i] = source[i]


@inner
def _add_to_part(row, matrix, first, last, left, right):  # type: ignore[no-untyped-def]
    """The same part, plus a row."""
    terms = row[left:right]
    for r in range(first, last):
        total = matrix[r, left:right]
        for i in range(total.size):
            total[i] += terms[i]


@parallel
def _turn(w, turned):  # type: ignore[no-untyped-def]
    """turned[i, j, f, c] = w[KH - 1 - i, KW - 1 - j, c, f], LANES channels at a time: one cache line of the result."""
    kernel_h, kernel_w, channels, filters = w.shape
    slices = (channels + LANES - 1) // LANES
    for task in numba.prange(kernel_h * kernel_w * slices):
        tap, index = divmod(np.intp(task), slices)
        i, j = divmod(tap, kernel_w)
        first = index * LANES
        last = min(first + LANES, channels)
        source, target = w[kernel_h - 1 - i, kernel_w - 1 - j], turned[i, j]
        for f in range(filters):
            for c in range(first, last):
                target[f, c] = source[c, f]


@parallel
def _forward(x, w, b, kernel, stride, pad, slices, cols, out):  # type: ignore[no-untyped-def]
    n, out_h, out_w, filters = out.shape
    depth = w.shape[0]
    for index in numba.prange(min(SLICES, n * out_h)):
        first, last = slice_bounds(np.intp(index), min(SLICES, n * out_h), n * out_h)
        im2col(x, first, last, out_h, out_w, kernel, stride, pad, cols[first * out_w : last * out_w])
    pixels = out.reshape(-1, filters)
    steps = (depth + DEPTH - 1) // DEPTH
    for task in numba.prange((filters + FILTERS - 1) // FILTERS * slices):
        block, index = divmod(np.intp(task), slices)
        begin, end = slice_bounds(index, slices, cols.shape[0])
        left, right = block * FILTERS, min((block + 1) * FILTERS, filters)
        some = np.empty((DEPTH, right - left), w.dtype)
        for step in range(steps):
            first, last = slice_bounds(step, steps, depth)
            _copy_part(w, first, last, left, right, some)
            add_panel_product(
                cols[begin:end, first:last], some[: last - first], step > 0, pixels[begin:end, left:right]
            )
        _add_to_part(b, pixels, begin, end, left, right)


@parallel
def _backward_params(dout, x, kernel, stride, pad, slices, cols, gradients, dw):  # type: ignore[no-untyped-def]
    n, out_h, out_w, filters = dout.shape
    blocks, windows, _ = gradients.shape
    pixels = dout.reshape(windows, filters)
    for index in numba.prange(min(SLICES, n * out_h)):
        first, last = slice_bounds(np.intp(index), min(SLICES, n * out_h), n * out_h)
        begin, end = first * out_w, last * out_w
        im2col(x, first, last, out_h, out_w, kernel, stride, pad, cols[begin:end])
        for block in range(blocks):
            left, right = block * FILTERS, min((block + 1) * FILTERS, filters)
            _copy_part(pixels, begin, end, left, right, gradients[block, begin:end])
    steps = (windows + DEPTH - 1) // DEPTH
    for index in numba.prange(slices):
        first, last = slice_bounds(np.intp(index), slices, dw.shape[0])
        for block in range(blocks):
            left, right = block * FILTERS, min((block + 1) * FILTERS, filters)
            for step in range(steps):
                begin, end = slice_bounds(step, steps, windows)
                some = gradients[block, begin:end, : right - left]
                add_panel_product(cols[begin:end, first:last].T, some, step > 0, dw[first:last, left:right])
