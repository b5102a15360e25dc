"""Dropout on a GPU."""

import math
from typing import Any

import numpy as np

from ...devices.cuda.memory import empty
from ...devices.cuda.runtime import cuda, device, kernel, load, load4, store, store4
from ...devices.cuda.unrolled import unrolled_tuple
from ...devices.cuda.vectors import launch_by_four, load_bytes, store_bytes
from .philox import philox

_philox = device(philox)


def dropout(x: Any, kept: Any, rate: float) -> Any:
    """Schedule: one thread per four elements: 16 bytes of x, four of the mask."""
    out = empty(x.shape, x.dtype)
    launch_by_four(_dropout, (x, kept, out), x.dtype.type(1 / (1 - rate)))
    return out


def dropout_mask(shape: tuple[int, ...], threshold: int, numbers: Any) -> Any:
    """Schedule: one thread per four elements, which it draws and writes at once."""
    kept = empty(shape, np.bool_)
    launch_by_four(_draw, (kept,), numbers, threshold, math.prod(shape[1:]))
    return kept


@device
def _is_kept(index, seed, threshold):  # type: ignore[no-untyped-def]
    return _philox(index, seed) >> 8 >= threshold


_four_are_kept = unrolled_tuple(4, "at, seed, threshold", "is_kept(at + {k}, seed, threshold)", is_kept=_is_kept)


@device
def _scaled(value, is_kept, factor):  # type: ignore[no-untyped-def]
    return value * factor if is_kept else type(value)(0)


_four_scaled = unrolled_tuple(4, "values, kept, factor", "scaled(values[{k}], kept[{k}], factor)", scaled=_scaled)


@kernel
def _draw(numbers, threshold, of_an_image, kept):  # type: ignore[no-untyped-def]
    at, seed, first = 4 * cuda.grid(1), numbers[0], numbers[1] * of_an_image
    if at + 4 <= kept.size:
        store_bytes(kept, at, _four_are_kept(first + at, seed, threshold))
    else:
        for k in range(at, kept.size):
            kept[k] = _is_kept(first + k, seed, threshold)


@kernel
def _dropout(factor, x, kept, out):  # type: ignore[no-untyped-def]
    at = 4 * cuda.grid(1)
    if at + 4 <= x.size:
        store4(out, np.int32(at), _four_scaled(load4(x, np.int32(at)), load_bytes(kept, at), factor))
    else:
        for k in range(at, x.size):
            store(out, k, _scaled(load(x, k), kept[k], factor))
