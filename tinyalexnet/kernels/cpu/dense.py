"""The dense layer, compiled: products of matrices, cut along the inputs so that each weight is read once."""

from __future__ import annotations

import numba
import numpy as np

from ..contract import check_dense_backward_input, check_dense_backward_params, check_dense_forward
from .memory import empty
from .runtime import one_blas_thread, parallel, run_of

PARTS = 16
"""The inputs are taken in so many runs, whatever the number of threads: so every rounding is the same on any."""

_contiguous = np.ascontiguousarray


def dense_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Weighted sums of a batch of vectors, plus a bias per output; see reference.

    Schedule
        Parallel over PARTS runs of inputs, whose rows of w lie side by side: a batch of one has work for all threads
        too. Each run makes a partial sum; a second loop, parallel over the vectors, adds them up in order.
    """
    check_dense_forward(x, w, b)
    out = empty((x.shape[0], w.shape[1]), x.dtype)
    sums = empty((min(PARTS, x.shape[1]), *out.shape), x.dtype)
    with one_blas_thread():
        _forward(_contiguous(x), _contiguous(w), _contiguous(b), sums, out)
    return out


def dense_backward_input(dout: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Gradient with respect to the vectors: every output hands its gradient back along the weights; see reference.

    Schedule
        Parallel over PARTS runs of inputs, each of which writes columns of its own.
    """
    check_dense_backward_input(dout, w)
    dx = empty((dout.shape[0], w.shape[0]), dout.dtype)
    with one_blas_thread():
        _backward_input(_contiguous(dout), _contiguous(w), min(PARTS, w.shape[0]), dx)
    return dx


def dense_backward_params(dout: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients with respect to the weights and the bias: both are sums over the batch; see reference.

    Schedule
        Parallel over PARTS runs of inputs, each of which writes rows of dw of its own.
    """
    check_dense_backward_params(dout, x)
    dw = empty((x.shape[1], dout.shape[1]), x.dtype)
    with one_blas_thread():
        _backward_params(_contiguous(dout), _contiguous(x), min(PARTS, x.shape[1]), dw)
    return dw, dout.sum(axis=0)


@parallel
def _forward(x, w, b, sums, out):  # type: ignore[no-untyped-def]
    parts = sums.shape[0]
    for part in numba.prange(parts):
        first, last = run_of(np.intp(part), parts, w.shape[0])
        np.dot(x[:, first:last].copy(), w[first:last], sums[part])
    for n in numba.prange(out.shape[0]):
        total = out[n]
        for f in range(total.size):
            total[f] = b[f]
        for part in range(parts):
            numbers = sums[part, n]
            for f in range(total.size):
                total[f] += numbers[f]


@parallel
def _backward_input(dout, w, parts, dx):  # type: ignore[no-untyped-def]
    for part in numba.prange(parts):
        first, last = run_of(np.intp(part), parts, w.shape[0])
        dx[:, first:last] = np.dot(dout, w[first:last].T)


@parallel
def _backward_params(dout, x, parts, dw):  # type: ignore[no-untyped-def]
    for part in numba.prange(parts):
        first, last = run_of(np.intp(part), parts, dw.shape[0])
        np.dot(x[:, first:last].copy().T, dout, dw[first:last])
