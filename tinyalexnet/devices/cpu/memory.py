"""Large arrays in memory that is used again: after a few steps, training allocates nothing large.

The system hands out large memory page by page, fills each page with zeros when it is first touched, and takes it back
as soon as the array is gone. For the gradient of pool1's input at batch 128 this costs more time than to compute it.
So a pool keeps the memory, and hands it out again for a request of about that size once nothing refers to it. Memory
that a caller still holds, even through a view of a view, is never handed out: NumPy's views refer to the array that
owns the memory, and CPython counts references.
"""

import math
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakSet

import numpy as np

from ..machine import at_fork

LEAST_BYTES = 1 << 18
"""NumPy allocates smaller arrays: their memory comes from the heap of the process anyway."""

ALIGNMENT = 64
"""Arrays begin at a multiple of this many bytes: a cache line, and a vector register of AVX-512."""

MOST_SLACK = 2
"""A request may get memory of up to this many times its size."""

CACHED_BYTES = 16 << 20
"""Memory of up to about this size is still in cache when it was used last. So the U of one layer serves the next."""

LIFETIME = 2000
"""Memory is given back after this many requests for other memory: the last dozens of steps did not use it."""


class _Block:
    """Memory for ``size`` aligned bytes, and the number of the last request that got it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.memory = np.empty(size + ALIGNMENT, np.uint8)
        self.start = -self.memory.ctypes.data % ALIGNMENT
        self.last_request = 0

    def references(self) -> int:
        """How many objects refer to the memory, counted in the same way each time: each array in it is one more."""
        return sys.getrefcount(self.memory)


_FREE = _Block(0).references()


class HostMemoryPool:
    """Memory by size. ``empty`` hands it out, and finds by itself which memory has become free.

    ``lifetime``: memory is given back after so many requests for other memory, or never.
    """

    def __init__(self, lifetime: int | None = LIFETIME) -> None:
        self._lifetime = lifetime
        self._lock = threading.Lock()
        self._blocks: list[_Block] = []
        self._requests = 0

    def empty(self, shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> np.ndarray:
        """Like ``np.empty``: a C-contiguous array of arbitrary elements that nobody else holds."""
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        if size < LEAST_BYTES:
            return np.empty(shape, dtype)
        with self._lock:
            self._requests += 1
            if self._lifetime is not None:
                oldest = self._requests - self._lifetime
                self._blocks = [block for block in self._blocks if block.last_request >= oldest]
            block = self._free_block(size)
            block.last_request = self._requests
            # Made before the lock is released: the reference marks the block as taken.
            array = block.memory[block.start : block.start + size]
        return array.view(dtype).reshape(shape)

    def _free_block(self, size: int) -> _Block:
        """A free block that is large enough: the last used, or the smallest if none would be in cache. Or a new one."""
        fit = [b for b in self._blocks if size <= b.size <= MOST_SLACK * size and b.references() == _FREE]
        if fit and size <= CACHED_BYTES:
            return max(fit, key=lambda block: block.last_request)
        if fit:
            return min(fit, key=lambda block: block.size)
        self._blocks.append(_Block(size))
        return self._blocks[-1]

    def has(self, array: np.ndarray) -> bool:
        """If the memory of the array is from here."""
        owner = array
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        with self._lock:
            return any(block.memory is owner for block in self._blocks)

    def blocks(self) -> list[_Block]:
        """The memory that is kept, for ``keep``."""
        with self._lock:
            return list(self._blocks)

    def keep(self, blocks: list[_Block]) -> None:
        """Gives back all other memory; memory in use goes when its arrays do."""
        with self._lock:
            self._blocks = [block for block in self._blocks if block in blocks]

    def held(self) -> int:
        """Bytes kept, both those in use and those free."""
        with self._lock:
            return sum(block.size for block in self._blocks)

    def release(self) -> None:
        """Gives back free memory; memory in use goes when its arrays do."""
        with self._lock:
            self._blocks.clear()


class _Server(threading.local):
    """Who makes the arrays of this thread, if it is not the common pool."""

    empty: Callable[[tuple[int, ...], np.typing.DTypeLike], np.ndarray] | None = None


common = HostMemoryPool()
# A thread that held the lock would not be there in the new process to give it back.
at_fork(before=common._lock.acquire, after_in_parent=common._lock.release, after_in_child=common._lock.release)
release = common.release
others: WeakSet[HostMemoryPool] = WeakSet()
"""Those of recordings."""
_server = _Server()


def empty(shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> np.ndarray:
    """As ``HostMemoryPool.empty``, from the common pool, or from who serves this thread."""
    return (_server.empty or common.empty)(shape, dtype)


@contextmanager
def served_by(other: Callable[[tuple[int, ...], np.typing.DTypeLike], np.ndarray]) -> Iterator[None]:
    """``with`` it, ``empty`` of this thread is another function."""
    before, _server.empty = _server.empty, other
    try:
        yield
    finally:
        _server.empty = before


def held() -> int:
    """Bytes that all pools keep."""
    return common.held() + sum(pool.held() for pool in others)
