"""Max-pooling in NumPy."""

import numpy as np

from ...geometry import Window
from ..padding import padded_zeros
from . import argmax_dtype


def maxpool_forward(x: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
    size = x.shape[1:3]
    padded = np.pad(x, ((0, 0), *window.pads(size), (0, 0)), constant_values=-np.inf)
    inside = np.pad(np.ones((1, *size, 1), bool), ((0, 0), *window.pads(size), (0, 0)))
    slices = [(rows, columns) for _, _, rows, columns in window.positions(window.output_size(size))]
    candidates = np.stack([padded[:, rows, columns] for rows, columns in slices])
    argmax = candidates.argmax(axis=0)
    out = np.take_along_axis(candidates, argmax[np.newaxis], axis=0)[0]
    # If even the maximum is -inf, padding would tie with the image: the first pixel inside the image wins.
    first_inside = np.stack([inside[:, rows, columns] for rows, columns in slices]).argmax(axis=0)
    return out, np.where(out == -np.inf, first_inside, argmax).astype(argmax_dtype(window))


def maxpool_backward(dout: np.ndarray, argmax: np.ndarray, x_shape: tuple[int, ...], window: Window) -> np.ndarray:
    dx, padded = padded_zeros(x_shape, window, dout.dtype)
    for kh, kw, rows, columns in window.positions(dout.shape[1:3]):
        # Forward: out = the pixel at argmax. The gradient of a copy is a copy, and copies of one pixel add up.
        padded[:, rows, columns] += np.where(argmax == kh * window.kernel[1] + kw, dout, 0)
    return np.ascontiguousarray(dx)
