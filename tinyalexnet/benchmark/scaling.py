"""The same step on one process, on two, and so on: seconds, speed-up, efficiency, and bytes.

All sizes are measured in one run, in turn. The processes that do not belong to a team sleep meanwhile.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..parallel import Link
from .shared import bytes_sent
from .versus import TURN_SECONDS

EVERY_SIZE = 4
"""Up to so many processes each number of them is measured; beyond, the powers of two and the number of all."""


@dataclass
class Row:
    """A team of so many processes: the seconds of a step, a median for each round, and the bytes that each process
    sends in a step, counted and by the formula."""

    processes: int
    seconds: list[float]
    sent: list[int]
    expected: list[int]

    def speed_up(self, one: Row) -> tuple[float, float, float]:
        """The seconds of ``one`` over these: the lower quartile over the rounds, the median, the upper quartile."""
        low, median, high = np.percentile(np.divide(one.seconds, self.seconds), [25, 50, 75])
        return float(low), float(median), float(high)

    def efficiency(self, one: Row) -> float:
        """The speed-up for each process."""
        return self.speed_up(one)[1] / self.processes


def sizes(processes: int) -> list[int]:
    """The numbers of processes that are measured."""
    if processes <= EVERY_SIZE:
        return list(range(1, processes + 1))
    return [*(1 << i for i in range((processes - 1).bit_length())), processes]


def measure(
    link: Link,
    step_of: Callable[[Link], Callable[[], object]],
    expected: Callable[[int, int], int],
    rounds: int,
    done: Callable[[], object],
) -> list[Row]:
    """Measures teams of the first processes, each once in every round; process 0 alone has the seconds.

    ``step_of`` makes the step of a team, and ``expected(size, rank)`` is what a process should send in it. ``done`` is
    called after each turn.
    """
    parts = {size: link.split(int(link.rank >= size)) for size in sizes(link.size)}
    teams = {size: team for size, team in parts.items() if link.rank < size}
    steps = {size: step_of(team) for size, team in teams.items()}
    seconds: dict[int, list[float]] = {size: [] for size in sizes(link.size)}
    taken: Counter[int] = Counter()
    for at in range(rounds):
        # To and fro, so that none always follows the same one.
        for size in sizes(link.size)[:: -1 if at % 2 else 1]:
            if size in teams:
                median, count = _turn(teams[size], steps[size])
                seconds[size].append(median)
                taken[size] += count
            link.rest()
            done()
    own = {size: bytes_sent(team) // taken[size] for size, team in teams.items()}
    every = [json.loads(text) for text in link.now(lambda: link.texts(json.dumps(own)))]
    return [
        Row(
            size,
            seconds[size],
            [found[str(size)] for found in every[:size]],
            [expected(size, rank) for rank in range(size)],
        )
        for size in sizes(link.size)
    ]


def _turn(team: Link, step: Callable[[], object]) -> tuple[float, int]:
    """The median seconds of a team's steps in its turn, after one that only warms up; and the number of all."""

    def seconds() -> float:
        begin = time.perf_counter()
        step()
        return time.perf_counter() - begin

    wanted = str(max(1, round(TURN_SECONDS / max(seconds(), 1e-6))))
    # All must take as many: process 0 says how many.
    count = int(team.now(lambda: team.texts(wanted))[0])
    return float(np.median([seconds() for _ in range(count)])), 1 + count


def table(rows: list[Row], title: str) -> list[str]:
    """The rows as lines of text. Of the bytes that are sent, those of the process that sends most."""
    rounds = len(rows[0].seconds)
    lines = [
        f"{title}, {'one round' if rounds == 1 else f'medians of {rounds} rounds'}",
        f"{'processes':>9} {'s / step':>10} {'speed-up':>9} {'(quartiles)':>14} {'efficiency':>10} {'bytes sent':>14}",
    ]
    for row in rows:
        low, median, high = row.speed_up(rows[0])
        lines.append(
            f"{row.processes:>9} {np.median(row.seconds):10.4f} {median:9.2f} {f'({low:.2f} {high:.2f})':>14} "
            f"{row.efficiency(rows[0]):10.0%} {max(row.sent):14,}"
        )
    return lines


def as_json(rows: list[Row]) -> list[dict[str, Any]]:
    """The rows as plain data."""
    return [asdict(row) | {"speed_up": row.speed_up(rows[0]), "efficiency": row.efficiency(rows[0])} for row in rows]
