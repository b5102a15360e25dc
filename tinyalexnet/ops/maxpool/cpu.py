"""Max-pooling, compiled."""

import numba
import numpy as np

from ...devices.cpu.compiler import streaming
from ...devices.cpu.copies import fetch_elements
from ...devices.cpu.memory import empty
from ...devices.cpu.recording import contiguous
from ...geometry import Window
from . import argmax_dtype

AHEAD_BYTES, NEAR_BYTES = 1 << 14, 4 << 20
"""A processor fetches a row ahead by itself, but not several that are read in turn. So of images of more than
NEAR_BYTES, which no core's own cache holds, the rows that no window has read before are fetched so far ahead."""


def maxpool_forward(x: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Schedule: parallel over output rows; no two tasks write the same output. The channels are the innermost loop, so
    that one vector instruction compares many windows."""
    n, height, width, channels = x.shape
    out = empty((n, *window.output_size((height, width)), channels), x.dtype)
    argmax = empty(out.shape, argmax_dtype(window))
    _forward(contiguous(x), window.kernel, window.stride, window.before(x.shape[1:3]), out, argmax)
    return out, argmax


def maxpool_backward(dout: np.ndarray, argmax: np.ndarray, x_shape: tuple[int, ...], window: Window) -> np.ndarray:
    """Schedule: parallel over rows of dx. Each gathers from the output rows whose windows reach it: windows may
    overlap, and yet no two tasks add to the same pixel, and the order of the additions is fixed."""
    dx = empty(x_shape, dout.dtype)
    _backward(contiguous(dout), contiguous(argmax), window.kernel, window.stride, window.before(x_shape[1:3]), dx)
    return dx


# np.intp(task): prange counts in unsigned integers, and for Numba unsigned minus signed is a float. Constants have the
# dtype of the arrays: a choice between float32 and a plain 0 would be computed in float64.


@streaming
def _forward(x, kernel, stride, pad, out, argmax):  # type: ignore[no-untyped-def]
    _, height, width, channels = x.shape
    n, out_h, out_w, _ = out.shape
    elements, ahead, far = x.reshape(-1), AHEAD_BYTES // x.itemsize, x.size * x.itemsize > NEAR_BYTES
    for task in numba.prange(n * out_h):
        image, oh = divmod(np.intp(task), out_h)
        top = oh * stride[0] - pad[0]
        for ow in range(out_w):
            left = ow * stride[1] - pad[1]
            if far:
                for kh in range(max(kernel[0] - stride[0], 0), kernel[0]):
                    first = ((image * height + top + kh) * width + left) * channels
                    fetch_elements(elements, first + ahead, stride[1] * channels)
            best = out[image, oh, ow]
            winner = argmax[image, oh, ow]
            first_kh = max(-top, 0)
            first_kw = max(-left, 0)
            pixel = x[image, top + first_kh, left + first_kw]
            for c in range(channels):
                best[c] = pixel[c]
                winner[c] = first_kh * kernel[1] + first_kw
            for kh in range(first_kh, min(kernel[0], height - top)):
                for kw in range(first_kw, min(kernel[1], width - left)):
                    pixel = x[image, top + kh, left + kw]
                    position = argmax.dtype.type(kh * kernel[1] + kw)
                    for c in range(channels):
                        # Strictly greater: the first of equals stays. A NaN compares with nothing, and the first stays.
                        wins = pixel[c] > best[c] or (pixel[c] != pixel[c] and best[c] == best[c])
                        best[c] = pixel[c] if wins else best[c]
                        winner[c] = position if wins else winner[c]


@streaming
def _backward(dout, argmax, kernel, stride, pad, dx):  # type: ignore[no-untyped-def]
    n, height, width, channels = dx.shape
    _, out_h, out_w, _ = dout.shape
    nothing = dout.dtype.type(0)
    for task in numba.prange(n * height):
        image, h = divmod(np.intp(task), height)
        dx[image, h] = 0
        # The outputs oh with 0 <= kh = h + pad_top - oh * stride_h < KH.
        reach = h + pad[0]
        first_oh = max((reach - kernel[0]) // stride[0] + 1, 0)
        last_oh = min(reach // stride[0] + 1, out_h)
        for oh in range(first_oh, last_oh):
            kh = reach - oh * stride[0]
            for ow in range(out_w):
                left = ow * stride[1] - pad[1]
                gradient = dout[image, oh, ow]
                winner = argmax[image, oh, ow]
                for kw in range(max(-left, 0), min(kernel[1], width - left)):
                    target = dx[image, h, left + kw]
                    position = argmax.dtype.type(kh * kernel[1] + kw)
                    for c in range(channels):
                        # The forward copied one pixel to each output; several outputs may have copied this one.
                        target[c] += gradient[c] if winner[c] == position else nothing
