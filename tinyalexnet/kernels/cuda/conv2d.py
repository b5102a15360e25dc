"""The convolution's three functions on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...geometry import Window
from ..algorithm import winograd_tile
from ..contract import (
    check_conv2d_backward_input,
    check_conv2d_backward_params,
    check_conv2d_forward,
    group_shapes,
)
from ..cook_toom import Tile
from . import tiles, winograd
from .memory import empty
from .reduction import column_sums
from .runtime import cuda, kernel, launch, position, stand_in, windows_over


def conv2d_forward(x: Any, w: Any, b: Any, window: Window, groups: int = 1, algorithm: str = "auto") -> Any:
    """Convolution of a batch of images with a bank of filters, plus a bias per filter; see reference.

    Schedule
        ``tiles.convolve``: a product of matrices in tiles, of which a block of threads computes one. By Winograd, a
        product for each point, between transforms with a thread for each row of a tile.
    """
    out_shape = check_conv2d_forward(stand_in("x", x), stand_in("w", w), stand_in("b", b), window, groups)
    out = empty(out_shape, x.dtype)
    before = window.before(x.shape[1:3])
    if (tile := _tile(algorithm, x.shape, w.shape[3], window, groups, w.dtype)) is not None:
        winograd.forward(x, w, b, before, groups, tile, out)
    else:
        tiles.convolve(x, w, b, window.stride, before, groups, out)
    return out


def conv2d_backward_input(
    dout: Any, w: Any, x_shape: tuple[int, ...], window: Window, groups: int = 1, algorithm: str = "auto"
) -> Any:
    """Gradient with respect to the images: every output hands its gradient back to its pixels; see reference.

    Schedule
        With stride 1 the adjoint of a convolution is a convolution: of dout, with the filters turned by 180° and
        channels and filters exchanged, by either algorithm. With others, a thread for each pixel and channel, which
        gathers from the outputs whose windows hold it: no two threads write the same number, and the order of the
        additions is fixed.
    """
    check_conv2d_backward_input(stand_in("dout", dout), stand_in("w", w), x_shape, window, groups)
    dx = empty(x_shape, dout.dtype)
    before = window.before(x_shape[1:3])
    if (tile := _tile(algorithm, dx.shape, w.shape[3], window, groups, w.dtype)) is not None:
        winograd.backward_input(dout, w, before, groups, tile, dx)
    elif window.stride == (1, 1):
        tiles.convolve_back(dout, w, before, groups, dx)
    else:
        launch(_gather, dx.size, dout, w, window.stride, before, groups, dx)
    return dx


def conv2d_backward_params(
    dout: Any, x: Any, window: Window, groups: int = 1, algorithm: str = "auto"
) -> tuple[Any, Any]:
    """Gradients with respect to the filters and the bias: both are sums over every output; see reference.

    Schedule
        ``tiles.correlate``: the sums over the batch are taken in parts, where there are few weights; and
        ``column_sums`` for the bias.
    """
    check_conv2d_backward_params(stand_in("dout", dout), stand_in("x", x), window, groups)
    dw = empty((*window.kernel, x.shape[3] // groups, dout.shape[3]), x.dtype)
    db = empty((dout.shape[3],), x.dtype)
    before = window.before(x.shape[1:3])
    if (tile := _tile(algorithm, x.shape, dout.shape[3], window, groups, x.dtype)) is not None:
        winograd.backward_weights(dout, x, before, groups, tile, dw)
    else:
        tiles.correlate(dout, x, window.stride, before, groups, dw)
    column_sums(dout, db)
    return dw, db


def _tile(
    algorithm: str, x_shape: tuple[int, ...], filters: int, window: Window, groups: int, dtype: np.dtype
) -> Tile | None:
    if window.stride != (1, 1):
        if algorithm == "winograd":
            raise ValueError(
                f"algorithm is 'winograd', but must be 'auto' or 'gemm' on a GPU for stride {window.stride}"
            )
        algorithm = "gemm" if algorithm == "auto" else algorithm
    return winograd_tile(algorithm, *group_shapes(x_shape, filters, window, groups), window, dtype)


@kernel
def _gather(dout, w, stride, pad, groups, dx):  # type: ignore[no-untyped-def]
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
