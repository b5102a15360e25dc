"""python docs/between.py VARIANT BATCH: the microseconds of Python between the kernels, for each layer.

Forward and backward of each layer, with the loss and the update: medians of a step, and of what of it is not in
compiled kernels (checks, views, memory for results). Then all layers in passes that are recorded once and repeated.
For docs/performance.md.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable

import numpy as np

from tinyalexnet.alexnet import VARIANTS, alexnet
from tinyalexnet.devices import device
from tinyalexnet.devices.cpu.threads import ParallelKernel, StreamingKernel
from tinyalexnet.losses import softmax_cross_entropy
from tinyalexnet.recorded import RecordedPasses
from tinyalexnet.training.optimizer import SGD

SECONDS = 4.0


class Kernels:
    """The seconds that kernels have taken so far."""

    inside = 0.0


def timed(call: Callable[..., None]) -> Callable[..., None]:
    def run(*arguments: object) -> None:
        begin, before = time.perf_counter(), Kernels.inside
        call(*arguments)
        Kernels.inside = before + time.perf_counter() - begin  # not twice, if one method calls the other

    return run


class Clock:
    """Notes how long something takes, and how much of that is in no kernel."""

    def __init__(self) -> None:
        self.found: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def __call__(self, name: str, run: Callable[[], object]) -> object:
        begin, before = time.perf_counter(), Kernels.inside
        value = run()
        whole = time.perf_counter() - begin
        self.found[name].append((1e6 * whole, 1e6 * (whole - (Kernels.inside - before))))
        return value

    def medians(self, name: str) -> tuple[float, float]:
        whole, between = zip(*self.found[name][3:], strict=True)  # the first ones compile
        return statistics.median(whole), statistics.median(between)


def main(variant: str, batch: int) -> None:
    ParallelKernel.__call__ = timed(ParallelKernel.__call__)  # type: ignore[method-assign]
    StreamingKernel.call_for = timed(StreamingKernel.call_for)  # type: ignore[method-assign]
    net, clock = alexnet(variant), Clock()
    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch, *VARIANTS[variant].image_shape), np.float32)
    labels = rng.integers(0, 10, batch)
    optimizer, layers = SGD(net.params), list(net)
    recorded = RecordedPasses(net, [layer for _, layer in layers], device("cpu"))
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(clock.found["update"]) < 10:
        out = clock("recorded forward", lambda: recorded.forward(images))
        _, d = softmax_cross_entropy(out, labels)
        clock("recorded backward", lambda d=d: recorded.backward(d))
        x = images
        for name, layer in layers:
            layer.draw()
            x = clock(f"{name} forward", lambda layer=layer, x=x: layer.forward(x))
        _, d = clock("loss", lambda x=x: softmax_cross_entropy(x, labels))
        for name, layer in reversed(layers):
            d = clock(f"{name} backward", lambda layer=layer, d=d: layer.backward(d))
        clock("update", lambda: optimizer.move(net.grads))
    report(clock, [name for name, _ in layers])


def report(clock: Clock, layers: list[str]) -> None:
    print("| | forward, µs | between kernels | backward, µs | between kernels |\n|---|---|---|---|---|")
    total = np.zeros(4)
    for name in layers:
        row = np.array([*clock.medians(f"{name} forward"), *clock.medians(f"{name} backward")])
        total += row
        print(f"| {name} | {' | '.join(f'{value:,.0f}' for value in row)} |")
    print(f"| all layers | {' | '.join(f'{value:,.0f}' for value in total)} |")
    forward, backward = (clock.medians(f"recorded {name}")[0] for name in ("forward", "backward"))
    print(f"| recorded | {forward:,.0f} | | {backward:,.0f} | |")
    for name in ("loss", "update"):
        print("| {} | {:,.0f} | {:,.0f} | | |".format(name, *clock.medians(name)))


if __name__ == "__main__":
    variant, batch = (*sys.argv[1:], "", "")[:2]
    if len(sys.argv) != 3 or not batch.isdecimal() or not int(batch) or VARIANTS.get(variant) is None:
        sys.exit(__doc__)
    if VARIANTS[variant].num_classes is None:
        sys.exit(f"variant is {variant!r}, but must be one that classifies")
    main(variant, int(batch))
