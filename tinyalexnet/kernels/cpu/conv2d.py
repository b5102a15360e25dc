"""The convolution's three functions on the CPU: checks and the choice of an algorithm.

An algorithm is a module with ``forward``, ``backward_input`` and ``backward_params`` for contiguous arrays:
``winograd``, where ``winograd_tile`` finds a tile, takes groups as they lie; ``gemm`` takes one group, so that a
grouped convolution is that many separate ones on copied slices of the channels.
"""

from __future__ import annotations

import numpy as np

from ...geometry import Window
from ..algorithm import winograd_tile
from ..contract import (
    by_groups,
    check_conv2d_backward_input,
    check_conv2d_backward_params,
    check_conv2d_forward,
    group_shapes,
)
from . import gemm, winograd

_contiguous = np.ascontiguousarray


def conv2d_forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, window: Window, groups: int = 1, algorithm: str = "auto"
) -> np.ndarray:
    """Convolution of a batch of images with a bank of filters, plus a bias per filter; see reference.

    Schedule
        As in ``winograd.forward``, or in ``gemm.forward`` for one group after the other.
    """
    check_conv2d_forward(x, w, b, window, groups)
    tile = winograd_tile(algorithm, *group_shapes(x.shape, w.shape[3], window, groups), window, x.dtype)
    if tile is not None:
        return winograd.forward(_contiguous(x), w, b, window, tile, groups)

    def compute(channels: slice, filters: slice) -> np.ndarray:
        arrays = _contiguous(x[..., channels]), _contiguous(w[..., filters]), _contiguous(b[filters])
        return gemm.forward(*arrays, window)

    return by_groups(compute, x.shape[3], w.shape[3], groups)


def conv2d_backward_input(
    dout: np.ndarray,
    w: np.ndarray,
    x_shape: tuple[int, ...],
    window: Window,
    groups: int = 1,
    algorithm: str = "auto",
) -> np.ndarray:
    """Gradient with respect to the images: every output hands its gradient back to its pixels; see reference.

    Schedule
        As in ``winograd.backward_input``, or in ``gemm.backward_input`` for one group after the other.
    """
    check_conv2d_backward_input(dout, w, x_shape, window, groups)
    group_shape, w_shape = group_shapes(x_shape, w.shape[3], window, groups)
    tile = winograd_tile(algorithm, group_shape, w_shape, window, dout.dtype)
    if tile is not None:
        return winograd.backward_input(_contiguous(dout), w, x_shape, window, tile, groups)

    def compute(_: slice, filters: slice) -> np.ndarray:
        arrays = _contiguous(dout[..., filters]), _contiguous(w[..., filters])
        return gemm.backward_input(*arrays, group_shape, window)

    return by_groups(compute, x_shape[3], w.shape[3], groups)


def conv2d_backward_params(
    dout: np.ndarray, x: np.ndarray, window: Window, groups: int = 1, algorithm: str = "auto"
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients with respect to the filters and the bias: both are sums over every output; see reference.

    Schedule
        As in ``winograd.backward_params``, or in ``gemm.backward_params`` for one group after the other.
    """
    check_conv2d_backward_params(dout, x, window, groups)
    tile = winograd_tile(algorithm, *group_shapes(x.shape, dout.shape[3], window, groups), window, x.dtype)
    if tile is not None:
        return winograd.backward_params(_contiguous(dout), _contiguous(x), window, tile, groups)
    db = np.empty(dout.shape[3], x.dtype)

    def compute(channels: slice, filters: slice) -> np.ndarray:
        dw, db[filters] = gemm.backward_params(_contiguous(dout[..., filters]), _contiguous(x[..., channels]), window)
        return dw

    return by_groups(compute, x.shape[3], dout.shape[3], groups), db
