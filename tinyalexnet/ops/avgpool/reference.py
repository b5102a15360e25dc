"""Average-pooling in NumPy."""

import numpy as np

from ...geometry import Window
from ..padding import padded_zeros


def avgpool_forward(x: np.ndarray, window: Window) -> np.ndarray:
    out_size = window.output_size((x.shape[1], x.shape[2]))
    inside, padded = padded_zeros(x.shape, window, x.dtype)
    inside[...] = x
    total = np.zeros((x.shape[0], *out_size, x.shape[3]), x.dtype)
    for _, _, rows, columns in window.positions(out_size):
        total += padded[:, rows, columns]
    out: np.ndarray = total / _counts(x.shape, window, x.dtype)
    return out


def avgpool_backward(dout: np.ndarray, x_shape: tuple[int, ...], window: Window) -> np.ndarray:
    dx, padded = padded_zeros(x_shape, window, dout.dtype)
    shares = dout / _counts(x_shape, window, dout.dtype)
    for _, _, rows, columns in window.positions(dout.shape[1:3]):
        # Forward: each pixel of the window was added once. The gradient of a sum goes to each of its terms.
        padded[:, rows, columns] += shares
    return np.ascontiguousarray(dx)


def _counts(x_shape: tuple[int, ...], window: Window, dtype: np.dtype) -> np.ndarray:
    """The number of pixels of the image in each window, (1, OH, OW, 1)."""
    inside, padded = padded_zeros((1, *x_shape[1:3], 1), window, dtype)
    inside[...] = 1
    out_size = window.output_size((x_shape[1], x_shape[2]))
    counts: np.ndarray = np.sum(
        [padded[:, rows, columns] for _, _, rows, columns in window.positions(out_size)], axis=0
    )
    return counts
