"""The convolutions of the pictures, with one image, one channel and one filter, as matrices: all from the package."""

from __future__ import annotations

import numpy as np

from tinyalexnet.geometry import Window
from tinyalexnet.ops.conv2d import conv2d_backward_input, conv2d_backward_params, conv2d_forward


def forward(x: np.ndarray, w: np.ndarray, window: Window) -> np.ndarray:
    image, filters = x[None, :, :, None], w[:, :, None, None]
    return conv2d_forward(image, filters, np.zeros(1), window, backend="reference")[0, :, :, 0]


def backward_input(dout: np.ndarray, w: np.ndarray, size: tuple[int, int], window: Window) -> np.ndarray:
    gradient, filters = dout[None, :, :, None], w[:, :, None, None]
    return conv2d_backward_input(gradient, filters, (1, *size, 1), window, backend="reference")[0, :, :, 0]


def backward_params(dout: np.ndarray, x: np.ndarray, window: Window) -> np.ndarray:
    gradient, image = dout[None, :, :, None], x[None, :, :, None]
    return conv2d_backward_params(gradient, image, window, backend="reference")[0][:, :, 0, 0]


def share(dout: np.ndarray, w: np.ndarray, size: tuple[int, int], window: Window, oh: int, ow: int) -> np.ndarray:
    """What one output alone hands back: the backward of a ``dout`` that is 0 everywhere else."""
    alone = np.zeros_like(dout)
    alone[oh, ow] = dout[oh, ow]
    return backward_input(alone, w, size, window)


def windows_over(size: tuple[int, int], window: Window) -> np.ndarray:
    """For each pixel, the number of windows that see it: the backward of ones, with a kernel of ones."""
    return backward_input(np.ones(window.output_size(size)), np.ones(window.kernel), size, window)


def zeros_between(dout: np.ndarray, window: Window) -> np.ndarray:
    """``dout`` with stride - 1 rows and columns of zeros between its own."""
    rows, columns = ((count - 1) * stride + 1 for count, stride in zip(dout.shape, window.stride, strict=True))
    spread = np.zeros((rows, columns))
    spread[:: window.stride[0], :: window.stride[1]] = dout
    return spread
