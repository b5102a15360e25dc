"""ReLU, compiled."""

import numba
import numpy as np

from ...devices.cpu.compiler import streaming
from ...devices.cpu.recording import contiguous


def relu_forward(x: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    """Schedule: parallel over the elements; each is read once and written once."""
    y = np.empty(x.shape, x.dtype) if out is None else out
    _forward(_flat(x), y.reshape(-1))
    return y


def relu_backward(dout: np.ndarray, y: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    """Schedule: parallel over the elements; each is read once and written once."""
    dx = np.empty(dout.shape, dout.dtype) if out is None else out
    _backward(_flat(dout), _flat(y), dx.reshape(-1))
    return dx


def _flat(array: np.ndarray) -> np.ndarray:
    return contiguous(array).reshape(-1)


@streaming
def _forward(x, y):  # type: ignore[no-untyped-def]
    zero = x.dtype.type(0)
    for i in numba.prange(x.size):
        # Asked this way round, a NaN is kept.
        y[i] = zero if x[i] <= zero else x[i]


@streaming
def _backward(dout, y, dx):  # type: ignore[no-untyped-def]
    zero = y.dtype.type(0)
    for i in numba.prange(dout.size):
        dx[i] = zero if y[i] <= zero else dout[i]
