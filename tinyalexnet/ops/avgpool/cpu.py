"""Average-pooling, compiled."""

import numba
import numpy as np

from ...devices.cpu.compiler import streaming
from ...devices.cpu.memory import empty
from ...devices.cpu.recording import contiguous
from ...geometry import Window


def avgpool_forward(x: np.ndarray, window: Window) -> np.ndarray:
    """Schedule: parallel over output rows; no two tasks write the same output. The channels are the innermost loop."""
    n, height, width, channels = x.shape
    out = empty((n, *window.output_size((height, width)), channels), x.dtype)
    _forward(contiguous(x), window.kernel, window.stride, window.before((height, width)), out)
    return out


def avgpool_backward(dout: np.ndarray, x_shape: tuple[int, ...], window: Window) -> np.ndarray:
    """Schedule: parallel over rows of dx. Each gathers from the output rows whose windows reach it: windows may
    overlap, and yet no two tasks add to the same pixel, and the order of the additions is fixed."""
    dx = empty(x_shape, dout.dtype)
    _backward(contiguous(dout), window.kernel, window.stride, window.before(x_shape[1:3]), dx)
    return dx


@streaming
def _forward(x, kernel, stride, pad, out):  # type: ignore[no-untyped-def]
    _, height, width, channels = x.shape
    n, out_h, out_w, _ = out.shape
    for task in numba.prange(n * out_h):
        image, oh = divmod(np.intp(task), out_h)
        top = oh * stride[0] - pad[0]
        first_h, last_h = max(top, 0), min(top + kernel[0], height)
        for ow in range(out_w):
            left = ow * stride[1] - pad[1]
            first_w, last_w = max(left, 0), min(left + kernel[1], width)
            total = out[image, oh, ow]
            total[:] = 0
            for h in range(first_h, last_h):
                for i in range(first_w, last_w):
                    pixel = x[image, h, i]
                    for c in range(channels):
                        total[c] += pixel[c]
            count = x.dtype.type((last_h - first_h) * (last_w - first_w))
            for c in range(channels):
                total[c] /= count


@streaming
def _backward(dout, kernel, stride, pad, dx):  # type: ignore[no-untyped-def]
    n, height, width, channels = dx.shape
    _, out_h, out_w, _ = dout.shape
    for task in numba.prange(n * height):
        image, h = divmod(np.intp(task), height)
        dx[image, h] = 0
        # The outputs oh with 0 <= kh = h + pad_top - oh * stride_h < KH.
        reach = h + pad[0]
        for oh in range(max((reach - kernel[0]) // stride[0] + 1, 0), min(reach // stride[0] + 1, out_h)):
            top = oh * stride[0] - pad[0]
            rows = min(top + kernel[0], height) - max(top, 0)
            for ow in range(out_w):
                left = ow * stride[1] - pad[1]
                first_w, last_w = max(left, 0), min(left + kernel[1], width)
                gradient, count = dout[image, oh, ow], dx.dtype.type(rows * (last_w - first_w))
                for i in range(first_w, last_w):
                    target = dx[image, h, i]
                    for c in range(channels):
                        target[c] += gradient[c] / count
