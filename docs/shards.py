"""python docs/shards.py: what a step in shards costs one process, for docs/parallel.md.

Forward, backward and update of the network ``mnist``, and of the convolutions of ``tf2015``, on random images, batch
128, in 1, 4 and 8 shards in turn: milliseconds, median and quartiles of the ratios to the step in one shard.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from tinyalexnet.alexnet import VARIANTS, alexnet
from tinyalexnet.parallel import ShardedStep
from tinyalexnet.training.optimizer import SGD

BATCH = 128
SHARDS = (1, 4, 8)
ROUNDS = 12


def loss(out: Any, labels: Any, batch: int) -> tuple[float, Any]:
    """The sum of squares by 2 N, whose gradient is out / N: as cheap as a loss can be."""
    return float((out**2).sum() / (2 * batch)), out / np.float32(batch)


def milliseconds(step: ShardedStep, x: np.ndarray) -> float:
    begin = time.perf_counter()
    step(x, np.zeros(len(x), np.intp))
    return 1000 * (time.perf_counter() - begin)


def main() -> None:
    rng = np.random.default_rng(0)
    for variant in ("mnist", "tf2015"):
        x = rng.standard_normal((BATCH, *VARIANTS[variant].image_shape), dtype=np.float32)
        steps = {}
        for shards in SHARDS:
            net = alexnet(variant)
            steps[shards] = ShardedStep(net, loss, SGD(net.params, 1e-9), shards)
            milliseconds(steps[shards], x)  # compiles
        times = [{shards: milliseconds(step, x) for shards, step in steps.items()} for _ in range(ROUNDS)]
        for shards in SHARDS:
            low, middle, high = statistics.quantiles([round_[shards] / round_[1] for round_ in times], n=4)
            step = statistics.median(round_[shards] for round_ in times)
            print(f"{variant}, {shards} shards: {step:.0f} ms, {middle:.2f} times one ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
