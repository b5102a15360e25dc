"""LRN, compiled."""

import numba
import numpy as np

from ...devices.cpu.compiler import inner, parallel
from ...devices.cpu.memory import empty
from ...devices.cpu.recording import contiguous

USUAL_BETA = 0.75
"""The exponent of every AlexNet. Two square roots vectorise; a call of pow for each element does not."""


def lrn_forward(x: np.ndarray, radius: int, bias: float, alpha: float, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Schedule: parallel over rows of pixels. The squares of a pixel stand between ``radius`` zeros, so that all sums
    have the same length, and the channels are the innermost loop. Each sum is taken in the order of the channels."""
    out, scale = empty(x.shape, x.dtype), empty(x.shape, x.dtype)
    float_type = x.dtype.type
    options = float_type(bias), float_type(alpha), float_type(beta)
    _forward(_rows(x), _reach(x, radius), *options, _rows(out), _rows(scale))
    return out, scale


def lrn_backward(
    dout: np.ndarray, x: np.ndarray, scale: np.ndarray, radius: int, alpha: float, beta: float
) -> np.ndarray:
    """Schedule: the forward's, on dout x scale^(-beta - 1) in place of the squares."""
    dx = empty(x.shape, x.dtype)
    options = x.dtype.type(alpha), x.dtype.type(beta)
    _backward(_rows(dout), _rows(x), _rows(scale), _reach(x, radius), *options, _rows(dx))
    return dx


def _rows(array: np.ndarray) -> np.ndarray:
    """The array as (rows of pixels, W, C)."""
    return contiguous(array).reshape(-1, *array.shape[2:])


def _reach(x: np.ndarray, radius: int) -> int:
    """A window that reaches past all channels is as good as any larger one."""
    return min(radius, int(x.shape[3]) - 1)


@inner
def _powers(scale, beta, power):  # type: ignore[no-untyped-def]
    one = scale.dtype.type(1)
    if beta == USUAL_BETA:
        for c in range(scale.size):
            root = np.sqrt(scale[c])
            power[c] = one / (root * np.sqrt(root))
    else:
        for c in range(scale.size):
            power[c] = scale[c] ** -beta


@inner
def _window_sums(between, reach, total):  # type: ignore[no-untyped-def]
    """total[c] = Σ between[c ... c + 2 reach], which has ``reach`` zeros before the first channel and past the last."""
    for c in range(total.size):
        total[c] = between[c]
    for shift in range(1, 2 * reach + 1):
        shifted = between[shift : shift + total.size]
        for c in range(total.size):
            total[c] += shifted[c]


@parallel
def _forward(x, reach, bias, alpha, beta, out, scale):  # type: ignore[no-untyped-def]
    rows, width, channels = x.shape
    for row in numba.prange(rows):
        between, power = np.zeros(channels + 2 * reach, x.dtype), np.empty(channels, x.dtype)
        squares = between[reach : reach + channels]
        for i in range(width):
            pixel, divisor, normal = x[row, i], scale[row, i], out[row, i]
            for c in range(channels):
                squares[c] = pixel[c] * pixel[c]
            _window_sums(between, reach, divisor)
            for c in range(channels):
                divisor[c] = bias + alpha * divisor[c]
            _powers(divisor, beta, power)
            for c in range(channels):
                normal[c] = pixel[c] * power[c]


@parallel
def _backward(dout, x, scale, reach, alpha, beta, dx):  # type: ignore[no-untyped-def]
    rows, width, channels = x.shape
    factor = (alpha + alpha) * beta
    for row in numba.prange(rows):
        between, power = np.zeros(channels + 2 * reach, x.dtype), np.empty(channels, x.dtype)
        terms = between[reach : reach + channels]
        for i in range(width):
            gradient, pixel, divisor, target = dout[row, i], x[row, i], scale[row, i], dx[row, i]
            _powers(divisor, beta, power)
            for c in range(channels):
                terms[c] = gradient[c] * pixel[c] * power[c] / divisor[c]
            _window_sums(between, reach, target)
            # Forward: out = x power, and power falls as any x in its window grows.
            for c in range(channels):
                target[c] = gradient[c] * power[c] - factor * pixel[c] * target[c]
