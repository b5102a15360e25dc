"""LRN on a GPU."""

from typing import Any

from ...devices.cuda.memory import empty
from ...devices.cuda.runtime import cuda, kernel, launch, unravel


def lrn_forward(x: Any, radius: int, bias: float, alpha: float, beta: float) -> tuple[Any, Any]:
    """Schedule: one thread per element, which sums over its neighbours."""
    out, scale = empty(x.shape, x.dtype), empty(x.shape, x.dtype)
    options = (x.dtype.type(value) for value in (bias, alpha, beta))
    launch(_forward, x.size, x, radius, *options, out, scale)
    return out, scale


def lrn_backward(dout: Any, x: Any, scale: Any, radius: int, alpha: float, beta: float) -> Any:
    """Schedule: one thread per element, which gathers from its neighbours."""
    dx = empty(x.shape, x.dtype)
    options = (x.dtype.type(value) for value in (2 * alpha * beta, beta))
    launch(_backward, x.size, dout, x, scale, radius, *options, dx)
    return dx


@kernel
def _forward(x, radius, bias, alpha, beta, out, scale):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index >= x.size:
        return
    n, h, i, c = unravel(index, x.shape)
    total = x.dtype.type(0)
    for other in range(max(c - radius, 0), min(c + radius + 1, x.shape[3])):
        total += x[n, h, i, other] * x[n, h, i, other]
    divisor = bias + alpha * total
    scale[n, h, i, c] = divisor
    out[n, h, i, c] = x[n, h, i, c] * divisor ** (-beta)


@kernel
def _backward(dout, x, scale, radius, factor, beta, dx):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index >= x.size:
        return
    n, h, i, c = unravel(index, x.shape)
    total = x.dtype.type(0)
    for other in range(max(c - radius, 0), min(c + radius + 1, x.shape[3])):
        divisor = scale[n, h, i, other]
        total += dout[n, h, i, other] * x[n, h, i, other] * divisor ** (-beta) / divisor
    dx[n, h, i, c] = dout[n, h, i, c] * scale[n, h, i, c] ** (-beta) - factor * x[n, h, i, c] * total
