"""LRN on a GPU."""

import functools
import math
from typing import Any

import numpy as np

from ...devices.cuda.memory import empty
from ...devices.cuda.runtime import THREADS, cuda, device, divide, kernel, launch, load4, store4, unravel
from ...devices.cuda.unrolled import unrolled_tuple

MOST_REACH = 8
"""The largest radius for which a thread keeps all neighbours of its four channels in registers."""

USUAL_BETA = 0.75
"""The exponent of every AlexNet. Two square roots and a division take a third of the instructions of a power."""


def lrn_forward(x: Any, radius: int, bias: float, alpha: float, beta: float) -> tuple[Any, Any]:
    """Schedule: if ``_is_by_four``, one thread per four channels of a pixel, which also loads the neighbouring channels
    on both sides, by 16 bytes. Else one thread per element, which sums over its neighbours."""
    out, scale = empty(x.shape, x.dtype), empty(x.shape, x.dtype)
    options = [x.dtype.type(value) for value in (bias, alpha, beta)]
    reach = _reach(x, radius)
    if _is_by_four(reach, x):
        flat = (array.flat() for array in (x, out, scale))
        launch(_forward_by_four(reach), x.size // 4, x.shape[3], *options, *flat)
    else:
        launch(_forward, x.size, x, radius, *options, out, scale)
    return out, scale


def lrn_backward(dout: Any, x: Any, scale: Any, radius: int, alpha: float, beta: float) -> Any:
    """Schedule: if ``_is_by_four``, one thread per four channels of a pixel. It computes their terms of the sums, one
    power for each, for all threads of its block; the first threads also compute those at both ends of the block. Else
    one thread per element, which gathers from its neighbours."""
    dx = empty(x.shape, x.dtype)
    options = [x.dtype.type(value) for value in (2 * alpha * beta, beta)]
    reach = _reach(x, radius)
    if _is_by_four(reach, dout, x, scale):
        flat = (array.flat() for array in (dout, x, scale, dx))
        launch(_backward_by_four(reach, x.dtype), x.size // 4, x.shape[3], *options, *flat)
    else:
        launch(_backward, x.size, dout, x, scale, radius, *options, dx)
    return dx


def _reach(x: Any, radius: int) -> int:
    """A window that reaches past all channels is as good as any larger one."""
    return min(radius, int(x.shape[3]) - 1)


def _is_by_four(reach: int, *arrays: Any) -> bool:
    return reach <= MOST_REACH and arrays[0].shape[3] % 4 == 0


@device
def _power(scale, beta):  # type: ignore[no-untyped-def]
    """scale^-beta."""
    if beta == USUAL_BETA:
        root = math.sqrt(scale)
        return type(scale)(1) / (root * math.sqrt(root))
    return scale ** (-beta)


# --- four channels of a pixel -----------------------------------------------------------------------------------------


def _beside(reach: int) -> int:
    """Groups of four channels on each side that hold the neighbours."""
    return -(-reach // 4)


@device
def _load_group(array, at, channel, channels):  # type: ignore[no-untyped-def]
    """Four adjacent channels from ``at`` on, or zeros if the first of them, ``channel``, is none of the pixel's."""
    exists = 0 <= channel < channels
    # A load behind a branch would wait for the one before.
    found, zero = load4(array, np.int32(at if exists else 0)), array.dtype.type(0)
    return found if exists else (zero, zero, zero, zero)


def _neighbourhood(reach: int) -> Any:
    """A device function that loads the groups around the four channels from ``at`` on, in order."""
    return unrolled_tuple(
        2 * _beside(reach) + 1,
        "array, at, channel, channels",
        "load_group(array, at + 4 * {k} - before, channel + 4 * {k} - before, channels)",
        load_group=_load_group,
        before=4 * _beside(reach),
    )


def _window_sums(reach: int) -> Any:
    """A device function of such groups: for each of the four channels the sum over its window, in order."""
    elements = [f"groups[({{k}} + {i}) // 4][({{k}} + {i}) % 4]" for i in range(4 * _beside(reach) + reach + 1)]
    return unrolled_tuple(4, "groups", " + ".join(elements[4 * _beside(reach) - reach :]))


@device
def _square(four):  # type: ignore[no-untyped-def]
    return four[0] * four[0], four[1] * four[1], four[2] * four[2], four[3] * four[3]


_divisors = unrolled_tuple(4, "totals, bias, alpha", "bias + alpha * totals[{k}]")
_powers = unrolled_tuple(4, "scale, beta", "power(scale[{k}], beta)", power=_power)
_products = unrolled_tuple(4, "a, b", "a[{k}] * b[{k}]")
_terms = unrolled_tuple(4, "dout, x, power, scale", "dout[{k}] * x[{k}] * power[{k}] / scale[{k}]")
_gradients = unrolled_tuple(
    4, "dout, x, power, factor, totals", "dout[{k}] * power[{k}] - factor * x[{k}] * totals[{k}]"
)


@functools.cache
def _forward_by_four(reach: int) -> Any:
    """The forward for one radius, whose sums are written out."""
    beside = _beside(reach)
    neighbourhood, window_sums = _neighbourhood(reach), _window_sums(reach)
    squares = unrolled_tuple(2 * beside + 1, "groups", "square(groups[{k}])", square=_square)

    @kernel
    def forward_by_four(channels, bias, alpha, beta, x, out, scale):  # type: ignore[no-untyped-def]
        at = 4 * cuda.grid(1)
        if at >= x.size:
            return
        groups = neighbourhood(x, at, divide(at, channels)[1], channels)
        divisors = _divisors(window_sums(squares(groups)), bias, alpha)
        store4(scale, np.int32(at), divisors)
        store4(out, np.int32(at), _products(groups[beside], _powers(divisors, beta)))

    return forward_by_four


@functools.cache
def _backward_by_four(reach: int, dtype: np.dtype) -> Any:
    """The backward for one radius, whose sums are written out."""
    beside = _beside(reach)
    neighbourhood, window_sums = _neighbourhood(reach), _window_sums(reach)
    room = 4 * (THREADS + 2 * beside)
    shared_type = dtype.type

    @kernel
    def backward_by_four(channels, factor, beta, dout, x, scale, dx):  # type: ignore[no-untyped-def]
        terms = cuda.shared.array(room, shared_type, alignment=16)
        thread = cuda.threadIdx.x
        at = 4 * cuda.grid(1)
        gradient, pixel, divisor = _load_three(dout, x, scale, at)
        power = _powers(divisor, beta)
        store4(terms, 4 * (thread + beside), _terms(gradient, pixel, power, divisor))
        if thread < 2 * beside:
            other = thread if thread < beside else thread + THREADS
            ends = _load_three(dout, x, scale, at + 4 * (other - thread - beside))
            store4(terms, 4 * other, _terms(ends[0], ends[1], _powers(ends[2], beta), ends[2]))
        cuda.syncthreads()
        if at < x.size:
            groups = neighbourhood(terms, 4 * (thread + beside), divide(at, channels)[1], channels)
            store4(dx, np.int32(at), _gradients(gradient, pixel, power, factor, window_sums(groups)))

    return backward_by_four


@device
def _load_three(dout, x, scale, at):  # type: ignore[no-untyped-def]
    """Four elements of each. Outside the arrays the first ones: their terms are in no window."""
    at = np.int32(at if 0 <= at < x.size else 0)
    return load4(dout, at), load4(x, at), load4(scale, at)


# --- any radius, any number of channels -------------------------------------------------------------------------------


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
    out[n, h, i, c] = x[n, h, i, c] * _power(divisor, beta)


@kernel
def _backward(dout, x, scale, radius, factor, beta, dx):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index >= x.size:
        return
    n, h, i, c = unravel(index, x.shape)
    total = x.dtype.type(0)
    for other in range(max(c - radius, 0), min(c + radius + 1, x.shape[3])):
        divisor = scale[n, h, i, other]
        total += dout[n, h, i, other] * x[n, h, i, other] * _power(divisor, beta) / divisor
    dx[n, h, i, c] = dout[n, h, i, c] * _power(scale[n, h, i, c], beta) - factor * x[n, h, i, c] * total
