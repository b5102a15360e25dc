"""The dense layer, compiled: products of matrices, cut along the inputs so that each weight is read once."""

import numba
import numpy as np

from ...devices.cpu.blas import SMALL_OUTPUT, SMALL_PRODUCT
from ...devices.cpu.compiler import parallel, slice_bounds
from ...devices.cpu.gemm import add_product
from ...devices.cpu.memory import empty
from ...devices.cpu.threads import products

SLICES = 16
"""Slices of the inputs, whatever the number of threads: so every rounding is the same on any."""

MOST_VECTORS = 64
"""Up to so many vectors of a batch, OpenBLAS takes most of the time of a large product to copy w first, or to copy what
dw is made of. Products are then cut until it copies nothing. For more vectors the copy pays."""

MOST_GRADIENT = 1 << 16
"""Up to so many elements of dout, the same for dx, whose products are so small that each reads all of dout again: the
256 KB stay in the cache of a core."""

ROWS, COLUMNS = 32, 1024
"""Of w or dw, in one product that is cut: 128 KB, which stay in the cache of a core, on as many pages as it can find at
once. Fewer, if the product would otherwise be too large."""

_contiguous = np.ascontiguousarray


def dense_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Schedule: parallel over SLICES slices of the inputs, whose rows of w are neighbours in memory: even a batch of
    one has work for all threads. Each slice makes a partial sum, of small products if there are few vectors; a second
    loop, parallel over the vectors, adds the partial sums in order."""
    out = empty((x.shape[0], w.shape[1]), x.dtype)
    sums = empty((min(SLICES, x.shape[1]), *out.shape), x.dtype)
    block = _block(len(x), w.shape, len(x) <= MOST_VECTORS)
    with products(x.shape[0] * w.size):
        _forward(_contiguous(x), _contiguous(w), _contiguous(b), *block, sums, out)
    return out


def dense_backward_input(dout: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Schedule: parallel over SLICES slices of the inputs; each writes its own columns, by products as the forward."""
    dx = empty((dout.shape[0], w.shape[0]), dout.dtype)
    rows, columns = _block(len(dout), w.shape, dout.size <= MOST_GRADIENT)
    if rows < w.shape[0]:
        rows = min(rows, max(1, SMALL_OUTPUT // len(dout)))
    with products(dout.shape[0] * w.size):
        _backward_input(_contiguous(dout), _contiguous(w), rows, columns, min(SLICES, w.shape[0]), dx)
    return dx


def dense_backward_params(dout: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Schedule: parallel over SLICES slices of the inputs; each writes its own rows of dw, by small products if there
    are few vectors, which then are all factors that are read."""
    dw = empty((x.shape[1], dout.shape[1]), x.dtype)
    block = _block(len(x), dw.shape, len(x) <= MOST_VECTORS)
    with products(dout.shape[0] * dw.size):
        _backward_params(_contiguous(dout), _contiguous(x), *block, min(SLICES, x.shape[1]), dw)
    return dw, dout.sum(axis=0)


def _block(n: int, w_shape: tuple[int, ...], few: bool) -> tuple[int, int]:
    """Rows and columns of w in one product of n vectors: those of a slice; or less, if the vectors are ``few`` and the
    product would be large."""
    inputs, outputs = w_shape
    if not few or n * -(-inputs // SLICES) * outputs <= SMALL_PRODUCT:
        return inputs, outputs
    return ROWS, min(outputs, COLUMNS, max(1, SMALL_PRODUCT // (ROWS * n)))


@parallel
def _forward(x, w, b, rows, columns, sums, out):  # type: ignore[no-untyped-def]
    slices = sums.shape[0]
    for index in numba.prange(slices):
        begin, end = slice_bounds(np.intp(index), slices, w.shape[0])
        for first in range(begin, end, rows):
            last = min(first + rows, end)
            for left in range(0, w.shape[1], columns):
                right = min(left + columns, w.shape[1])
                add_product(x[:, first:last], w[first:last, left:right], first > begin, sums[index, :, left:right])
    for n in numba.prange(out.shape[0]):
        total = out[n]
        for f in range(total.size):
            total[f] = b[f]
        for index in range(slices):
            terms = sums[index, n]
            for f in range(total.size):
                total[f] += terms[f]


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
def _backward_params(dout, x, rows, columns, slices, dw):  # type: ignore[no-untyped-def]
    for index in numba.prange(slices):
        begin, end = slice_bounds(np.intp(index), slices, dw.shape[0])
        for first in range(begin, end, rows):
            last = min(first + rows, end)
            for left in range(0, dw.shape[1], columns):
                right = min(left + columns, dw.shape[1])
                add_product(x[:, first:last].T, dout[:, left:right], False, dw[first:last, left:right])
