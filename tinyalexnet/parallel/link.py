"""What a process has of the others: its number, and five exchanges. ``Alone`` is a process without others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

import numpy as np

T = TypeVar("T")


class Link(Protocol):
    """The processes of a run. All of them must ask for the same exchanges in the same order.

    The exchanges move bits and compute nothing. They are for jobs, functions that ``later`` and ``now`` run one after
    the other, in the order of the calls.
    """

    rank: int
    """The number of this process, from 0."""

    size: int
    """The number of processes."""

    sent: Counter[str]
    """Bytes that this process has sent to others, by what they were."""

    waited: float
    """Seconds that this process has waited for a job."""

    exchanging: defaultdict[str, float]
    """Seconds that its exchanges have taken, by what they were; in them it may have waited for the others, too."""

    def later(self, job: Callable[[], T]) -> Callable[[], T]:
        """Begins a job, after those before it; returns a function that waits for its value.

        Errors
            When waited for: those of the job; TimeoutError if it takes longer than the link's patience.
        """

    def now(self, job: Callable[[], T]) -> T:
        """The value of a job, after those before it; errors as of ``later``."""

    def exchange(self, what: str, pieces: Sequence[np.ndarray], from_: Sequence[int]) -> np.ndarray:
        """Sends ``pieces[q]`` to process q, and receives ``from_[q]`` elements from it, all one after the other in the
        order of the processes; ``what`` is for ``sent``. The piece for this process itself stays where it is, and is
        not among the received. All have one dtype; one that is not C-contiguous is copied."""

    def gather(self, what: str, mine: np.ndarray, counts: Sequence[int]) -> np.ndarray:
        """The arrays of all processes one after the other; that of process q has ``counts[q]`` elements."""

    def complete(self, what: str, array: np.ndarray, counts: Sequence[int]) -> None:
        """As ``gather`` into an array in which those of this process are in their place already."""

    def texts(self, text: str) -> list[str]:
        """The texts of all processes."""

    def broadcast(self, array: np.ndarray) -> None:
        """Writes what process 0 has in its array into the arrays of the others, which have its shape."""

    def split(self, part: int) -> Link:
        """A link of those processes alone that ask with the same number, in their order. All must ask for it.

        What it sends and how long it waits counts here too.
        """

    def rest(self) -> None:
        """Waits, and leaves its processors to others, until all processes are here."""

    def close(self) -> None:
        """Says that this process asks for nothing more."""


class Alone:
    """A process without others: nothing moves, and a job runs at once."""

    rank, size, waited = 0, 1, 0.0

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.exchanging: defaultdict[str, float] = defaultdict(float)

    def later(self, job: Callable[[], T]) -> Callable[[], T]:
        """Runs the job."""
        value = job()
        return lambda: value

    def now(self, job: Callable[[], T]) -> T:
        """Runs the job."""
        return job()

    def exchange(self, what: str, pieces: Sequence[np.ndarray], from_: Sequence[int]) -> np.ndarray:
        """Nothing is received."""
        return np.empty(0, pieces[0].dtype)

    def gather(self, what: str, mine: np.ndarray, counts: Sequence[int]) -> np.ndarray:
        """``mine``."""
        return mine

    def complete(self, what: str, array: np.ndarray, counts: Sequence[int]) -> None:
        """Nothing."""

    def texts(self, text: str) -> list[str]:
        """[text]."""
        return [text]

    def broadcast(self, array: np.ndarray) -> None:
        """Nothing."""

    def split(self, part: int) -> Link:
        """Another one without others."""
        return Alone()

    def rest(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def begun(link: Link, job: Callable[[], T], beside: bool) -> Callable[[], T]:
    """What gives the value of a job, which runs beside the caller from now on, or not until it is asked for."""
    return link.later(job) if beside else partial(link.now, job)
