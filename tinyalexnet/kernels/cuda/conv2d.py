"""The convolution's three functions on a GPU."""

from __future__ import annotations

from typing import Any

from ...geometry import Window
from ..algorithm import check_algorithm
from ..contract import check_conv2d_backward_input, check_conv2d_backward_params, check_conv2d_forward
from .runtime import cuda, empty, kernel, launch, position, stand_in, windows_over


def conv2d_forward(x: Any, w: Any, b: Any, window: Window, groups: int = 1, algorithm: str = "auto") -> Any:
    """Convolution of a batch of images with a bank of filters, plus a bias per filter; see reference.

    Schedule
        A thread for each output, which sums over its window. Neighbouring threads have neighbouring filters: they read
        the same pixels, and weights that lie side by side.
    """
    _check_algorithm(algorithm)
    out_shape = check_conv2d_forward(stand_in("x", x), stand_in("w", w), stand_in("b", b), window, groups)
    out = empty(out_shape, x.dtype)
    launch(_forward, out.size, x, w, b, window.stride, window.before(x.shape[1:3]), groups, out)
    return out


def conv2d_backward_input(
    dout: Any, w: Any, x_shape: tuple[int, ...], window: Window, groups: int = 1, algorithm: str = "auto"
) -> Any:
    """Gradient with respect to the images: every output hands its gradient back to its pixels; see reference.

    Schedule
        A thread for each pixel and channel, which gathers from the outputs whose windows hold it: no two threads write
        the same number, and the order of the additions is fixed.
    """
    _check_algorithm(algorithm)
    check_conv2d_backward_input(stand_in("dout", dout), stand_in("w", w), x_shape, window, groups)
    dx = empty(x_shape, dout.dtype)
    launch(_backward_input, dx.size, dout, w, window.stride, window.before(x_shape[1:3]), groups, dx)
    return dx


def conv2d_backward_params(
    dout: Any, x: Any, window: Window, groups: int = 1, algorithm: str = "auto"
) -> tuple[Any, Any]:
    """Gradients with respect to the filters and the bias: both are sums over every output; see reference.

    Schedule
        A thread for each weight, and one for each bias, which sums over all outputs of the batch.
    """
    _check_algorithm(algorithm)
    check_conv2d_backward_params(stand_in("dout", dout), stand_in("x", x), window, groups)
    dw = empty((*window.kernel, x.shape[3] // groups, dout.shape[3]), x.dtype)
    db = empty((dout.shape[3],), x.dtype)
    launch(_backward_weights, dw.size, dout, x, window.stride, window.before(x.shape[1:3]), groups, dw)
    launch(_backward_bias, db.size, dout, db)
    return dw, db


def _check_algorithm(algorithm: str) -> None:
    check_algorithm(algorithm)
    if algorithm == "winograd":
        raise ValueError("algorithm is 'winograd', but must be 'auto' or 'gemm' on a GPU")


@kernel
def _forward(x, w, b, stride, pad, groups, out):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index >= out.size:
        return
    n, oh, ow, f = position(index, out.shape)
    kernel_h, kernel_w, channels, filters = w.shape
    first = f // (filters // groups) * channels
    total = b[f]
    for kh in range(kernel_h):
        h = oh * stride[0] + kh - pad[0]
        if 0 <= h < x.shape[1]:
            for kw in range(kernel_w):
                i = ow * stride[1] + kw - pad[1]
                if 0 <= i < x.shape[2]:
                    for c in range(channels):
                        total += x[n, h, i, first + c] * w[kh, kw, c, f]
    out[n, oh, ow, f] = total


@kernel
def _backward_input(dout, w, stride, pad, groups, dx):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index >= dx.size:
        return
    n, h, i, channel = position(index, dx.shape)
    kernel_h, kernel_w, channels, filters = w.shape
    group, c = divmod(channel, channels)
    group_filters = filters // groups
    first_h, end_h = windows_over(h + pad[0], kernel_h, stride[0], dout.shape[1])
    first_w, end_w = windows_over(i + pad[1], kernel_w, stride[1], dout.shape[2])
    total = dx.dtype.type(0)
    for oh in range(first_h, end_h):
        for ow in range(first_w, end_w):
            kh, kw = h + pad[0] - oh * stride[0], i + pad[1] - ow * stride[1]
            for f in range(group * group_filters, (group + 1) * group_filters):
                total += dout[n, oh, ow, f] * w[kh, kw, c, f]
    dx[n, h, i, channel] = total


@kernel
def _backward_weights(dout, x, stride, pad, groups, dw):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index >= dw.size:
        return
    kh, kw, c, f = position(index, dw.shape)
    channel = f // (dw.shape[3] // groups) * dw.shape[2] + c
    total = dw.dtype.type(0)
    for n in range(dout.shape[0]):
        for oh in range(dout.shape[1]):
            h = oh * stride[0] + kh - pad[0]
            if 0 <= h < x.shape[1]:
                for ow in range(dout.shape[2]):
                    i = ow * stride[1] + kw - pad[1]
                    if 0 <= i < x.shape[2]:
                        total += x[n, h, i, channel] * dout[n, oh, ow, f]
    dw[kh, kw, c, f] = total


@kernel
def _backward_bias(dout, db):  # type: ignore[no-untyped-def]
    f = cuda.grid(1)
    if f >= db.size:
        return
    total = db.dtype.type(0)
    for n in range(dout.shape[0]):
        for oh in range(dout.shape[1]):
            for ow in range(dout.shape[2]):
                total += dout[n, oh, ow, f]
    db[f] = total
