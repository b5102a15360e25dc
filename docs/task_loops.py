"""A parallel loop of a step on a CPU: its tasks and their loads. For docs/tasks.py.

A load is counted in multiply-adds of a matrix product. A byte that is read or written counts as BYTE of them, by the
cost model of ``winograd/choice.py``: an element that one stage writes and the next reads is 8 bytes. Reading the
factors of a product, and adding one product to another in cache, are part of the product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyalexnet.ops.conv2d.winograd.choice import TRANSFORMED_ELEMENT

Shape = tuple[int, ...]

FLOAT = 4
"""Bytes of a float32."""

BYTE = TRANSFORMED_ELEMENT / (2 * FLOAT)

Loads = float | np.ndarray
"""Of each task, or one number if all tasks are equal."""


@dataclass(frozen=True)
class Loop:
    """A parallel loop, or work of one thread if ``kernel`` is empty."""

    kernel: str
    tasks: int
    products: Loads = 0.0
    bytes: Loads = 0.0
    stage: str = ""

    @property
    def loads(self) -> Loads:
        """Of each task, in multiply-adds."""
        return self.products + BYTE * self.bytes

    @property
    def total(self) -> float:
        return float(np.sum(self.loads)) if np.ndim(self.loads) else self.tasks * float(self.loads)

    def largest(self, threads: int) -> float:
        """The load of the thread that has most."""
        bounds = share_bounds(self.tasks, threads)
        if not np.ndim(self.loads):
            return float(np.diff(bounds).max() * self.loads)
        sums = np.concatenate([[0.0], np.cumsum(self.loads)])
        return float(np.diff(sums[bounds]).max())


def share_bounds(tasks: int, threads: int) -> np.ndarray:
    """Where each thread's tasks begin, and the end: Numba gives each thread neighbouring ones, as equal as can be, and
    one more to the first threads (``create_schedule`` in its ``gufunc_scheduler.cpp``)."""
    least, more = divmod(tasks, threads)
    return np.concatenate([[0], np.cumsum(least + (np.arange(threads) < more))])


def evenness(loops: list[Loop], threads: int) -> float:
    """The mean load of a thread, divided by the largest. Each loop ends when its last thread does."""
    return sum(loop.total for loop in loops) / threads / sum(loop.largest(threads) for loop in loops)


def slices_of(size: int, count: int) -> np.ndarray:
    """The sizes of ``count`` slices, as ``slice_bounds`` cuts them."""
    return np.diff(size * np.arange(count + 1) // count)


def pieces_of(size: int, width: int) -> np.ndarray:
    """The sizes of pieces of ``width``, of which the last may be smaller."""
    return np.minimum(width, size - np.arange(0, size, width))
