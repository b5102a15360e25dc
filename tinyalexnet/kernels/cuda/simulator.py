"""A race in Numba's simulator of a GPU, closed."""

from __future__ import annotations

import threading
from typing import Any

from numba.cuda.simulator.kernelapi import FakeCUDAShared


class OneAtATime(dict[Any, Any]):
    """The simulator's shared arrays. It looks for one, and makes it if there is none: two threads might both do so."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def get(self, key: Any, default: Any = None) -> Any:
        """What is there; where nothing is, the next one waits until it has been made."""
        self._lock.acquire()
        found = super().get(key, default)
        if found is not None:
            self._lock.release()
        return found

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self._lock.release()


def close_race() -> None:
    """Gives the shared arrays of every launch a lock: else the threads of a block may not see the same array."""
    make = FakeCUDAShared.__init__

    def make_with_lock(self: Any, size: int) -> None:
        make(self, size)
        self._allocations = OneAtATime()

    FakeCUDAShared.__init__ = make_with_lock
