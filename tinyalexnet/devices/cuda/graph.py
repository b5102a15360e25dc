"""A step captured once and replayed: all its launches reach the GPU by one call, so it costs no Python.

The launches of a step are the same each time; only the numbers in its arrays differ. So the driver records them once,
as a CUDA graph. What changes from step to step (images, labels, a learning rate, the seed of dropout) must be in
arrays, which the host writes to between replays.
"""

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any

from .driver import DriverError, driver, one_at_a_time
from .memory import DeviceMemoryPool, serving

REHEARSALS = 2
"""Steps before the capture. They compile and load every kernel, and the second one, in which results of the first are
still held, asks for all the memory that a step ever needs: while a step is captured, nothing may be allocated."""


class Graph:
    """The launches of ``step()``, recorded; ``replay`` runs them all.

    ``prepare()`` runs before each rehearsal and before the capture: what the step may not do while it is captured.

    State
        ``result``, what ``step()`` returned: arrays that each replay writes anew. The graph holds the memory of all
        arrays that the step makes, results and temporaries.
    Errors
        DriverError if the step cannot be captured: it waits, or copies from or to the host.
    """

    def __init__(self, step: Callable[[], Any], prepare: Callable[[], object] = lambda: None) -> None:
        self._gpu = driver()
        self._pool = DeviceMemoryPool(self._gpu)
        with one_at_a_time, serving(self._pool):
            for _ in range(REHEARSALS):
                prepare()
                self.result = step()
            prepare()
            self._gpu.wait()
            self._pool.used.clear()
            with _without_collection():
                self._gpu.begin_capture()
                try:
                    self.result = step()
                except BaseException:
                    self._abandon()
                    raise
                self._graph = self._gpu.end_capture()
        # What the rehearsals needed and the graph does not.
        self._pool.release(but=frozenset(self._pool.used))

    def replay(self) -> Any:
        """Starts all launches, and returns ``result``, which the GPU writes to when it comes to it."""
        with one_at_a_time:
            self._gpu.replay(self._graph)
        return self.result

    def _abandon(self) -> None:
        """Ends a capture that failed: the driver answers for it a second time, which would hide the first reason."""
        with contextlib.suppress(DriverError):
            self._gpu.forget(self._gpu.end_capture())

    def __del__(self) -> None:
        graph = self.__dict__.get("_graph")
        if graph is not None:
            self._gpu.wait()
            self._gpu.forget(graph)
            self._pool.close()


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """No cycles are collected meanwhile: with another graph in one of them, the end of that would end the capture."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
