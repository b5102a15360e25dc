"""The convolution's three functions on the CPU: checks and groups here, the schedule in ``gemm``.

An algorithm is a module with ``forward``, ``backward_input`` and ``backward_params`` for contiguous arrays, one group.
A grouped convolution is that many separate convolutions on slices of the channels.
"""

from __future__ import annotations

import numpy as np

from ...geometry import Window
from ..contract import check_conv2d_backward_input, check_conv2d_backward_params, check_conv2d_forward, group_slices
from . import gemm


def conv2d_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, window: Window, groups: int = 1) -> np.ndarray:
    """Convolution of a batch of images with a bank of filters, plus a bias per filter; see reference.

    Schedule
        One group after the other; within a group as in ``gemm.forward``.
    """
    out_shape = check_conv2d_forward(x, w, b, window, groups)
    if groups == 1:
        return gemm.forward(_contiguous(x), _contiguous(w), _contiguous(b), window)
    out = np.empty(out_shape, x.dtype)
    for channels, filters in group_slices(x.shape[3], w.shape[3], groups):
        out[..., filters] = gemm.forward(
            _contiguous(x[..., channels]), _contiguous(w[..., filters]), _contiguous(b[filters]), window
        )
    return out


def conv2d_backward_input(
    dout: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], window: Window, groups: int = 1
) -> np.ndarray:
    """Gradient with respect to the images: every output hands its gradient back to its pixels; see reference.

    Schedule
        One group after the other; within a group as in ``gemm.backward_input``.
    """
    check_conv2d_backward_input(dout, w, x_shape, window, groups)
    if groups == 1:
        return gemm.backward_input(_contiguous(dout), _contiguous(w), x_shape, window)
    dx = np.empty(x_shape, dout.dtype)
    for channels, filters in group_slices(x_shape[3], w.shape[3], groups):
        group_shape = (*x_shape[:3], w.shape[2])
        dx[..., channels] = gemm.backward_input(
            _contiguous(dout[..., filters]), _contiguous(w[..., filters]), group_shape, window
        )
    return dx


def conv2d_backward_params(
    dout: np.ndarray, x: np.ndarray, window: Window, groups: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients with respect to the filters and the bias: both are sums over every output; see reference.

    Schedule
        One group after the other; within a group as in ``gemm.backward_params``.
    """
    check_conv2d_backward_params(dout, x, window, groups)
    parts = [
        gemm.backward_params(_contiguous(dout[..., filters]), _contiguous(x[..., channels]), window)
        for channels, filters in group_slices(x.shape[3], dout.shape[3], groups)
    ]
    dws, dbs = zip(*parts, strict=True)
    return (dws[0], dbs[0]) if groups == 1 else (np.concatenate(dws, axis=3), np.concatenate(dbs))


_contiguous = np.ascontiguousarray
