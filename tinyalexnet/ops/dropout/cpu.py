"""Dropout, compiled."""

import math

import numba
import numpy as np

from ...devices.cpu.compiler import inner, slice_bounds, streaming
from ...devices.cpu.memory import empty
from ...devices.cpu.recording import contiguous
from .philox import philox

_philox = inner(philox)

SLICES = 64
"""Slices of the elements that threads take one after the other."""


def dropout(x: np.ndarray, kept: np.ndarray, rate: float) -> np.ndarray:
    """Schedule: parallel over the elements; each is read once and written once."""
    out = empty(x.shape, x.dtype)
    factor = x.dtype.type(1 / (1 - rate))
    _apply(contiguous(x).reshape(-1), contiguous(kept).reshape(-1), factor, out.reshape(-1))
    return out


def dropout_mask(shape: tuple[int, ...], threshold: int, numbers: np.ndarray) -> np.ndarray:
    """Schedule: parallel over SLICES slices of the elements."""
    kept = empty(shape, np.bool_)
    _draw(contiguous(numbers), threshold, math.prod(shape[1:]), kept.reshape(-1))
    return kept


@streaming
def _draw(numbers, threshold, of_an_image, kept):  # type: ignore[no-untyped-def]
    seed, start = int(numbers[0]), int(numbers[1]) * of_an_image
    for index in numba.prange(SLICES):
        first, last = slice_bounds(np.intp(index), SLICES, kept.size)
        for i in range(first, last):
            kept[i] = _philox(start + i, seed) >> 8 >= threshold


@streaming
def _apply(x, kept, factor, out):  # type: ignore[no-untyped-def]
    zero = x.dtype.type(0)
    for i in numba.prange(x.size):
        out[i] = x[i] * factor if kept[i] else zero
