"""The update of stochastic gradient descent with momentum, compiled."""

from __future__ import annotations

import numba
import numpy as np

from ..contract import check_momentum_step
from .runtime import parallel, run_of, strict_inner

PARTS = 64
"""Runs of numbers that threads take one after the other."""


def momentum_step(w: np.ndarray, v: np.ndarray, dw: np.ndarray, rate: float, momentum: float, decay: float) -> None:
    """Moves a parameter by its velocity, when the gradient and the decay have changed that; see reference.

    Schedule
        Parallel over PARTS runs of numbers, each read and written once.
    """
    check_momentum_step(w, v, dw)
    factors = (w.dtype.type(factor) for factor in (rate, momentum, decay))
    _step(w.reshape(-1), v.reshape(-1), np.ascontiguousarray(dw).reshape(-1), *factors)


@parallel
def _step(w, v, dw, rate, momentum, decay):  # type: ignore[no-untyped-def]
    for part in numba.prange(PARTS):
        first, last = run_of(np.intp(part), PARTS, w.size)
        _move(w[first:last], v[first:last], dw[first:last], rate, momentum, decay)


@strict_inner
def _move(w, v, dw, rate, momentum, decay):  # type: ignore[no-untyped-def]
    """Without the licence to fuse operations it rounds as NumPy does, so that the bits are those of the reference."""
    for i in range(w.size):
        v[i] = momentum * v[i] - rate * (decay * w[i] + dw[i])
        w[i] += v[i]
