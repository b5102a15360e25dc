"""python docs/updates.py [VARIANT ...]: the update of all parameters in one parallel loop, and in one for each.

For each variant (digits mnist cifar owt) the microseconds of ``momentum_steps`` for all parameters, of
``momentum_step`` for each, and of one array of as many elements; medians and quartiles of rounds in turn. For
docs/performance.md.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np

from tinyalexnet.alexnet import VARIANTS, alexnet
from tinyalexnet.ops.momentum import Move, momentum_step, momentum_steps

DEFAULT = ("digits", "mnist", "cifar", "owt")
SECONDS = 4.0


def moves(shapes: list[tuple[int, ...]]) -> list[Move]:
    # Each element is written, because memory that never was is one page of zeros.
    return [Move(*(np.full(shape, 0.01, np.float32) for _ in range(3)), 0.01, 0.9, 5e-4) for shape in shapes]


def microseconds(variant: str) -> list[list[float]]:
    shapes = [value.shape for value in alexnet(variant).params.values()]
    every, one = moves(shapes), moves([(sum(map(int, map(np.prod, shapes))),)])
    sides = (
        lambda: momentum_steps(every),
        lambda: [momentum_step(*move) for move in every],
        lambda: momentum_step(*one[0]),
    )
    times: list[list[float]] = [[] for _ in sides]
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        for found, run in zip(times, sides, strict=True):
            begin = time.perf_counter()
            run()
            found.append(1e6 * (time.perf_counter() - begin))
    return [found[5:] for found in times]  # the first ones compile


def main(variants: list[str]) -> None:
    print("| | parameters | all at once | each by itself | one array |\n|---|---|---|---|---|")
    for variant in variants:
        cells = []
        for found in microseconds(variant):
            low, median, high = statistics.quantiles(found, n=4)
            cells.append(f"{median:,.0f} µs ({low:,.0f} to {high:,.0f})")
        count = len(alexnet(variant).params)
        print(f"| `{variant}` | {count} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    if not set(sys.argv[1:]) <= set(VARIANTS):
        sys.exit(__doc__)
    main(sys.argv[1:] or list(DEFAULT))
