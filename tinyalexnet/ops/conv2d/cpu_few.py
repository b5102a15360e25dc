"""The convolution of few output pixels, compiled: products that are cut for the threads, and im2col slab by slab.

A task of ``cpu.py`` has some output rows and reads all filters. Of one image that would be 16 tasks of a row each, and
to read the filters, and to order them for each product, would take most of the time. Here a thread takes a good part of
the windows, or of the filters if there are few windows, and makes of the im2col matrix one slab of columns at a time,
which stays in its cache while it is multiplied by all filters of the task. A task of dw has one slab, and all windows.
An element is one sum in one order, however windows and filters are cut.
"""

import functools
import itertools

import numba
import numpy as np

from ...devices.cpu.compiler import inner, most_threads, parallel, slice_bounds
from ...devices.cpu.memory import empty
from ...devices.cpu.panels import add_panel_product
from ...devices.cpu.recording import made
from ...devices.cpu.vectors import empty_in_lines
from ...geometry import Pair
from .cpu_im2col import im2col

Placement = tuple[Pair, Pair, Pair]

FILTERS, DEPTH = 64, 96
"""Columns and rows of the filters' matrix in one product: 24 KB, copied into a core's fastest cache."""

SLAB_BYTES = 5 << 16
"""Of the im2col matrix at a time: a part of the second cache of a core."""

MOST_ROWS = 200
"""Windows of a task of the forward, whose outputs stay in the cache from slab to slab."""

COPY_ROWS, TURN_ROWS, SLAB_BLOCKS = 9, 32, 1 / 3
"""What a task costs beside its products: to copy its filters as much as 9 windows, or 32 if they are turned; its slabs,
a third of a block of FILTERS filters. Measured on two cores of a Xeon with AVX-512, on conv3 to conv5 of "tf2015"."""


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, placed: Placement, out: np.ndarray) -> None:
    """Schedule: parallel over slices of the windows and parts of the filters. Each task adds products of DEPTH columns
    of the im2col matrix in order, and the bias. No two write the same."""
    _convolve(x, w, b, placed, False, out)


def backward_input(dout: np.ndarray, w: np.ndarray, placed: Placement, dx: np.ndarray) -> None:
    """Schedule: the forward's, at stride 1. dx is the convolution of dout, padded by kernel - 1 less the forward's
    padding, with the filters turned by 180° and channels and filters exchanged, as each task copies them."""
    kernel, stride, pad = placed
    around = kernel, stride, (kernel[0] - 1 - pad[0], kernel[1] - 1 - pad[1])
    _convolve(dout, w, made(np.zeros, w.shape[2], w.dtype), around, True, dx)


def backward_params(dout: np.ndarray, x: np.ndarray, placed: Placement, dw: np.ndarray) -> None:
    """Schedule: parallel over slabs, which are slices of the rows of dw. Each task adds products of DEPTH windows in
    order."""
    windows = dout.size // dout.shape[3]
    count = slabs(windows, len(dw), numba.get_num_threads())
    scratch = empty((most_threads(), windows * -(-len(dw) // count)), x.dtype)
    _backward_params(dout, x, *placed, count, scratch, dw)


def _convolve(x: np.ndarray, w: np.ndarray, b: np.ndarray, placed: Placement, turned: bool, out: np.ndarray) -> None:
    windows, depth = out.size // b.size, placed[0][0] * placed[0][1] * x.shape[3]
    slices, blocks = cut(windows, b.size, numba.get_num_threads(), turned)
    rows = -(-windows // slices)
    steps = min(max(1, SLAB_BYTES // (4 * DEPTH * rows)), -(-depth // DEPTH))
    scratch = empty((most_threads(), rows, steps * DEPTH), x.dtype)
    _forward(x, w, b, *placed, turned, (slices, blocks * FILTERS), scratch, out)


@functools.lru_cache(maxsize=1024)
def cut(windows: int, filters: int, threads: int, turned: bool) -> tuple[int, int]:
    """How many slices of the windows, and blocks of filters in a task, have the threads ready first."""
    every, copy = -(-filters // FILTERS), TURN_ROWS if turned else COPY_ROWS

    def time(slices: int, blocks: int) -> float:
        rounds = -(-slices * -(-every // blocks) // threads)
        return rounds * (-(-windows // slices) + copy) * (blocks + SLAB_BLOCKS)

    least = -(-windows // MOST_ROWS)
    most = max(least, min(windows, least * threads))
    return min(itertools.product(range(least, most + 1), range(1, every + 1)), key=lambda found: time(*found))


def slabs(windows: int, rows: int, threads: int) -> int:
    """How many dw has, of so many rows: as many for each thread."""
    return min(rows, threads * -(-4 * windows * rows // (threads * SLAB_BYTES)))


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


@inner
def _copy_turned(w, first, last, left, right, target):  # type: ignore[no-untyped-def]
    """Rows ``first`` up to ``last`` and columns ``left`` up to ``right`` of the filters of dx as a matrix: row
    (i * KW + j) * F + f, column c is w[KH - 1 - i, KW - 1 - j, c, f]."""
    kernel_h, kernel_w, _, filters = w.shape
    for tap in range(first // filters, (last + filters - 1) // filters):
        i, j = divmod(tap, kernel_w)
        source = w[kernel_h - 1 - i, kernel_w - 1 - j]
        begin, end = max(first - tap * filters, 0), min(last - tap * filters, filters)
        rows = target[tap * filters + begin - first : tap * filters + end - first]
        for c in range(left, right):
            of_channel = source[c, begin:end]
            for f in range(end - begin):
                rows[f, c - left] = of_channel[f]


@parallel
def _forward(x, w, b, kernel, stride, pad, turned, cut, scratch, out):  # type: ignore[no-untyped-def]
    n, out_h, out_w, filters = out.shape
    depth = kernel[0] * kernel[1] * x.shape[3]
    matrix = w.reshape(w.size // w.shape[3], w.shape[3])
    pixels = out.reshape(-1, filters)
    steps, of_slab = (depth + DEPTH - 1) // DEPTH, scratch.shape[2] // DEPTH
    slices, wide = cut
    for task in numba.prange((filters + wide - 1) // wide * slices):
        part, index = divmod(np.intp(task), slices)
        begin, end = slice_bounds(index, slices, n * out_h * out_w)
        low, high = part * wide, min((part + 1) * wide, filters)
        # A thread keeps its scratch from task to task, and so the scratch stays in its cache.
        slab = scratch[numba.get_thread_id()]
        some = empty_in_lines(DEPTH * FILTERS, w.dtype).reshape(DEPTH, FILTERS)
        for top in range(0, steps, of_slab):
            bottom = min(top + of_slab, steps)
            at, upto = slice_bounds(top, steps, depth)[0], slice_bounds(bottom - 1, steps, depth)[1]
            im2col(x, (begin, end), (at, upto), (out_h, out_w), kernel, stride, pad, slab)
            for left in range(low, high, FILTERS):
                right = min(left + FILTERS, high)
                for step in range(top, bottom):
                    first, last = slice_bounds(step, steps, depth)
                    if turned:
                        _copy_turned(w, first, last, left, right, some)
                    else:
                        _copy_part(matrix, first, last, left, right, some)
                    factors = some[: last - first, : right - left]
                    target = pixels[begin:end, left:right]
                    add_panel_product(slab[: end - begin, first - at : last - at], factors, step > 0, target)
        _add_to_part(b, pixels, begin, end, low, high)


@parallel
def _backward_params(dout, x, kernel, stride, pad, slabs, scratch, dw):  # type: ignore[no-untyped-def]
    n, out_h, out_w, filters = dout.shape
    windows = n * out_h * out_w
    pixels = dout.reshape(windows, filters)
    steps = (windows + DEPTH - 1) // DEPTH
    for task in numba.prange(slabs):
        first, last = slice_bounds(np.intp(task), slabs, dw.shape[0])
        slab = scratch[numba.get_thread_id()][: windows * (last - first)].reshape(windows, last - first)
        some = empty_in_lines(DEPTH * FILTERS, dout.dtype).reshape(DEPTH, FILTERS)
        im2col(x, (0, windows), (first, last), (out_h, out_w), kernel, stride, pad, slab)
        for left in range(0, filters, FILTERS):
            right = min(left + FILTERS, filters)
            for step in range(steps):
                begin, end = slice_bounds(step, steps, windows)
                _copy_part(pixels, begin, end, left, right, some)
                factors = some[: end - begin, : right - left]
                add_panel_product(slab[begin:end].T, factors, step > 0, dw[first:last, left:right])
