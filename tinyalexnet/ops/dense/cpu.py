"""The dense layer, compiled: products of matrices, cut along the inputs so that each weight is read once.

Of few vectors that reading takes most of the time. So the forward and dw go along a few rows of w or dw at once: these
are neighbours in memory from one column to the next, and the processor fetches what follows.
"""

import numba
import numpy as np

from ...devices.cpu.blas import SMALL_OUTPUT, SMALL_PRODUCT
from ...devices.cpu.compiler import parallel, slice_bounds
from ...devices.cpu.gemm import add_product
from ...devices.cpu.memory import empty
from ...devices.cpu.microkernel import ROWS as TILE_ROWS
from ...devices.cpu.panels import add_panel_product
from ...devices.cpu.threads import blas_products, products
from . import cpu_panels
from .choice import has_many
from .cpu_slices import SLICES, add_slices

FORWARD_ROWS, MOST_FORWARD_ROWS = 8, 32
"""Of w, read along together by the forward, for each tile of vectors, up to a most: with more vectors fewer passes over
the partial sums pay more than memory that is read in order."""

ROWS, COLUMNS = 32, 1024
"""Of w in one product of dx that is cut: 128 KB, which stay in the cache of a core, on as many pages as it can find at
once. Fewer, if the product would otherwise be too large."""

_contiguous = np.ascontiguousarray


def dense_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Schedule: parallel over SLICES slices of the inputs, whose rows of w are neighbours in memory: even a batch of
    one has work for all threads. Each slice makes a partial sum, some rows of w after the other if there are few
    vectors, else with panels (``cpu_panels``); a second loop, parallel over the vectors, adds the partial sums in
    order. An element is the same sum for any number of vectors."""
    out = empty((x.shape[0], w.shape[1]), x.dtype)
    sums = empty((min(SLICES, x.shape[1]), *out.shape), x.dtype)
    x, w, b = _contiguous(x), _contiguous(w), _contiguous(b)
    if has_many("out", len(x), w.size):
        cpu_panels.forward(x, w, b, sums, out)
    else:
        rows = min(FORWARD_ROWS * -(-len(x) // TILE_ROWS), MOST_FORWARD_ROWS)
        with products(len(x) * w.size):
            _forward(x, w, b, rows, sums, out)
    return out


def dense_backward_input(dout: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Schedule: parallel over SLICES slices of the inputs; each writes its own columns, by small products if there are
    few vectors, else with panels."""
    dx = empty((dout.shape[0], w.shape[0]), dout.dtype)
    dout, w, slices = _contiguous(dout), _contiguous(w), min(SLICES, w.shape[0])
    if has_many("dx", len(dout), w.size):
        cpu_panels.backward_input(dout, w, slices, dx)
    else:
        rows, columns = _block(len(dout), w.shape)
        if rows < w.shape[0]:
            rows = min(rows, max(1, SMALL_OUTPUT // len(dout)))
        with blas_products(len(dout) * w.size):
            _backward_input(dout, w, rows, columns, slices, dx)
    return dx


def dense_backward_params(dout: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Schedule: parallel over SLICES slices of the inputs; each writes its own rows of dw, those of a tile at a time if
    there are few vectors, else with panels."""
    dw = empty((x.shape[1], dout.shape[1]), x.dtype)
    dout, x, slices = _contiguous(dout), _contiguous(x), min(SLICES, x.shape[1])
    if has_many("dw", len(x), dw.size):
        cpu_panels.backward_params(dout, x, slices, dw)
    else:
        with products(len(x) * dw.size):
            _backward_params(dout, x, slices, dw)
    return dw, dout.sum(axis=0)


def _block(n: int, w_shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of w in one product of dx: those of a slice; or less, if the product would be large."""
    inputs, outputs = w_shape
    if n * -(-inputs // SLICES) * outputs <= SMALL_PRODUCT:
        return inputs, outputs
    return ROWS, min(outputs, COLUMNS, max(1, SMALL_PRODUCT // (ROWS * n)))


@parallel
def _forward(x, w, b, rows, sums, out):  # type: ignore[no-untyped-def]
    slices = sums.shape[0]
    for index in numba.prange(slices):
        begin, end = slice_bounds(np.intp(index), slices, w.shape[0])
        for first in range(begin, end, rows):
            last = min(first + rows, end)
            add_panel_product(x[:, first:last], w[first:last], first > begin, sums[index])
    for n in numba.prange(out.shape[0]):
        add_slices(b, sums, n, out[n])


@parallel
def _backward_input(dout, w, rows, columns, slices, dx):  # type: ignore[no-untyped-def]
    for index in numba.prange(slices):
        begin, end = slice_bounds(np.intp(index), slices, w.shape[0])
        for first in range(begin, end, rows):
            last = min(first + rows, end)
            for left in range(0, w.shape[1], columns):
                right = min(left + columns, w.shape[1])
                add_product(dout[:, left:right], w[first:last, left:right].T, left > 0, dx[:, first:last])


@parallel
def _backward_params(dout, x, slices, dw):  # type: ignore[no-untyped-def]
    for index in numba.prange(slices):
        begin, end = slice_bounds(np.intp(index), slices, dw.shape[0])
        for first in range(begin, end, TILE_ROWS):
            last = min(first + TILE_ROWS, end)
            add_panel_product(x[:, first:last].T, dout, False, dw[first:last])
