"""Max-pooling on a GPU."""

from typing import Any

from ...devices.cuda.memory import empty
from ...devices.cuda.runtime import cuda, kernel, launch, load, store, unravel, windows_over
from ...geometry import Window
from . import argmax_dtype


def maxpool_forward(x: Any, window: Window) -> tuple[Any, Any]:
    """Schedule: one thread per output element."""
    n, height, width, channels = x.shape
    out = empty((n, *window.output_size((height, width)), channels), x.dtype)
    argmax = empty(out.shape, argmax_dtype(window))
    placement = window.kernel, window.stride, window.before((height, width))
    flat = (array.reshape(array.size) for array in (x, out, argmax))
    launch(_forward, out.size, x.shape, out.shape, *placement, *flat)
    return out, argmax


def maxpool_backward(dout: Any, argmax: Any, x_shape: tuple[int, ...], window: Window) -> Any:
    """Schedule: one thread per pixel and channel, which gathers from the windows that hold it: no atomic additions, and
    their order is fixed."""
    dx = empty(x_shape, dout.dtype)
    placement = window.kernel, window.stride, window.before(x_shape[1:3])
    flat = (array.reshape(array.size) for array in (dout, argmax, dx))
    launch(_backward, dx.size, x_shape, dout.shape, *placement, *flat)
    return dx


@kernel
def _forward(shape, out_shape, size, stride, pad, x, out, argmax):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index >= out.size:
        return
    n, oh, ow, c = unravel(index, out_shape)
    _, height, width, channels = shape
    top, left = oh * stride[0] - pad[0], ow * stride[1] - pad[1]
    first_h, first_w = max(-top, 0), max(-left, 0)
    corner = (n * height + top) * width + left
    best = load(x, (corner + first_h * width + first_w) * channels + c)
    winner = first_h * size[1] + first_w
    for kh in range(first_h, min(size[0], height - top)):
        for kw in range(first_w, min(size[1], width - left)):
            value = load(x, (corner + kh * width + kw) * channels + c)
            # A NaN takes over, and stays: nothing compares with it.
            if value > best or (value != value and best == best):
                best, winner = value, kh * size[1] + kw
    store(out, index, best)
    store(argmax, index, winner)


@kernel
def _backward(shape, out_shape, size, stride, pad, dout, argmax, dx):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index >= dx.size:
        return
    n, h, i, c = unravel(index, shape)
    _, rows, columns, channels = out_shape
    first_h, end_h = windows_over(h + pad[0], size[0], stride[0], rows)
    first_w, end_w = windows_over(i + pad[1], size[1], stride[1], columns)
    total = dx.dtype.type(0)
    for oh in range(first_h, end_h):
        for ow in range(first_w, end_w):
            here = (h + pad[0] - oh * stride[0]) * size[1] + i + pad[1] - ow * stride[1]
            at = ((n * rows + oh) * columns + ow) * channels + c
            if load(argmax, at) == here:
                total += load(dout, at)
    store(dx, index, total)
