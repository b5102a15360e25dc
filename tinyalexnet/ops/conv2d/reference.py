"""The convolution and its two adjoints in NumPy, as a sum over the positions of the kernel.

At one kernel position (kh, kw) a convolution is a matrix product: the pixels that the position meets, times the filters
there. The forward adds these products up. Both backwards are the same loop with the product transposed.
"""

import numpy as np

from ...geometry import Window
from ..padding import padded_zeros
from .groups import group_slices


def conv2d_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, window: Window, groups: int) -> np.ndarray:
    out_size = window.output_size((x.shape[1], x.shape[2]))
    padded = _pad(x, window)
    out = np.empty((x.shape[0], *out_size, w.shape[3]), x.dtype)
    out[...] = b
    for channels, filters in group_slices(x.shape[3], w.shape[3], groups):
        for kh, kw, rows, columns in window.positions(out_size):
            out[..., filters] += padded[:, rows, columns, channels] @ w[kh, kw, :, filters]
    return out


def conv2d_backward_input(
    dout: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], window: Window, groups: int
) -> np.ndarray:
    dx, padded = padded_zeros(x_shape, window, dout.dtype)
    for channels, filters in group_slices(x_shape[3], w.shape[3], groups):
        for kh, kw, rows, columns in window.positions(dout.shape[1:3]):
            # Forward: out += pixels @ w. The pixels' gradient is dout times w transposed; windows overlap, so it adds.
            padded[:, rows, columns, channels] += dout[..., filters] @ w[kh, kw, :, filters].T
    return np.ascontiguousarray(dx)


def conv2d_backward_params(
    dout: np.ndarray, x: np.ndarray, window: Window, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    padded = _pad(x, window)
    dw = np.empty((*window.kernel, x.shape[3] // groups, dout.shape[3]), x.dtype)
    for channels, filters in group_slices(x.shape[3], dout.shape[3], groups):
        for kh, kw, rows, columns in window.positions(dout.shape[1:3]):
            # Forward: out += pixels @ w. The filters' gradient is the pixels transposed times dout, over all images.
            pixels = padded[:, rows, columns, channels]
            dw[kh, kw, :, filters] = np.tensordot(pixels, dout[..., filters], axes=((0, 1, 2), (0, 1, 2)))
    return dw, dout.sum(axis=(0, 1, 2))


def _pad(x: np.ndarray, window: Window) -> np.ndarray:
    inside, padded = padded_zeros(x.shape, window, x.dtype)
    inside[...] = x
    return padded
