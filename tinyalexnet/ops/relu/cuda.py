"""ReLU on a GPU."""

from typing import Any

import numpy as np

from ...devices.cuda.memory import empty
from ...devices.cuda.runtime import cuda, device, kernel, load, load4, store, store4
from ...devices.cuda.unrolled import unrolled_tuple
from ...devices.cuda.vectors import launch_by_four


def relu_forward(x: Any, out: Any) -> Any:
    """Schedule: one thread per four elements, which it loads and stores with 16 bytes each."""
    y = empty(x.shape, x.dtype) if out is None else out
    y.forget()
    launch_by_four(_forward, (x, y))
    return y


def relu_backward(dout: Any, y: Any, out: Any) -> Any:
    """Schedule: one thread per four elements, which it loads and stores with 16 bytes each."""
    dx = empty(dout.shape, dout.dtype) if out is None else out
    dx.forget()
    launch_by_four(_backward, (dout, y, dx))
    return dx


@device
def _chosen(value, y):  # type: ignore[no-untyped-def]
    """``value`` where y is positive, or NaN; else 0."""
    return type(value)(0) if y <= 0 else value


_four_chosen = unrolled_tuple(4, "values, y", "chosen(values[{k}], y[{k}])", chosen=_chosen)


@kernel
def _forward(x, y):  # type: ignore[no-untyped-def]
    at = 4 * cuda.grid(1)
    if at + 4 <= x.size:
        four = load4(x, np.int32(at))
        store4(y, np.int32(at), _four_chosen(four, four))
    else:
        for k in range(at, x.size):
            value = load(x, k)
            store(y, k, _chosen(value, value))


@kernel
def _backward(dout, y, dx):  # type: ignore[no-untyped-def]
    at = 4 * cuda.grid(1)
    if at + 4 <= y.size:
        store4(dx, np.int32(at), _four_chosen(load4(dout, np.int32(at)), load4(y, np.int32(at))))
    else:
        for k in range(at, y.size):
            store(dx, k, _chosen(load(dout, k), load(y, k)))
