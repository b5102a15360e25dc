"""Transformed filters that are kept while the filters do not change, as for all runs of shards in one step."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

import numpy as np


class Kept(threading.local):
    """Inside ``unchanged_filters``, ``transformed`` has each U with its filters: no others can have their address."""

    transformed: dict[Hashable, tuple[np.ndarray, np.ndarray]] | None = None


kept = Kept()


@contextmanager
def unchanged_filters() -> Iterator[None]:
    """``with`` it, this thread transforms filters once for the forward and once for the gradient of x.

    Nothing may write to filters inside. What was kept is freed at the end of the outermost ``with``.
    """
    if kept.transformed is not None:
        yield
        return
    kept.transformed = {}
    try:
        yield
    finally:
        kept.transformed = None


def are_kept() -> bool:
    """If this thread is inside ``unchanged_filters``."""
    return kept.transformed is not None


def transformed(w: np.ndarray, how: Hashable, transform: Callable[[], np.ndarray]) -> np.ndarray:
    """U = ``transform()`` of filters w, or the one that was kept; ``how`` has all that U depends on beside w."""
    if kept.transformed is None:
        return transform()
    key = w.__array_interface__["data"], w.shape, w.strides, w.dtype, how
    if key not in kept.transformed:
        kept.transformed[key] = transform(), w
    return kept.transformed[key][0]
