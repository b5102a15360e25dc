"""What all processes of a run must have in common, and what one of them does for all."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from .link import Link

T = TypeVar("T")


def check_same(link: Link, kinds: int = 1, /, **values: str) -> None:
    """ValueError on all processes, which names one, if one of its values is not that of most.

    If no value has the most, that of the first process counts. With several ``kinds`` only processes are compared whose
    numbers differ by a multiple of it.
    """
    every = [json.loads(text) for text in link.now(lambda: link.texts(json.dumps(values)))]
    for name in values:
        for kind in range(kinds):
            theirs = {rank: every[rank][name] for rank in range(kind, link.size, kinds)}
            ((usual, _),) = Counter(theirs.values()).most_common(1)
            first = next(rank for rank, value in theirs.items() if value == usual)
            for rank, value in theirs.items():
                if value != usual:
                    raise ValueError(f"{name} of process {rank} is {value}, but must be {usual} as of process {first}")


def first(link: Link, job: Callable[[], object]) -> None:
    """Runs a job on process 0 alone. Its error is raised on all: on the others as ValueError with the same words."""
    failed: Exception | None = None
    if link.rank == 0:
        try:
            job()
        except (OSError, ValueError, ImportError) as error:
            failed = error
    said = link.now(lambda: link.texts("" if failed is None else str(failed) or type(failed).__name__))[0]
    if failed is not None:
        raise failed
    if said:
        raise ValueError(said)


def after_first(link: Link, job: Callable[[], T]) -> T:
    """The value of a job that each process runs: process 0 before the others, which find the files that it makes if
    they share its disk. Its error is raised on all, as by ``first``."""
    found: list[T] = []
    first(link, lambda: found.append(job()))
    return found[0] if found else job()
