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

MOST_FORWARD, MOST_PARAMS = 64, 64
"""Up to so many vectors of a batch, OpenBLAS takes most of the time of a large product to copy w first, or to copy what
dw is made of. Products are then cut until it copies nothing. For more vectors the copy pays."""

MOST_GRADIENT = 1 << 16
"""Up to so many elements of dout, the same for dx, whose products are so small that each reads all of dout again: the
256 KB stay in the cache of a core."""

VECTORS = 16
"""Vectors of a small product, at most; less if it would otherwise have fewer rows of w than that."""

ROWS = 4, 64
"""Rows of dw of a small product: at least, as each reads all of dout, and at most."""

_contiguous = np.ascontiguousarray


def dense_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Schedule: parallel over SLICES slices of the inputs, whose rows of w are neighbours in memory: even a batch of
    one has work for all threads. Each slice makes a partial sum, of small products if there are few vectors; a second
    loop, parallel over the vectors, adds the partial sums in order."""
    out = empty((x.shape[0], w.shape[1]), x.dtype)
    sums = empty((min(SLICES, x.shape[1]), *out.shape), x.dtype)
    with products(x.shape[0] * w.size):
        _forward(_contiguous(x), _contiguous(w), _contiguous(b), *_cut(x.shape[0], MOST_FORWARD, w.shape), sums, out)
    return out


def dense_backward_input(dout: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Schedule: parallel over SLICES slices of the inputs; each writes its own columns, by products as the forward."""
    dx = empty((dout.shape[0], w.shape[0]), dout.dtype)
    vectors, rows = _cut(dout.shape[0], MOST_GRADIENT // w.shape[1], w.shape)
    if rows < w.shape[0]:
        rows = min(rows, max(1, SMALL_OUTPUT // vectors))
    with products(dout.shape[0] * w.size):
        _backward_input(_contiguous(dout), _contiguous(w), vectors, rows, min(SLICES, w.shape[0]), dx)
    return dx


def dense_backward_params(dout: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Schedule: parallel over SLICES slices of the inputs; each writes its own rows of dw, by small products if there
    are few vectors, which then are all factors that are read."""
    dw = empty((x.shape[1], dout.shape[1]), x.dtype)
    least, most = ROWS
    rows = min(SMALL_PRODUCT // max(1, dout.size), most)
    rows = rows if dout.shape[0] <= MOST_PARAMS and rows >= least else x.shape[1]
    with products(dout.shape[0] * dw.size):
        _backward_params(_contiguous(dout), _contiguous(x), rows, min(SLICES, x.shape[1]), dw)
    return dw, dout.sum(axis=0)


def _cut(n: int, most: int, w_shape: tuple[int, ...]) -> tuple[int, int]:
    """The vectors and the rows of w of one product: those of a slice, or fewer if there are few vectors."""
    inputs, outputs = w_shape
    if n > most or n * -(-inputs // SLICES) * outputs <= SMALL_PRODUCT:
        return n, inputs
    vectors = max(1, min(n, VECTORS, SMALL_PRODUCT // (VECTORS * outputs)))
    return vectors, max(1, SMALL_PRODUCT // (vectors * outputs))


@parallel
def _forward(x, w, b, vectors, rows, sums, out):  # type: ignore[no-untyped-def]
    slices = sums.shape[0]
    for index in numba.prange(slices):
        begin, end = slice_bounds(np.intp(index), slices, w.shape[0])
        for first in range(begin, end, rows):
            last = min(first + rows, end)
            for low in range(0, x.shape[0], vectors):
                high = min(low + vectors, x.shape[0])
                add_product(x[low:high, first:last], w[first:last], first > begin, sums[index, low:high])
    for n in numba.prange(out.shape[0]):
        total = out[n]
        for f in range(total.size):
            total[f] = b[f]
        for index in range(slices):
            terms = sums[index, n]
            for f in range(total.size):
                total[f] += terms[f]


@parallel
def _backward_input(dout, w, vectors, rows, slices, dx):  # type: ignore[no-untyped-def]
    for index in numba.prange(slices):
        begin, end = slice_bounds(np.intp(index), slices, w.shape[0])
        for first in range(begin, end, rows):
            last = min(first + rows, end)
            for low in range(0, dout.shape[0], vectors):
                high = min(low + vectors, dout.shape[0])
                add_product(dout[low:high], w[first:last].T, False, dx[low:high, first:last])


@parallel
def _backward_params(dout, x, rows, slices, dw):  # type: ignore[no-untyped-def]
    for index in numba.prange(slices):
        begin, end = slice_bounds(np.intp(index), slices, dw.shape[0])
        for first in range(begin, end, rows):
            last = min(first + rows, end)
            add_product(x[:, first:last].T, dout, False, dw[first:last])
