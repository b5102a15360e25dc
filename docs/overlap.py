"""mpiexec -n P python docs/overlap.py SECONDS: what overlap gains where the processor is free, as beside a GPU.

The layers of a network with the parameters of ``owt`` sleep in their backward, SECONDS in all, each for the share of
its multiply-adds. The gradients are exchanged when the backward is through, and with overlap, in turn.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import numpy as np

from tinyalexnet import Sequential
from tinyalexnet.alexnet import VARIANTS, alexnet
from tinyalexnet.layers.base import Layer
from tinyalexnet.parallel import MPILink, ShardedStep


class Sleeper(Layer):
    """A layer that computes elsewhere."""

    def __init__(self, params: dict[str, np.ndarray], seconds: float) -> None:
        super().__init__("reference")
        self.params, self._seconds = params, seconds

    def forward(self, x: Any) -> Any:
        return x

    def backward(self, dout: Any) -> Any:
        time.sleep(self._seconds)
        self.grads = {name: np.ones_like(value) for name, value in self.params.items()}
        return dout


class Nothing:
    """An optimizer that does not move."""

    state: dict[str, Any] = {}  # noqa: RUF012

    def move(self, grads: Any, loss: Any) -> None:
        """Nothing."""


def main(seconds: float) -> None:
    net, shape = alexnet("owt"), (1, *VARIANTS["owt"].image_shape)
    costs = {}
    for name, layer in net:
        costs[name], shape = layer.cost(shape).multiply_adds, layer.output_shape(shape)
    whole = sum(costs.values())
    sleepers = Sequential([(name, Sleeper(layer.params, seconds * costs[name] / whole)) for name, layer in net])
    link = MPILink()
    steps = [
        ShardedStep(sleepers, lambda out, *_: (0.0, out), Nothing(), link.size, link, overlap)
        for overlap in (False, True)
    ]
    times: list[list[float]] = [[], []]
    for _ in range(8):
        for step, taken in zip(steps, times, strict=True):
            link.now(lambda: link.texts(""))
            begin = time.perf_counter()
            step(np.zeros((1, 1), np.float32), np.zeros(link.size))
            taken.append(time.perf_counter() - begin)
    if link.rank == 0:
        ratios = [a / b for a, b in zip(*times, strict=True)][1:]
        low, middle, high = statistics.quantiles(ratios, n=4)
        at_end, over = (statistics.median(taken[1:]) for taken in times)
        print(
            f"{seconds} s of backward: at the end {at_end:.2f} s, with overlap {over:.2f} s, {middle:.2f} times "
            f"({low:.2f} to {high:.2f})"
        )
    link.close()


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].replace(".", "", 1).isdecimal():
        sys.exit(__doc__)
    main(float(sys.argv[1]))
