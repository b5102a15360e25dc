"""Dropout on a GPU, its mask given."""

from __future__ import annotations

from typing import Any

from ..contract import check_dropout
from .memory import empty
from .runtime import cuda, kernel, launch, stand_in


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


@kernel
def _dropout(x, kept, out, factor):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index < x.size:
        out[index] = x[index] * factor if kept[index] else x.dtype.type(0)
