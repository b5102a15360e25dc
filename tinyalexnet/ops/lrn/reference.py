"""LRN in NumPy."""

import numpy as np


def lrn_forward(x: np.ndarray, radius: int, bias: float, alpha: float, beta: float) -> tuple[np.ndarray, np.ndarray]:
    scale = bias + alpha * _window_sum(np.square(x), radius)
    return x * scale**-beta, scale


def lrn_backward(
    dout: np.ndarray, x: np.ndarray, scale: np.ndarray, radius: int, alpha: float, beta: float
) -> np.ndarray:
    power = scale**-beta
    # x[c] is in the scale of each c' within radius, and c' is within radius of c exactly if c is within radius of c'.
    dx: np.ndarray = dout * power - 2 * alpha * beta * x * _window_sum(dout * x * power / scale, radius)
    return dx


def _window_sum(values: np.ndarray, radius: int) -> np.ndarray:
    """The sum over the channels within ``radius`` of each channel."""
    channels = values.shape[-1]
    total = np.zeros_like(values)
    for shift in range(-min(radius, channels - 1), min(radius, channels - 1) + 1):
        first, last = max(-shift, 0), min(channels - shift, channels)
        total[..., first:last] += values[..., first + shift : last + shift]
    return total
