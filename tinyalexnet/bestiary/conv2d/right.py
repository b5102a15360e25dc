"""What is right: the package's convolution, from plain arguments."""

from __future__ import annotations

import numpy as np

from ...geometry import Pads, Pair, Window
from ...ops import conv2d
from ..pools import REFERENCE

Shape = tuple[int, ...]


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads, groups: int) -> np.ndarray:
    window = Window((w.shape[0], w.shape[1]), stride, pads)
    return conv2d.conv2d_forward(x, w, b, window, groups, "gemm", REFERENCE)


def backward_input(
    dout: np.ndarray, w: np.ndarray, x_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> np.ndarray:
    window = Window((w.shape[0], w.shape[1]), stride, pads)
    return conv2d.conv2d_backward_input(dout, w, x_shape, window, groups, "gemm", REFERENCE)


def backward_params(
    dout: np.ndarray, x: np.ndarray, w_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    window = Window((w_shape[0], w_shape[1]), stride, pads)
    return conv2d.conv2d_backward_params(dout, x, window, groups, "gemm", REFERENCE)
