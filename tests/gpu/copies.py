"""Copies to shared memory that run beside the arithmetic: cp.async, as an emulated GPU sees it.

A copy reads global memory when it starts. What it writes may come at any time until its thread has waited for the
group of the copy, so until then nobody may read or write there. It then counts as written by this thread, at this
moment: other threads see it after the next barrier.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Started:
    """One instruction's copies: the threads, their groups, where they write, and the elements."""

    lanes: np.ndarray
    groups: np.ndarray
    addresses: np.ndarray
    values: list[np.ndarray]

    def where(self, chosen: np.ndarray) -> Started:
        values = [value[chosen] for value in self.values]
        return Started(self.lanes[chosen], self.groups[chosen], self.addresses[chosen], values)


class Copies:
    """The copies of some blocks that run in step. A thread's groups are counted from 0."""

    def __init__(self, threads: int) -> None:
        self.committed = np.zeros(threads, np.int64)
        self.started: list[Started] = []

    def start(self, lanes: np.ndarray, addresses: np.ndarray, values: list[np.ndarray]) -> None:
        self.started.append(Started(lanes, self.committed[lanes], addresses, values))

    def commit(self, lanes: np.ndarray) -> None:
        """The copies since the last commit become a group, also if there are none."""
        self.committed[lanes] += 1

    def wait(self, lanes: np.ndarray, left: int) -> list[Started]:
        """The copies of these threads that are there for sure if all but ``left`` of their groups are."""
        waits = np.zeros(self.committed.size, bool)
        waits[lanes] = True
        there, on_their_way = [], []
        for copy in self.started:
            done = waits[copy.lanes] & (copy.groups < self.committed[copy.lanes] - left)
            there += [copy.where(done)] if done.any() else []
            on_their_way += [copy.where(~done)] if not done.all() else []
        self.started = on_their_way
        return there
