"""python docs/shards.py: what a step of ``train --shards`` costs, for docs/parallel.md.

Steps of the network ``mnist`` on random images, batch 128, in 1, 4 and 8 shards in turn: milliseconds, and the median
and the quartiles of the ratios to the step without shards.
"""

from __future__ import annotations

import statistics
import time

import numpy as np

from tinyalexnet.training import Settings
from tinyalexnet.training.data import Dataset, Images
from tinyalexnet.training.step import Training

SHARDS = (1, 4, 8)
ROUNDS = 12


def milliseconds(training: Training) -> float:
    begin = time.perf_counter()
    training.advance()
    return 1000 * (time.perf_counter() - begin)


def main() -> None:
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (1000, 28, 28, 1), dtype=np.uint8), rng.integers(0, 10, 1000)
    images = Images(pixels, labels, tuple("0123456789"))
    trainings = {n: Training(Settings("mnist", shards=n), Dataset("random", images, images)) for n in SHARDS}
    for training in trainings.values():
        training.advance()  # compiles
    times = [{n: milliseconds(training) for n, training in trainings.items()} for _ in range(ROUNDS)]
    for n in SHARDS:
        low, middle, high = statistics.quantiles([round_[n] / round_[1] for round_ in times], n=4)
        step = statistics.median(round_[n] for round_ in times)
        print(f"{n} shards: {step:.1f} ms, {middle:.2f} times one ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
