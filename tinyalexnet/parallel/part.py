"""The exchanges of some processes of mpi4py, which run in the thread of the link that has all of them."""

from __future__ import annotations

import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
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
            begin = time.perf_counter()
            try:
                return value()
            finally:
                self.waited += time.perf_counter() - begin

        return wait

    def now(self, job: Callable[[], T]) -> T:
        """As ``Link.now``."""
        return self.later(job)()

    def exchange(self, what: str, pieces: np.ndarray, to: Sequence[int], from_: Sequence[int]) -> np.ndarray:
        """As ``Link.exchange``."""
        out, back = ([0 if rank == self.rank else count for rank, count in enumerate(counts)] for counts in (to, from_))
        received = np.empty(sum(back), pieces.dtype)
        begin = time.perf_counter()
        self._comm.Alltoallv([pieces, (out, _starts(to))], [received, (back, _starts(back))])
        self._count(what, pieces.itemsize * sum(out), time.perf_counter() - begin)
        return received

    def gather(self, what: str, mine: np.ndarray, counts: Sequence[int]) -> np.ndarray:
        """As ``Link.gather``."""
        every = np.empty(sum(counts), mine.dtype)
        begin = time.perf_counter()
        self._comm.Allgatherv(mine, [every, (counts, _starts(counts))])
        self._count(what, mine.nbytes * (self.size - 1), time.perf_counter() - begin)
        return every

    def complete(self, what: str, array: np.ndarray, counts: Sequence[int]) -> None:
        """As ``Link.complete``."""
        begin = time.perf_counter()
        parts = [array[start : start + count] for start, count in zip(_starts(counts), counts, strict=True)]
        # MPICH's Allgatherv takes twice as long for some megabytes on one machine.
        for step in range(1, self.size):
            to, from_ = (self.rank + step) % self.size, (self.rank - step) % self.size
            self._comm.Sendrecv(parts[self.rank], to, recvbuf=parts[from_], source=from_)
        self._count(what, parts[self.rank].nbytes * (self.size - 1), time.perf_counter() - begin)

    def texts(self, text: str) -> list[str]:
        """As ``Link.texts``."""
        mine = np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8)
        counts = self.gather("texts", np.array([mine.size]), [1] * self.size).tolist()
        every = self.gather("texts", mine, counts).tobytes()
        parts = (every[at : at + n] for at, n in zip(_starts(counts), counts, strict=True))
        return [part.decode("utf-8", "surrogateescape") for part in parts]

    def broadcast(self, array: np.ndarray) -> None:
        """As ``Link.broadcast``."""
        begin = time.perf_counter()
        self._comm.Bcast(array)
        sent = 0 if self.rank else array.nbytes * (self.size - 1)
        self._count("state", sent, time.perf_counter() - begin)

    def split(self, part: int) -> Link:
        """As ``Link.split``."""

        def divided() -> Link:
            comm = self._comm.Split(part, self.rank)
            return Alone() if comm.Get_size() == 1 else Part(comm, self)

        return self.now(divided)

    def rest(self) -> None:
        """As ``Link.rest``."""

        def asleep() -> None:
            # MPI's own barrier would ask without a pause, and so keep a processor from who computes.
            all_here = self._comm.Ibarrier()
            while not all_here.Test():
                time.sleep(NAP)

        self.now(asleep)

    def close(self) -> None:
        """Nothing: the link of all processes is closed."""

    def _count(self, what: str, sent: int, seconds: float) -> None:
        """What an exchange has cost, here and in the link that this is a part of."""
        self.sent[what] += sent
        self.exchanging[what] += seconds
        if self._within is not None:
            self._within._count(what, sent, seconds)


def _starts(counts: Sequence[int]) -> list[int]:
    """Where each of some arrays begins that stand one after the other."""
    return [0, *itertools.accumulate(counts)][:-1]
