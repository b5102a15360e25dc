"""Dropout, compiled."""

from __future__ import annotations

import numba
import numpy as np

from ..contract import check_dropout
from .memory import empty
from .runtime import parallel


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


@parallel
def _apply(x, kept, factor, out):  # type: ignore[no-untyped-def]
    zero = x.dtype.type(0)
    for i in numba.prange(x.size):
        out[i] = x[i] * factor if kept[i] else zero
