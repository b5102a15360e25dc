"""The convolution's three functions on a GPU, by implicit GEMM."""

import functools
from typing import Any

import numpy as np

from ...devices.cuda import gemm
from ...devices.cuda.memory import empty
from ...devices.cuda.reduction import column_sums
from ...devices.cuda.runtime import cuda, device, divide, kernel, launch, load, load4, store, unravel, windows_over
from ...devices.cuda.unrolled import unrolled_sum
from ...geometry import Window


def conv2d_forward(x: Any, w: Any, b: Any, window: Window, groups: int) -> Any:
    """Schedule: ``gemm.convolve``, a matrix product in tiles, one for each block of threads."""
    size = x.shape[1:3]
    out = empty((x.shape[0], *window.output_size(size), w.shape[3]), x.dtype)
    gemm.convolve(x, w, b, window.stride, window.before(size), groups, out, keeps=True)
    return out


def conv2d_backward_input(dout: Any, w: Any, x_shape: tuple[int, ...], window: Window, groups: int) -> Any:
    """Schedule: with stride 1 the adjoint of a convolution is a convolution: of dout, with the filters turned by 180°
    and channels and filters exchanged. With other strides, one thread per pixel and channel gathers from the outputs
    whose windows hold it, four filters at once: no two threads write the same element, and the order of the additions
    is fixed."""
    dx = empty(x_shape, dout.dtype)
    before = window.before(x_shape[1:3])
    if window.stride == (1, 1):
        gemm.convolve_back(dout, w, before, groups, dx)
    else:
        width = 4 if w.shape[3] // groups % 4 == 0 else 1
        flat = (array.flat() for array in (dout, w, dx))
        launch(_gather(width), dx.size, x_shape, dout.shape, w.shape, window.stride, before, *flat)
    return dx


def conv2d_backward_params(dout: Any, x: Any, window: Window, groups: int) -> tuple[Any, Any]:
    """Schedule: ``gemm.correlate``, with split-K if there are few weights, and ``column_sums`` for the bias."""
    dw = empty((*window.kernel, x.shape[3] // groups, dout.shape[3]), x.dtype)
    db = empty((dout.shape[3],), x.dtype)
    gemm.correlate(dout, x, window.stride, window.before(x.shape[1:3]), groups, dw)
    column_sums(dout, db)
    return dw, db


@functools.cache
def _gather(width: int) -> Any:
    """The gradient of the images by gathering, which loads ``width`` filters at once: four or one."""
    load_some = load4 if width == 4 else _load1
    plus_products = unrolled_sum(width, "total, a, b", "total + a[{k}] * b[{k}]")

    @kernel
    def gather(shape, out_shape, w_shape, stride, pad, dout, w, dx):  # type: ignore[no-untyped-def]
        index = cuda.grid(1)
        if index >= dx.size:
            return
        n, h, i, channel = unravel(index, shape)
        kernel_h, kernel_w, channels, filters = w_shape
        _, rows, columns, _ = out_shape
        group, c = divide(channel, channels)
        group_filters = divide(filters * channels, shape[3])[0]
        first_h, end_h = windows_over(h + pad[0], kernel_h, stride[0], rows)
        first_w, end_w = windows_over(i + pad[1], kernel_w, stride[1], columns)
        total = dx.dtype.type(0)
        for oh in range(first_h, end_h):
            for ow in range(first_w, end_w):
                kh, kw = h + pad[0] - oh * stride[0], i + pad[1] - ow * stride[1]
                at_out = np.int32(((n * rows + oh) * columns + ow) * filters + group * group_filters)
                at_w = np.int32(((kh * kernel_w + kw) * channels + c) * filters + group * group_filters)
                for f in range(0, group_filters, width):
                    of_filters = load_some(dout, np.int32(at_out + f)), load_some(w, np.int32(at_w + f))
                    total = plus_products(total, of_filters[0], of_filters[1])
        store(dx, np.int32(index), total)

    return gather


@device
def _load1(array, at):  # type: ignore[no-untyped-def]
    return (load(array, at),)
