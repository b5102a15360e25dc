"""Dropout, compiled."""

import math

import numba
import numpy as np

from ...devices.cpu.compiler import inner, slice_bounds, streaming
from ...devices.cpu.memory import empty
from .philox import philox

_philox = inner(philox)

SLICES = 64
"""Slices of the elements that threads take one after the other."""


def dropout(x: np.ndarray, kept: np.ndarray, rate: float) -> np.ndarray:
    """Schedule: parallel over the elements; each is read once and written once."""
    out = empty(x.shape, x.dtype)
    factor = x.dtype.type(1 / (1 - rate))
    _apply(np.ascontiguousarray(x).reshape(-1), np.ascontiguousarray(kept).reshape(-1), factor, out.reshape(-1))
    return out


def dropout_mask(shape: tuple[int, ...], threshold: int, seed: int, first: int) -> np.ndarray:
    """Schedule: parallel over SLICES slices of the elements."""
    kept = empty(shape, np.bool_)
    _draw(seed, threshold, first * math.prod(shape[1:]), kept.reshape(-1))
    return kept


@streaming
def _draw(seed, threshold, start, kept):  # type: ignore[no-untyped-def]
    for index in numba.prange(SLICES):
        first, last = slice_bounds(np.intp(index), SLICES, kept.size)
        for i in range(first, last):
            kept[i] = _philox(start + i, seed) >> 8 >= threshold


@streaming
def _apply(x, kept, factor, out):  # type: ignore[no-untyped-def]
    zero = x.dtype.type(0)
    for i in numba.prange(x.size):
        out[i] = x[i] * factor if kept[i] else zero
