"""Dropout on a GPU."""

from typing import Any

import numpy as np

from ...devices.cuda.memory import empty, to_device
from ...devices.cuda.runtime import cuda, device, kernel, launch
from .philox import philox

_philox = device(philox)


def dropout(x: Any, kept: Any, rate: float) -> Any:
    """Schedule: one thread per element."""
    out = empty(x.shape, x.dtype)
    flat = (array.reshape(x.size) for array in (x, kept, out))
    launch(_dropout, x.size, *flat, x.dtype.type(1 / (1 - rate)))
    return out


def dropout_mask(shape: tuple[int, ...], threshold: int, seed: Any) -> Any:
    """Schedule: one thread per element."""
    kept = empty(shape, np.bool_)
    seed = to_device(np.array([seed], np.int64)) if isinstance(seed, int) else seed
    launch(_draw, kept.size, seed, threshold, kept.reshape(kept.size))
    return kept


@kernel
def _draw(seed, threshold, kept):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index < kept.size:
        kept[index] = _philox(index, seed[0]) >> 8 >= threshold


@kernel
def _dropout(x, kept, out, factor):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index < x.size:
        out[index] = x[index] * factor if kept[index] else x.dtype.type(0)
