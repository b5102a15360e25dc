"""The dense layer, compiled: products of matrices, cut along the inputs so that each weight is read once."""

import numba
import numpy as np

from ...devices.cpu.compiler import parallel, slice_bounds
from ...devices.cpu.memory import empty
from ...devices.cpu.threads import one_blas_thread

SLICES = 16
"""Slices of the inputs, whatever the number of threads: so every rounding is the same on any."""

_contiguous = np.ascontiguousarray


def dense_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Schedule: parallel over SLICES slices of the inputs, whose rows of w are neighbours in memory: even a batch of
    one has work for all threads. Each slice makes a partial sum; a second loop, parallel over the vectors, adds the
    partial sums in order."""
    out = empty((x.shape[0], w.shape[1]), x.dtype)
    sums = empty((min(SLICES, x.shape[1]), *out.shape), x.dtype)
    with one_blas_thread():
        _forward(_contiguous(x), _contiguous(w), _contiguous(b), sums, out)
    return out


def dense_backward_input(dout: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Schedule: parallel over SLICES slices of the inputs; each writes its own columns."""
    dx = empty((dout.shape[0], w.shape[0]), dout.dtype)
    with one_blas_thread():
        _backward_input(_contiguous(dout), _contiguous(w), min(SLICES, w.shape[0]), dx)
    return dx


def dense_backward_params(dout: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Schedule: parallel over SLICES slices of the inputs; each writes its own rows of dw."""
    dw = empty((x.shape[1], dout.shape[1]), x.dtype)
    with one_blas_thread():
        _backward_params(_contiguous(dout), _contiguous(x), min(SLICES, x.shape[1]), dw)
    return dw, dout.sum(axis=0)


@parallel
def _forward(x, w, b, sums, out):  # type: ignore[no-untyped-def]
    slices = sums.shape[0]
    for index in numba.prange(slices):
        first, last = slice_bounds(np.intp(index), slices, w.shape[0])
        np.dot(x[:, first:last].copy(), w[first:last], sums[index])
    for n in numba.prange(out.shape[0]):
        total = out[n]
        for f in range(total.size):
            total[f] = b[f]
        for index in range(slices):
            terms = sums[index, n]
            for f in range(total.size):
                total[f] += terms[f]


@parallel
def _backward_input(dout, w, slices, dx):  # type: ignore[no-untyped-def]
    for index in numba.prange(slices):
        first, last = slice_bounds(np.intp(index), slices, w.shape[0])
        dx[:, first:last] = np.dot(dout, w[first:last].T)


@parallel
def _backward_params(dout, x, slices, dw):  # type: ignore[no-untyped-def]
    for index in numba.prange(slices):
        first, last = slice_bounds(np.intp(index), slices, dw.shape[0])
        np.dot(x[:, first:last].copy().T, dout, dw[first:last])
