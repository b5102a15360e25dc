"""ReLU on a GPU."""

from typing import Any

from ...devices.cuda.memory import empty
from ...devices.cuda.runtime import cuda, kernel, launch


def relu_forward(x: Any, out: Any) -> Any:
    """Schedule: one thread per element."""
    y = empty(x.shape, x.dtype) if out is None else out
    launch(_forward, x.size, x.reshape(x.size), y.reshape(y.size))
    return y


def relu_backward(dout: Any, y: Any, out: Any) -> Any:
    """Schedule: one thread per element."""
    dx = empty(dout.shape, dout.dtype) if out is None else out
    launch(_backward, y.size, dout.reshape(y.size), y.reshape(y.size), dx.reshape(y.size))
    return dx


@kernel
def _forward(x, y):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index < x.size:
        value = x[index]
        y[index] = x.dtype.type(0) if value <= 0 else value


@kernel
def _backward(dout, y, dx):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index < y.size:
        dx[index] = y.dtype.type(0) if y[index] <= 0 else dout[index]
