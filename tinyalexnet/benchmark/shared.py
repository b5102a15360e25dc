"""The steps of the benchmark on several processes, and what each of them does in a step."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..devices import Device, device
from ..losses import l2_loss, softmax_cross_entropy
from ..network import Sequential
from ..parallel import Link, ShardedStep, cut
from ..parallel.cost import gradient_bytes
from ..parallel.exchange import buckets
from ..parallel.runs import runs_of, same_weights
from ..parallel.shards import Loss
from ..parallel.sums import by_readiness
from .options import PASSES
from .timing import TimedRun

GRADIENTS = "gradients"
"""What ``exchange.total`` calls its exchanges."""


@dataclass(frozen=True)
class Batch:
    """The images of a batch that one process may have to compute, from number ``first`` on, and all labels."""

    first: int
    images: np.ndarray
    labels: np.ndarray

    def part(self, rows: slice) -> np.ndarray:
        """Some images, by their numbers in the batch."""
        return self.images[rows.start - self.first : rows.stop - self.first]


@dataclass(frozen=True)
class Share:
    """A process in a step, on average: seconds, and bytes of gradients that it sends.

    ``computing`` and ``waiting`` are the step; ``exchanging`` is what the thread of the exchanges needs beside it.
    """

    computing: float
    exchanging: float
    waiting: float
    sent: float
    cpu_utilisation: float


class _NoUpdate:
    """In place of an optimizer: the benchmark computes gradients, and moves nothing."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def move(self, grads: Any, loss: Any) -> None:
        """Nothing."""


class SharedWork:
    """The steps of a batch, of which each process of a link computes its shards; as ``Workload``, for ``time_steps``.

    Shapes
        ``batch`` must have the ``rows`` of this process. ``labelled`` says if the loss is the cross-entropy with its
        labels; else it is the loss of 2015's script.
    Errors
        As ``ShardedStep``.
    """

    def __init__(self, net: Sequential, batch: Batch, labelled: bool, shards: int, link: Link, backend: str) -> None:
        self.device: Device = device(backend)
        self._net, self._batch, self._link, self._shards = net, batch, link, shards
        self._leaves = [layer for _, layer in net.leaves()]
        self._sharded = ShardedStep(net, _loss(labelled, backend), _NoUpdate(), shards, link, overlap=True)
        self._taken: list[tuple[float, float, int]] = []

    def step(self, name: str) -> Callable[[], object]:
        """A step of a pass, at whose end all processes are done."""
        labels = self._batch.labels
        rows = self._sharded.rows(len(labels))
        images = self._batch.part(rows)
        if name == PASSES[0]:
            run: Callable[[], object] = lambda: self._forward(images, rows.start)  # noqa: E731
        else:
            run = lambda: self._sharded(images, labels)  # noqa: E731

        def counted() -> None:
            before = self._counts()
            run()
            exchanging, waiting, sent = (after - now for now, after in zip(before, self._counts(), strict=True))
            self._taken.append((exchanging, waiting, int(sent)))

        return counted

    finished_step = step

    def share(self, run: TimedRun, threads: int) -> Share:
        """What this process did in the timed steps of a run, the last that it has taken."""
        count = len(run.durations)
        exchanging, waiting, sent = (sum(values) / count for values in zip(*self._taken[-count:], strict=True))
        seconds = sum(run.durations) / count
        return Share(seconds - waiting, exchanging, waiting, sent, run.cpu_utilisation(threads))

    def _forward(self, images: np.ndarray, first: int) -> None:
        for layer in self._leaves:
            layer.draw()
        size = self._link.size
        own = cut(self._shards, size)[self._link.rank]
        runs = runs_of(self._net, cut(len(self._batch.labels), self._shards)[own], own.start, self.device)
        with same_weights(runs):
            for run in runs:
                run.forward(images[run.images(first)])
        # The smallest exchange that ends when all have come to it.
        self._link.now(lambda: self._link.gather("ends", np.zeros(1, np.uint8), [1] * size))

    def _counts(self) -> tuple[float, float, int]:
        link = self._link
        return link.exchanging[GRADIENTS], link.waited, link.sent[GRADIENTS]


def shares(link: Link, own: Share) -> list[Share]:
    """Those of all processes."""
    return [Share(**json.loads(text)) for text in link.now(lambda: link.texts(json.dumps(asdict(own))))]


def table(name: str, found: list[Share]) -> list[str]:
    """A line for each process."""
    lines = [f"{name}, a step of each process: seconds, and bytes of gradients sent"]
    lines.append(f"{'process':>7} {'computing':>10} {'waiting':>10} {'exchanging':>10} {'sent':>14} {'CPU':>5}")
    for rank, one in enumerate(found):
        seconds = "".join(f" {value:10.4f}" for value in (one.computing, one.waiting, one.exchanging))
        lines.append(f"{rank:>7}{seconds} {one.sent:14,.0f} {one.cpu_utilisation:5.0%}")
    return lines


def expected_bytes(net: Sequential, shards: int, size: int, rank: int) -> int:
    """The bytes of gradients that a process sends in a step, by the formula for each bucket."""
    if size == 1:
        return 0
    arrays = by_readiness(net)
    groups = buckets({name: array.nbytes for name, array in arrays.items()})
    return sum(gradient_bytes(sum(arrays[name].size for name in group), shards, size, rank) for group in groups)


def _loss(labelled: bool, backend: str) -> Loss:
    """Of a shard, as ``ShardedStep`` takes it."""
    if labelled:
        return lambda logits, labels, batch: softmax_cross_entropy(logits, labels, backend, batch=batch)
    return lambda out, labels, batch: l2_loss(out, backend)
