"""The rectified linear unit on a GPU."""

from __future__ import annotations

from typing import Any

from ..contract import check_relu_backward, check_relu_forward, check_same_dtype, check_shape
from .memory import empty
from .runtime import cuda, kernel, launch, stand_in


def relu_forward(x: Any, out: Any = None) -> Any:
    """Keeps what is positive; see reference.

    Schedule
        A thread for each number.
    """
    check_relu_forward(stand_in("x", x), None)
    y = _out_like("x", x, out)
    launch(_forward, x.size, x.reshape(x.size), y.reshape(y.size))
    return y


def relu_backward(dout: Any, y: Any, out: Any = None) -> Any:
    """Gradient with respect to x, told from the output y alone; see reference.

    Schedule
        A thread for each number.
    """
    check_relu_backward(stand_in("dout", dout), stand_in("y", y), None)
    dx = _out_like("dout", dout, out)
    launch(_backward, y.size, dout.reshape(y.size), y.reshape(y.size), dx.reshape(y.size))
    return dx


def _out_like(name: str, array: Any, out: Any) -> Any:
    if out is None:
        return empty(array.shape, array.dtype)
    check_same_dtype("out", stand_in("out", out), name, array)
    check_shape("out", out, array.shape, f"the shape of {name}")
    return out


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
