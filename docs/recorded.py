"""python docs/recorded.py VARIANT:BATCH ...: passes that are recorded and repeated, and the same that run, in turn.

Forward, and forward with backward, float32: the milliseconds of a step that runs, how many times as long a repeated one
takes, median and quartiles of rounds in turn, and the megabytes that the records hold. For docs/performance.md.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from tinyalexnet import alexnet, l2_loss
from tinyalexnet.alexnet import VARIANTS
from tinyalexnet.devices.cpu import memory

ROUNDS, SECONDS = 9, 0.15


def seconds(step: Callable[[], object]) -> float:
    begin = time.perf_counter()
    step()
    return time.perf_counter() - begin


def in_turn(steps: list[Callable[[], object]]) -> list[list[float]]:
    """The median seconds of both steps in each round."""
    for step in steps * 3:  # which compile, and record
        step()
    count = max(1, int(SECONDS / seconds(steps[0])))
    return [[statistics.median(seconds(step) for _ in range(count)) for step in steps] for _ in range(ROUNDS)]


def main(variant: str, batch: int) -> None:
    net = alexnet(variant)
    images = np.random.default_rng(0).standard_normal((batch, *VARIANTS[variant].image_shape), np.float32)
    cells = []
    for loss in (None, l2_loss):
        both = [net.captured(loss, graph=graph) for graph in (False, True)]
        rounds = in_turn([lambda step=step: step(images) for step in both])
        running = 1e3 * statistics.median(ours for ours, _ in rounds)
        low, median, high = np.percentile([recorded / ours for ours, recorded in rounds], [25, 50, 75])
        cells += [f"{running:.3f} ms", f"{median:.2f} ({low:.2f} to {high:.2f})"]
        held = sum(pool.held() for pool in memory.others) / 1e6
    print(f"| `{variant}`, batch {batch} | {' | '.join(cells)} | {held:.0f} MB |", flush=True)


if __name__ == "__main__":
    chosen = [text.partition(":")[::2] for text in sys.argv[1:]]
    if not chosen or not all(name in VARIANTS and size.isdecimal() and int(size) for name, size in chosen):
        sys.exit(__doc__)
    print("| | forward | recorded | forward-backward | recorded | held |\n|---|---|---|---|---|---|")
    for name, size in chosen:
        main(name, int(size))
