"""The dense layer on a GPU."""

from __future__ import annotations

from typing import Any

from ..contract import check_dense_backward_input, check_dense_backward_params, check_dense_forward
from .runtime import cuda, empty, kernel, launch, stand_in


def dense_forward(x: Any, w: Any, b: Any) -> Any:
    """Weighted sums of a batch of vectors, plus a bias per output; see reference.

    Schedule
        A thread for each output.
    """
    check_dense_forward(stand_in("x", x), stand_in("w", w), stand_in("b", b))
    out = empty((x.shape[0], w.shape[1]), x.dtype)
    launch(_forward, out.size, x, w, b, out)
    return out


def dense_backward_input(dout: Any, w: Any) -> Any:
    """Gradient with respect to the vectors; see reference.

    Schedule
        A thread for each number of dx.
    """
    check_dense_backward_input(stand_in("dout", dout), stand_in("w", w))
    dx = empty((dout.shape[0], w.shape[0]), dout.dtype)
    launch(_backward_input, dx.size, dout, w, dx)
    return dx


def dense_backward_params(dout: Any, x: Any) -> tuple[Any, Any]:
    """Gradients with respect to the weights and the bias: both are sums over the batch; see reference.

    Schedule
        A thread for each weight, and one for each bias.
    """
    check_dense_backward_params(stand_in("dout", dout), stand_in("x", x))
    dw, db = empty((x.shape[1], dout.shape[1]), x.dtype), empty((dout.shape[1],), x.dtype)
    launch(_backward_weights, dw.size, dout, x, dw)
    launch(_backward_bias, db.size, dout, db)
    return dw, db


@kernel
def _forward(x, w, b, out):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index >= out.size:
        return
    n, f = divmod(index, out.shape[1])
    total = b[f]
    for c in range(x.shape[1]):
        total += x[n, c] * w[c, f]
    out[n, f] = total


@kernel
def _backward_input(dout, w, dx):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index >= dx.size:
        return
    n, c = divmod(index, dx.shape[1])
    total = dx.dtype.type(0)
    for f in range(w.shape[1]):
        total += dout[n, f] * w[c, f]
    dx[n, c] = total


@kernel
def _backward_weights(dout, x, dw):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index >= dw.size:
        return
    c, f = divmod(index, dw.shape[1])
    total = dw.dtype.type(0)
    for n in range(x.shape[0]):
        total += x[n, c] * dout[n, f]
    dw[c, f] = total


@kernel
def _backward_bias(dout, db):  # type: ignore[no-untyped-def]
    f = cuda.grid(1)
    if f >= db.size:
        return
    total = db.dtype.type(0)
    for n in range(dout.shape[0]):
        total += dout[n, f]
    db[f] = total
