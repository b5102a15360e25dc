"""Large arrays, made of memory that earlier ones have left: after a few steps, training allocates nothing large.

The system hands out large memory page by page, fills each with zeros when it is first touched, and takes it back as
soon as the array is gone. For the gradient of pool1's input at batch 128 that costs more time than to compute it. So
memory is kept here, and handed out again for a request of about that size once nothing refers to it. What a caller
still holds, be it a view of a view, is never touched: NumPy's views refer to the array that owns the memory, and
CPython counts references.
"""

from __future__ import annotations

import math
import sys
import threading

import numpy as np

LEAST_BYTES = 1 << 18
"""Smaller arrays are left to NumPy: their memory comes from the process's own heap anyway."""

ALIGNMENT = 64
"""Arrays begin at a multiple of this many bytes: a cache line, and a vector register of AVX-512."""

MOST_SLACK = 2
"""A request is served from memory of up to so many times its size."""

CACHED_BYTES = 16 << 20
"""What was used last is still in cache up to about this size. The U of one layer then serves the next."""

LIFETIME = 2000
"""After so many requests for others, memory is given back: what the last dozens of steps did not use is not needed."""


class _Block:
    """Memory for ``size`` aligned bytes, and the number of the request that was last served from it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.memory = np.empty(size + ALIGNMENT, np.uint8)
        self.start = -self.memory.ctypes.data % ALIGNMENT
        self.last_request = 0

    def references(self) -> int:
        """How many objects refer to the memory, counted alike each time: every array made of it is one more."""
        return sys.getrefcount(self.memory)


_FREE = _Block(0).references()


class Pool:
    """Memory by size. ``empty`` hands it out, and finds by itself what has become free."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks: list[_Block] = []
        self._requests = 0

    def empty(self, shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> np.ndarray:
        """As ``np.empty``: a C-contiguous array of arbitrary numbers that nobody else holds."""
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        if size < LEAST_BYTES:
            return np.empty(shape, dtype)
        with self._lock:
            self._requests += 1
            self._blocks = [block for block in self._blocks if self._requests - block.last_request <= LIFETIME]
            block = self._free_block(size)
            block.last_request = self._requests
            # Made before the lock is released, because it is what marks the block as taken.
            array = block.memory[block.start : block.start + size]
        return array.view(dtype).reshape(shape)

    def _free_block(self, size: int) -> _Block:
        """A free one that is large enough, the last used, or the smallest if none would be in cache; or a new one."""
        fit = [b for b in self._blocks if size <= b.size <= MOST_SLACK * size and b.references() == _FREE]
        if fit and size <= CACHED_BYTES:
            return max(fit, key=lambda block: block.last_request)
        if fit:
            return min(fit, key=lambda block: block.size)
        self._blocks.append(_Block(size))
        return self._blocks[-1]

    def held(self) -> int:
        """Bytes kept, both those in use and those free."""
        with self._lock:
            return sum(block.size for block in self._blocks)

    def release(self) -> None:
        """Gives back what is free; what is in use goes when its arrays do."""
        with self._lock:
            self._blocks.clear()


_pool = Pool()
empty = _pool.empty
held = _pool.held
release = _pool.release
