"""The update, compiled."""

import math

import numba
import numpy as np

from ...devices.cpu.compiler import inner, slice_bounds, streaming

SLICES = 64
"""Slices of the elements that threads take one after the other."""


def momentum_step(
    w: np.ndarray, v: np.ndarray, dw: np.ndarray, rate: float, momentum: float, decay: float, loss: float | None
) -> None:
    """Schedule: parallel over SLICES slices of the elements; each element is read and written once."""
    if loss is not None and not math.isfinite(loss):
        return
    factors = (w.dtype.type(factor) for factor in (rate, momentum, decay))
    _step(w.reshape(-1), v.reshape(-1), np.ascontiguousarray(dw).reshape(-1), *factors)


@streaming
def _step(w, v, dw, rate, momentum, decay):  # type: ignore[no-untyped-def]
    for index in numba.prange(SLICES):
        first, last = slice_bounds(np.intp(index), SLICES, w.size)
        _move(w[first:last], v[first:last], dw[first:last], rate, momentum, decay)


@inner
def _move(w, v, dw, rate, momentum, decay):  # type: ignore[no-untyped-def]
    for i in range(w.size):
        v[i] = momentum * v[i] - rate * (decay * w[i] + dw[i])
        w[i] += v[i]
