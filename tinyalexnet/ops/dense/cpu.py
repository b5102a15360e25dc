"""The dense layer, compiled: products of matrices, cut along the inputs so that each weight is read once.

Of few vectors that reading takes most of the time. So they go along a few rows of w or dw at once: these are neighbours
in memory from one column to the next, and the processor fetches what follows.
"""

import numba
import numpy as np

from ...devices.cpu.compiler import parallel, slice_bounds
from ...devices.cpu.memory import CACHED_BYTES, empty
from ...devices.cpu.microkernel import ROWS as TILE_ROWS
from ...devices.cpu.panels import add_panel_product
from ...devices.cpu.recording import contiguous, made
from ...devices.cpu.rows import OUTER, add_scaled_rows, dot_rows, stream_outer_products
from ...devices.cpu.threads import products
from ...devices.cpu.vectors import VECTOR_BYTES
from . import cpu_panels
from .choice import has_many
from .cpu_slices import SLICES, add_slices

FORWARD_ROWS, MOST_FORWARD_ROWS = 8, 32
"""Of w, read along together by the forward, for each tile of vectors, up to a most: with more vectors fewer passes over
the partial sums pay more than memory that is read in order."""

FEW = 4
"""Vectors for which the forward has no tiles: they compute faster, but memory is read faster along whole rows."""


def dense_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Schedule: parallel over SLICES slices of the inputs, whose rows of w are neighbours in memory: even a batch of
    one has work for all threads. Each slice makes a partial sum, along some rows of w after the other if there are few
    vectors, else with panels (``cpu_panels``); a second loop, parallel over the vectors, adds the partial sums in
    order. An element is the same sum for any number of vectors."""
    out = empty((x.shape[0], w.shape[1]), x.dtype)
    sums = empty((min(SLICES, x.shape[1]), *out.shape), x.dtype)
    x, w, b = contiguous(x), contiguous(w), contiguous(b)
    if has_many("out", len(x), w.size):
        cpu_panels.forward(x, w, b, sums, out)
    else:
        rows = min(FORWARD_ROWS * -(-len(x) // TILE_ROWS), MOST_FORWARD_ROWS)
        with products(len(x) * w.size):
            _forward(x, w, b, rows, sums, out)
    return out


def dense_backward_input(dout: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Schedule: parallel over SLICES slices of the inputs; each writes its own columns, as dot products with rows of
    w if there are few vectors, else with panels."""
    dx = empty((dout.shape[0], w.shape[0]), dout.dtype)
    dout, w, slices = contiguous(dout), contiguous(w), min(SLICES, w.shape[0])
    if has_many("dx", len(dout), w.size):
        cpu_panels.backward_input(dout, w, slices, dx)
    else:
        with products(len(dout) * w.size):
            _backward_input(dout, w, slices, dx)
    return dx


def dense_backward_params(dout: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Schedule: parallel over SLICES slices of the inputs; each writes its own rows of dw, those of a tile at a time if
    there are few vectors, else with panels. If no cache holds dw, that of very few is written past the caches."""
    dw = empty((x.shape[1], dout.shape[1]), x.dtype)
    dout, x, slices = contiguous(dout), contiguous(x), min(SLICES, x.shape[1])
    if has_many("dw", len(x), dw.size):
        cpu_panels.backward_params(dout, x, slices, dw)
    else:
        streams = len(x) <= OUTER and dw.nbytes > CACHED_BYTES and not (dw.ctypes.data | dw.strides[0]) % VECTOR_BYTES
        with products(len(x) * dw.size):
            _backward_params(dout, x, slices, streams, dw)
    return dw, made(np.add.reduce, dout, 0)


@parallel
def _forward(x, w, b, rows, sums, out):  # type: ignore[no-untyped-def]
    slices = sums.shape[0]
    for index in numba.prange(slices):
        begin, end = slice_bounds(np.intp(index), slices, w.shape[0])
        if len(x) <= FEW:
            add_scaled_rows(x[:, begin:end], w[begin:end], sums[index])
        else:
            for first in range(begin, end, rows):
                last = min(first + rows, end)
                add_panel_product(x[:, first:last], w[first:last], first > begin, sums[index])
    for n in numba.prange(out.shape[0]):
        add_slices(b, sums, n, out[n])


@parallel
def _backward_input(dout, w, slices, dx):  # type: ignore[no-untyped-def]
    for index in numba.prange(slices):
        begin, end = slice_bounds(np.intp(index), slices, w.shape[0])
        dot_rows(dout, w[begin:end], dx[:, begin:end])


@parallel
def _backward_params(dout, x, slices, streams, dw):  # type: ignore[no-untyped-def]
    for index in numba.prange(slices):
        begin, end = slice_bounds(np.intp(index), slices, dw.shape[0])
        if streams:
            stream_outer_products(x[:, begin:end], dout, dw[begin:end])
        else:
            for first in range(begin, end, TILE_ROWS):
                last = min(first + TILE_ROWS, end)
                add_panel_product(x[:, first:last].T, dout, False, dw[first:last])
