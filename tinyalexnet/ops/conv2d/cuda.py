"""The convolution's three functions on a GPU, by implicit GEMM."""

from typing import Any

from ...devices.cuda import gemm
from ...devices.cuda.memory import empty
from ...devices.cuda.reduction import column_sums
from ...devices.cuda.runtime import cuda, kernel, launch, unravel, windows_over
from ...geometry import Window


def conv2d_forward(x: Any, w: Any, b: Any, window: Window, groups: int) -> Any:
    """Schedule: ``gemm.convolve``, a matrix product in tiles, one for each block of threads."""
    size = x.shape[1:3]
    out = empty((x.shape[0], *window.output_size(size), w.shape[3]), x.dtype)
    gemm.convolve(x, w, b, window.stride, window.before(size), groups, out)
    return out


def conv2d_backward_input(dout: Any, w: Any, x_shape: tuple[int, ...], window: Window, groups: int) -> Any:
    """Schedule: with stride 1 the adjoint of a convolution is a convolution: of dout, with the filters turned by 180°
    and channels and filters exchanged. With other strides, one thread per pixel and channel gathers from the outputs
    whose windows hold it: no two threads write the same element, and the order of the additions is fixed."""
    dx = empty(x_shape, dout.dtype)
    before = window.before(x_shape[1:3])
    if window.stride == (1, 1):
        gemm.convolve_back(dout, w, before, groups, dx)
    else:
        launch(_gather, dx.size, dout, w, window.stride, before, groups, dx)
    return dx


def conv2d_backward_params(dout: Any, x: Any, window: Window, groups: int) -> tuple[Any, Any]:
    """Schedule: ``gemm.correlate``, with split-K if there are few weights, and ``column_sums`` for the bias."""
    dw = empty((*window.kernel, x.shape[3] // groups, dout.shape[3]), x.dtype)
    db = empty((dout.shape[3],), x.dtype)
    gemm.correlate(dout, x, window.stride, window.before(x.shape[1:3]), groups, dw)
    column_sums(dout, db)
    return dw, db


@kernel
def _gather(dout, w, stride, pad, groups, dx):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index >= dx.size:
        return
    n, h, i, channel = unravel(index, dx.shape)
    kernel_h, kernel_w, channels, filters = w.shape
    group, c = divmod(channel, channels)
    group_filters = filters // groups
    first_h, end_h = windows_over(h + pad[0], kernel_h, stride[0], dout.shape[1])
    first_w, end_w = windows_over(i + pad[1], kernel_w, stride[1], dout.shape[2])
    total = dx.dtype.type(0)
    for oh in range(first_h, end_h):
        for ow in range(first_w, end_w):
            kh, kw = h + pad[0] - oh * stride[0], i + pad[1] - ow * stride[1]
            for f in range(group * group_filters, (group + 1) * group_filters):
                total += dout[n, oh, ow, f] * w[kh, kw, c, f]
    dx[n, h, i, channel] = total
