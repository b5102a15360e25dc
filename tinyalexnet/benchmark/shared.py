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
from ..parallel import Link, Placement
from ..parallel.columns import cut_in_two
from ..parallel.cost import activation_bytes, column_gradient_bytes, gradient_bytes
from ..parallel.exchange import buckets
from ..parallel.shards import Loss
from ..parallel.sums import by_readiness
from .options import PASSES, Sharing
from .timing import TimedRun

COUNTED = ("gradients", "activations")
"""Of the kinds of exchanges those whose bytes and seconds are shown: what else a step sends is a few numbers."""


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
    """A process in a step, on average: seconds, and bytes that it sends.

    ``computing`` and ``waiting`` are the step; ``exchanging`` is a part of the waiting, or with overlap beside both.
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

    If dense layers are in columns, ``net`` is of no other use afterwards. On a GPU each step takes its images from the
    host, as in a training; ``graph`` as for ``ShardedStep``.

    Shapes
        ``batch`` must have the ``rows`` of this process. ``labelled`` says if the loss is the cross-entropy with its
        labels; else it is the loss of 2015's script.
    Errors
        As ``Placement`` and its ``step``.
    """

    def __init__(
        self,
        net: Sequential,
        batch: Batch,
        labelled: bool,
        shards: int,
        sharing: Sharing,
        link: Link,
        backend: str,
        graph: bool = True,
    ) -> None:
        self.device: Device = device(backend)
        self._batch, self._link = batch, link
        placement = Placement(net, link, sharing.blocks if sharing.dense == "columns" else None, sharing.groups)
        loss = _loss(labelled, backend)
        self._step = placement.step(net, loss, _NoUpdate(), shards, sharing.scheme, sharing.overlap, graph)
        self._taken: list[tuple[float, float, int]] = []

    def step(self, name: str) -> Callable[[], object]:
        """A step of a pass, at whose end all processes are done."""
        labels = self._batch.labels
        images = self._batch.part(self._step.rows(len(labels)))
        if name == PASSES[0]:
            run: Callable[[], object] = lambda: self._forward(images)  # noqa: E731
        else:
            run = lambda: self._step(images, labels)  # noqa: E731

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

    def _forward(self, images: np.ndarray) -> None:
        self._step.outputs(images, len(self._batch.labels))
        # The smallest exchange that ends when all have come to it.
        self._link.now(lambda: self._link.gather("ends", np.zeros(1, np.uint8), [1] * self._link.size))

    def _counts(self) -> tuple[float, float, int]:
        link = self._link
        return sum(link.exchanging[kind] for kind in COUNTED), link.waited, bytes_sent(link)


def bytes_sent(link: Link) -> int:
    """Those that are counted."""
    return sum(link.sent[kind] for kind in COUNTED)


def shares(link: Link, own: Share) -> list[Share]:
    """Those of all processes."""
    return [Share(**json.loads(text)) for text in link.now(lambda: link.texts(json.dumps(asdict(own))))]


def table(name: str, found: list[Share]) -> list[str]:
    """A line for each process."""
    lines = [f"{name}, a step of each process: seconds, and bytes sent"]
    lines.append(f"{'process':>7} {'computing':>10} {'waiting':>10} {'exchanging':>10} {'sent':>14} {'CPU':>5}")
    for rank, one in enumerate(found):
        seconds = "".join(f" {value:10.4f}" for value in (one.computing, one.waiting, one.exchanging))
        lines.append(f"{rank:>7}{seconds} {one.sent:14,.0f} {one.cpu_utilisation:5.0%}")
    return lines


def expected_bytes(net: Sequential, batch: int, shards: int, sharing: Sharing, size: int, rank: int) -> int:
    """The bytes that a process of so many sends in a step of a batch of N, by the formulas of ``parallel.cost``."""
    if size == 1:
        return 0
    if sharing.dense == "rows":
        return _of_buckets(net, shards, size, rank)
    head, dense = cut_in_two(net)
    weights = [layers[0][1].params["w"] for layers in dense]
    features = [weights[0].shape[0], *(w.shape[1] for w in weights)]
    columns = sharing.blocks, size, rank, sharing.scheme, sharing.groups
    return (
        _of_buckets(head, shards, size, rank)
        + activation_bytes(features, batch, shards, *columns)
        + column_gradient_bytes(features, shards, *columns)
    )


def _of_buckets(net: Sequential, shards: int, size: int, rank: int) -> int:
    """The sums of gradients: the formula for each bucket."""
    arrays = by_readiness(net)
    groups = buckets({name: array.nbytes for name, array in arrays.items()})
    return sum(gradient_bytes(sum(arrays[name].size for name in group), shards, size, rank) for group in groups)


def _loss(labelled: bool, backend: str) -> Loss:
    """Of a shard, as ``ShardedStep`` takes it."""
    if labelled:
        return lambda logits, labels, batch: softmax_cross_entropy(logits, labels, backend, batch=batch)
    return lambda out, labels, batch: l2_loss(out, backend)
