"""Dropout, compiled."""

from __future__ import annotations

import numba
import numpy as np

from ..contract import Shape, check_dropout, check_dropout_mask
from ..philox import philox
from .memory import empty
from .runtime import inner, parallel, run_of

_philox = inner(philox)

PARTS = 64
"""Runs of numbers that threads take one after the other."""


def dropout(x: np.ndarray, kept: np.ndarray, rate: float) -> np.ndarray:
    """What is kept, made larger by as much as is expected to be dropped; see reference.

    Schedule
        Parallel over the elements; each is read once and written once.
    """
    check_dropout(x, kept, rate)
    out = empty(x.shape, x.dtype)
    factor = x.dtype.type(1 / (1 - rate))
    _apply(np.ascontiguousarray(x).reshape(-1), np.ascontiguousarray(kept).reshape(-1), factor, out.reshape(-1))
    return out


def dropout_mask(shape: Shape, rate: float, seed: int) -> np.ndarray:
    """What is kept: each number with probability 1 - ``rate``, told by its place and the seed alone; see reference.

    Schedule
        Parallel over PARTS runs of numbers.
    """
    least = check_dropout_mask(shape, rate, seed)
    kept = empty(shape, np.bool_)
    _draw(seed, least, kept.reshape(-1))
    return kept


@parallel
def _draw(seed, least, kept):  # type: ignore[no-untyped-def]
    for part in numba.prange(PARTS):
        first, last = run_of(np.intp(part), PARTS, kept.size)
        for i in range(first, last):
            kept[i] = _philox(i, seed) >> 8 >= least


@parallel
def _apply(x, kept, factor, out):  # type: ignore[no-untyped-def]
    zero = x.dtype.type(0)
    for i in numba.prange(x.size):
        out[i] = x[i] * factor if kept[i] else zero
