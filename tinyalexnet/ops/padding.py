"""Zeros around a batch of images, for the reference."""

import numpy as np

from ..geometry import Window


def padded_zeros(shape: tuple[int, ...], window: Window, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Zeros of ``shape`` (N, H, W, C), as a view into a larger array that also holds the padding; and that array."""
    n, height, width, channels = shape
    (top, bottom), (left, right) = window.pads((height, width))
    padded = np.zeros((n, top + height + bottom, left + width + right, channels), dtype)
    return padded[:, top : top + height, left : left + width], padded
