"""Average-pooling on a GPU."""

from typing import Any

from ...devices.cuda.memory import empty
from ...devices.cuda.runtime import cuda, device, kernel, launch, unravel, windows_over
from ...geometry import Window


def avgpool_forward(x: Any, window: Window) -> Any:
    """Schedule: one thread per output element."""
    n, height, width, channels = x.shape
    out = empty((n, *window.output_size((height, width)), channels), x.dtype)
    launch(_forward, out.size, x, window.kernel, window.stride, window.before((height, width)), out)
    return out


def avgpool_backward(dout: Any, x_shape: tuple[int, ...], window: Window) -> Any:
    """Schedule: one thread per pixel and channel, which gathers from the windows that hold it."""
    dx = empty(x_shape, dout.dtype)
    launch(_backward, dx.size, dout, window.kernel, window.stride, window.before(x_shape[1:3]), dx)
    return dx


@device
def _inside(output, size, stride, pad, length):  # type: ignore[no-untyped-def]
    """Begin and end of a window's pixels along one axis, inside an image of that length."""
    start = output * stride - pad
    return max(start, 0), min(start + size, length)


@kernel
def _forward(x, size, stride, pad, out):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index >= out.size:
        return
    n, oh, ow, c = unravel(index, out.shape)
    first_h, end_h = _inside(oh, size[0], stride[0], pad[0], x.shape[1])
    first_w, end_w = _inside(ow, size[1], stride[1], pad[1], x.shape[2])
    total = out.dtype.type(0)
    for h in range(first_h, end_h):
        for i in range(first_w, end_w):
            total += x[n, h, i, c]
    out[n, oh, ow, c] = total / out.dtype.type((end_h - first_h) * (end_w - first_w))


@kernel
def _backward(dout, size, stride, pad, dx):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index >= dx.size:
        return
    n, h, i, c = unravel(index, dx.shape)
    first_oh, end_oh = windows_over(h + pad[0], size[0], stride[0], dout.shape[1])
    first_ow, end_ow = windows_over(i + pad[1], size[1], stride[1], dout.shape[2])
    total = dx.dtype.type(0)
    for oh in range(first_oh, end_oh):
        first_h, end_h = _inside(oh, size[0], stride[0], pad[0], dx.shape[1])
        for ow in range(first_ow, end_ow):
            first_w, end_w = _inside(ow, size[1], stride[1], pad[1], dx.shape[2])
            total += dout[n, oh, ow, c] / dx.dtype.type((end_h - first_h) * (end_w - first_w))
    dx[n, h, i, c] = total
