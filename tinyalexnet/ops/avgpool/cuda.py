"""Average-pooling on a GPU."""

import functools
from typing import Any

import numpy as np

from ...devices.cuda.memory import empty
from ...devices.cuda.runtime import (
    check_size,
    cuda,
    device,
    kernel,
    launch,
    load,
    load4,
    store,
    store4,
    unravel,
    windows_over,
)
from ...devices.cuda.unrolled import unrolled_tuple
from ...geometry import Window


def avgpool_forward(x: Any, window: Window) -> Any:
    """Schedule: one thread per output pixel and four channels, which it loads and stores with 16 bytes each; one per
    output element if the channels are no multiple of four."""
    n, height, width, channels = x.shape
    out = empty((n, *window.output_size((height, width)), channels), x.dtype)
    check_size("an array", out.size)
    width_of_thread = _channels_of_thread(x)
    function, _ = _kernels(width_of_thread)
    placement = window.kernel, window.stride, window.before((height, width))
    flat = x.flat(), out.flat()
    launch(function, out.size // width_of_thread, x.shape, out.shape, *placement, *flat)
    return out


def avgpool_backward(dout: Any, x_shape: tuple[int, ...], window: Window) -> Any:
    """Schedule: one thread per pixel and four channels, or one, as in the forward. It gathers from the windows that
    hold the pixel: no atomic additions, and their order is fixed."""
    dx = empty(x_shape, dout.dtype)
    width_of_thread = _channels_of_thread(dout)
    _, function = _kernels(width_of_thread)
    placement = window.kernel, window.stride, window.before(x_shape[1:3])
    flat = dout.flat(), dx.flat()
    launch(function, dx.size // width_of_thread, x_shape, dout.shape, *placement, *flat)
    return dx


def _channels_of_thread(array: Any) -> int:
    return 4 if array.shape[3] % 4 == 0 else 1


@device
def _inside(output, size, stride, pad, length):  # type: ignore[no-untyped-def]
    """Begin and end of a window's pixels along one axis, inside an image of that length."""
    start = output * stride - pad
    return max(start, 0), min(start + size, length)


@device
def _load1(array, at):  # type: ignore[no-untyped-def]
    return (load(array, at),)


@device
def _store1(array, at, elements):  # type: ignore[no-untyped-def]
    store(array, at, elements[0])


@functools.cache
def _kernels(width: int) -> tuple[Any, Any]:
    """Forward and backward, of which a thread has ``width`` channels: four or one."""
    load_some, store_some = (load4, store4) if width == 4 else (_load1, _store1)
    zeros = unrolled_tuple(width, "array", "array.dtype.type(0)")
    plus = unrolled_tuple(width, "a, b", "a[{k}] + b[{k}]")
    shares = unrolled_tuple(width, "a, count", "a[{k}] / count")

    @kernel
    def forward(shape, out_shape, size, stride, pad, x, out):  # type: ignore[no-untyped-def]
        index = width * cuda.grid(1)
        if index >= out.size:
            return
        n, oh, ow, c = unravel(index, out_shape)
        _, height, columns, channels = shape
        first_h, end_h = _inside(oh, size[0], stride[0], pad[0], height)
        first_w, end_w = _inside(ow, size[1], stride[1], pad[1], columns)
        total = zeros(x)
        for h in range(first_h, end_h):
            for i in range(first_w, end_w):
                at = ((n * height + h) * columns + i) * channels + c
                total = plus(total, load_some(x, np.int32(at)))
        store_some(out, np.int32(index), shares(total, out.dtype.type((end_h - first_h) * (end_w - first_w))))

    @kernel
    def backward(shape, out_shape, size, stride, pad, dout, dx):  # type: ignore[no-untyped-def]
        index = width * cuda.grid(1)
        if index >= dx.size:
            return
        n, h, i, c = unravel(index, shape)
        _, height, columns, channels = shape
        first_oh, end_oh = windows_over(h + pad[0], size[0], stride[0], out_shape[1])
        first_ow, end_ow = windows_over(i + pad[1], size[1], stride[1], out_shape[2])
        total = zeros(dout)
        for oh in range(first_oh, end_oh):
            first_h, end_h = _inside(oh, size[0], stride[0], pad[0], height)
            for ow in range(first_ow, end_ow):
                first_w, end_w = _inside(ow, size[1], stride[1], pad[1], columns)
                count = dx.dtype.type((end_h - first_h) * (end_w - first_w))
                at = ((n * out_shape[1] + oh) * out_shape[2] + ow) * channels + c
                total = plus(total, shares(load_some(dout, np.int32(at)), count))
        store_some(dx, np.int32(index), total)

    return forward, backward
