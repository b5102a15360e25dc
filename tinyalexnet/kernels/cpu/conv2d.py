"""The convolution's three functions on the CPU: checks, groups and the choice of an algorithm.

An algorithm is a module with ``forward``, ``backward_input`` and ``backward_params`` for contiguous arrays, one group:
``gemm``, or ``winograd`` where ``winograd_tile`` finds a tile. A grouped convolution is that many separate ones on
slices of the channels.
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
        One group after the other; within a group as in ``gemm.forward`` or ``winograd.forward``.
    """
    check_conv2d_forward(x, w, b, window, groups)
    tile = winograd_tile(algorithm, *group_shapes(x.shape, w.shape[3], window, groups), window, x.dtype)

    def compute(channels: slice, filters: slice) -> np.ndarray:
        arrays = _contiguous(x[..., channels]), _contiguous(w[..., filters]), _contiguous(b[filters])
        return gemm.forward(*arrays, window) if tile is None else winograd.forward(*arrays, window, tile)

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
        One group after the other; within a group as in ``gemm.backward_input`` or ``winograd.backward_input``.
    """
    check_conv2d_backward_input(dout, w, x_shape, window, groups)
    group_shape, w_shape = group_shapes(x_shape, w.shape[3], window, groups)
    tile = winograd_tile(algorithm, group_shape, w_shape, window, dout.dtype)

    def compute(_: slice, filters: slice) -> np.ndarray:
        arrays = _contiguous(dout[..., filters]), _contiguous(w[..., filters])
        if tile is None:
            return gemm.backward_input(*arrays, group_shape, window)
        return winograd.backward_input(*arrays, group_shape, window, tile)

    return by_groups(compute, x_shape[3], w.shape[3], groups)


def conv2d_backward_params(
    dout: np.ndarray, x: np.ndarray, window: Window, groups: int = 1, algorithm: str = "auto"
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients with respect to the filters and the bias: both are sums over every output; see reference.

    Schedule
        One group after the other; within a group as in ``gemm.backward_params`` or ``winograd.backward_params``.
    """
    check_conv2d_backward_params(dout, x, window, groups)
    tile = winograd_tile(algorithm, *group_shapes(x.shape, dout.shape[3], window, groups), window, x.dtype)
    dbs = []

    def compute(channels: slice, filters: slice) -> np.ndarray:
        arrays = _contiguous(dout[..., filters]), _contiguous(x[..., channels])
        if tile is None:
            dw, db = gemm.backward_params(*arrays, window)
        else:
            dw, db = winograd.backward_params(*arrays, window, tile)
        dbs.append(db)
        return dw

    return by_groups(compute, x.shape[3], dout.shape[3], groups), np.concatenate(dbs)
