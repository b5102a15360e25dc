"""The exchanges of some processes of mpi4py, one after the other on the link that has all of them.

Each is made of messages from process to process. MPICH's own Allgatherv took two to three times as long for some
megabytes on one machine.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from .link import Alone, Link

T = TypeVar("T")

NAP = 0.005
"""Seconds between two looks if all are here, for a process that rests."""


class Part:
    """A ``Link`` of the processes of a communicator, which ``within`` was split into."""

    def __init__(self, comm: Any, within: Part | None) -> None:
        self._comm, self._within = comm, within
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        self.sent: Counter[str] = Counter()
        self.waited = 0.0
        self.exchanging: defaultdict[str, float] = defaultdict(float)

    def later(self, job: Callable[[], T]) -> Callable[[], T]:
        """As ``Link.later``. The jobs of all parts of a link run in its thread: so in one order on all processes."""
        assert self._within is not None
        value = self._within.later(job)

        def wait() -> T:
            with self._waiting():
                return value()

        return wait

    def now(self, job: Callable[[], T]) -> T:
        """As ``Link.now``."""
        assert self._within is not None
        with self._waiting():
            return self._within.now(job)

    def exchange(self, what: str, pieces: Sequence[np.ndarray], from_: Sequence[int]) -> np.ndarray:
        """As ``Link.exchange``."""
        counts = [0 if rank == self.rank else count for rank, count in enumerate(from_)]
        received = np.empty(sum(counts), pieces[0].dtype)
        self._move(what, pieces, _cut(received, counts))
        return received

    def gather(self, what: str, mine: np.ndarray, counts: Sequence[int]) -> np.ndarray:
        """As ``Link.gather``."""
        every = np.empty(sum(counts), mine.dtype)
        _cut(every, counts)[self.rank][...] = mine
        self.complete(what, every, counts)
        return every

    def complete(self, what: str, array: np.ndarray, counts: Sequence[int]) -> None:
        """As ``Link.complete``."""
        parts = _cut(array, counts)
        self._move(what, [parts[self.rank]] * self.size, parts)

    def texts(self, text: str) -> list[str]:
        """As ``Link.texts``."""
        mine = np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8)
        counts = self.gather("texts", np.array([mine.size]), [1] * self.size).tolist()
        every = self.gather("texts", mine, counts)
        return [part.tobytes().decode("utf-8", "surrogateescape") for part in _cut(every, counts)]

    def broadcast(self, array: np.ndarray) -> None:
        """As ``Link.broadcast``."""
        begin = time.perf_counter()
        self._finish([self._comm.Ibcast(array)])
        sent = 0 if self.rank else array.nbytes * (self.size - 1)
        self._count("state", sent, time.perf_counter() - begin)

    def split(self, part: int) -> Link:
        """As ``Link.split``."""

        def divided() -> Link:
            comm = self._comm.Split(part, self.rank)
            return Alone() if comm.Get_size() == 1 else Part(comm, self)

        return self.later(divided)()  # Split holds its thread

    def rest(self) -> None:
        """As ``Link.rest``."""

        def asleep() -> None:
            # MPI's own barrier would ask without a pause, and so keep a processor from who computes.
            all_here = self._comm.Ibarrier()
            while not all_here.Test():
                time.sleep(NAP)

        self.later(asleep)()

    def close(self) -> None:
        """Nothing: the link of all processes is closed."""

    def _move(self, what: str, sent: Sequence[np.ndarray], received: Sequence[np.ndarray]) -> None:
        """Sends each other process its array, and receives one of each, of the sizes that these have."""
        begin = time.perf_counter()
        others = [(self.rank + step) % self.size for step in range(1, self.size)]
        messages = {rank: np.ascontiguousarray(sent[rank]) for rank in others if sent[rank].size}
        requests = [self._comm.Irecv(received[rank], rank) for rank in others if received[rank].size]
        requests += [self._comm.Isend(message, rank) for rank, message in messages.items()]
        if requests:
            self._finish(requests)
        self._count(what, sum(message.nbytes for message in messages.values()), time.perf_counter() - begin)

    def _finish(self, requests: list[Any]) -> None:
        """Waits until these are done."""
        assert self._within is not None
        self._within._finish(requests)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """What is done in it counts as waiting."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.waited += time.perf_counter() - begin

    def _count(self, what: str, sent: int, seconds: float) -> None:
        """What an exchange has cost, here and in the link that this is a part of."""
        self.sent[what] += sent
        self.exchanging[what] += seconds
        if self._within is not None:
            self._within._count(what, sent, seconds)


def _cut(array: np.ndarray, counts: Sequence[int]) -> list[np.ndarray]:
    """The arrays of ``counts`` elements that stand one after the other."""
    return [array[start:stop] for start, stop in itertools.pairwise([0, *itertools.accumulate(counts)])]
