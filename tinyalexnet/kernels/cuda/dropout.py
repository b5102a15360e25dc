"""Dropout on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..contract import Shape, check_dropout, check_dropout_mask
from ..philox import philox
from .memory import empty
from .runtime import cuda, device, kernel, launch, stand_in

_philox = device(philox)


def dropout(x: Any, kept: Any, rate: float) -> Any:
    """What is kept, made larger by as much as is expected to be dropped; see reference.

    Schedule
        A thread for each number.
    """
    check_dropout(stand_in("x", x), stand_in("kept", kept), rate)
    out = empty(x.shape, x.dtype)
    flat = (array.reshape(x.size) for array in (x, kept, out))
    launch(_dropout, x.size, *flat, x.dtype.type(1 / (1 - rate)))
    return out


def dropout_mask(shape: Shape, rate: float, seed: int) -> Any:
    """What is kept: each number with probability 1 - ``rate``, told by its place and the seed alone; see reference.

    Schedule
        A thread for each number.
    """
    least = check_dropout_mask(shape, rate, seed)
    kept = empty(shape, np.bool_)
    launch(_draw, kept.size, seed, least, kept.reshape(kept.size))
    return kept


@kernel
def _draw(seed, least, kept):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index < kept.size:
        kept[index] = _philox(index, seed) >> 8 >= least


@kernel
def _dropout(x, kept, out, factor):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index < x.size:
        out[index] = x[index] * factor if kept[index] else x.dtype.type(0)
