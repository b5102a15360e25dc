"""A step on a batch in shards: each process computes some of them, and all take one update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..captured import CapturedStep, Optimizer, Result
from ..devices import to_host
from ..network import Sequential
from .link import Alone, Link
from .runs import Run, joined, runs_of, same_weights
from .sums import GradientSums, as_number, leaves_of, total_loss
from .tree import cut

Loss = Callable[[Any, Any, int], tuple[Any, Any]]


class ShardedStep:
    """``step(x, labels)``: the step of a whole batch, of which each process computes some shards.

    The loss and its gradients are those of the batch, up to rounding: each shard divides by the size of the batch, and
    dropout takes its part of the batch's mask. The gradients are added along ``Tree``, so their bits depend on the
    number of shards, and on nothing else: not on how many processes there are.

    With ``overlap`` a layer's gradients are exchanged while the layers before it compute; else when the backward is
    through. On a GPU the gradients are added by the host, to which they are copied. Without ``overlap``, and unless
    ``graph`` is False, a shard is a captured step there; and on processors forward and backward are recorded and
    repeated, if a process computes its shards together. What they compute is in the same arrays in each step then.

    Shapes
        x (n, ...), the ``rows`` of this process, and labels (N,) of the batch -> ``Result(out, loss)``, out (m, K) of
        the ``out_rows`` and loss of the batch, a float. ``loss`` is a function of a shard's output, its labels and N
        that returns its part of the loss and the gradient.
    Errors
        As those of the network, the loss and the link; ValueError if a batch has fewer images than ``shards``, x has
        others than the rows, or there are more processes than shards.
    Source
        docs/parallel.md.
    """

    def __init__(
        self,
        net: Sequential,
        loss: Loss,
        optimizer: Optimizer,
        shards: int,
        link: Link | None = None,
        overlap: bool = False,
        graph: bool = True,
    ) -> None:
        self._net, self._loss, self._optimizer, self._shards = net, loss, optimizer, shards
        self._link: Link = link or Alone()
        self._own = own_shards(shards, self._link)
        self._leaves = leaves_of(net)
        self._overlap, self._graph = overlap, graph
        self._sums = GradientSums(net, shards, self._link, overlap, graph)
        self._captured: dict[int, CapturedStep] = {}
        self._forward = net.captured(None, graph=graph)

    def rows(self, batch: int) -> slice:
        """The images of a batch of N that this process computes."""
        return own_rows(batch, self._shards, self._own)

    out_rows = rows  # for each process is a team of its own

    def outputs(self, x: Any, batch: int) -> Any:
        """The forward of a step alone, with dropout: the output of the ``out_rows`` for x, the ``rows`` of a batch.

        On the host; a shard on a GPU is a captured forward.
        """
        runs, first = self._begun(x, batch), self.rows(batch).start
        with same_weights(runs):
            return joined([self._forward_of(run, x[run.images(first)]) for run in runs])

    def __call__(self, x: Any, labels: Any) -> Result:
        """Takes a step on a batch: x are its ``rows``, ``labels`` are all of it."""
        batch, hardware = len(labels), self._sums.hardware
        runs, first = self._begun(x, batch), self.rows(batch).start
        self._sums.begin()
        take = self._layer_by_layer if self._overlap or hardware.on_host else self._at_once
        outs: list[np.ndarray] = []
        losses: list[float] = []
        with same_weights(runs):
            for run in runs:
                for out, loss in take(run, x[run.images(first)], labels[run.images()], batch):
                    outs.append(to_host(out))
                    losses.append(as_number(loss))
        loss = total_loss(self._link, losses, self._shards)
        self._optimizer.move(self._sums.result(), hardware.number(loss, np.dtype(np.float64)))
        return Result(np.concatenate(outs), loss)

    def _begun(self, x: Any, batch: int) -> list[Run]:
        """The runs of a new batch, for which the layers have drawn what they draw at random."""
        check_rows(x, self.rows(batch), batch)
        for layer in self._leaves:
            layer.draw()
        return runs_of(self._net, cut(batch, self._shards)[self._own], self._own.start, self._sums.hardware)

    def _forward_of(self, run: Run, x: Any) -> Any:
        if self._sums.hardware.on_host:
            return self._sums.forward(run, x)
        return to_host(self._forward(x, first=run.rows[0].start).out)

    def _layer_by_layer(self, run: Run, x: Any, labels: Any, batch: int) -> list[Result]:
        """The forward and the backward of some shards, whose gradients are exchanged as soon as they are there."""
        images, targets = map(self._sums.hardware.to_device, (x, labels))
        out = self._sums.forward(run, images)
        outs = run.parts(out)
        losses = [self._loss(*part, batch) for part in zip(outs, run.parts(targets), strict=True)]
        self._sums.backward(run, joined([dout for _, dout in losses]))
        return [Result(part, loss) for part, (loss, _) in zip(outs, losses, strict=True)]

    def _at_once(self, run: Run, x: Any, labels: Any, batch: int) -> list[Result]:
        """The same of one shard as one captured step, and then its gradients."""
        step = self._captured.get(batch)
        if step is None:
            loss = lambda out, targets: self._loss(out, targets, batch)  # noqa: E731
            step = self._captured[batch] = self._net.captured(loss, graph=self._graph)
        found = step(x, labels, first=run.rows[0].start)
        self._sums.add(run.first)
        return [found]


def own_shards(shards: int, link: Link) -> slice:
    """The shards of this process; ValueError if there are more processes than shards."""
    if link.size > shards:
        raise ValueError(f"shards is {shards}, but must be at least the {link.size} processes there are")
    return cut(shards, link.size)[link.rank]


def own_rows(batch: int, shards: int, own: slice) -> slice:
    """The images of a batch of N that are in some of its shards."""
    rows = cut(batch, shards)
    return slice(rows[own.start].start, rows[own.stop - 1].stop)


def check_rows(x: Any, rows: slice, batch: int) -> None:
    """ValueError if x cannot be these rows of a batch of N."""
    if len(x) != rows.stop - rows.start:
        raise ValueError(
            f"x has {len(x)} images, but must have the {rows.stop - rows.start} that this process computes of the "
            f"{batch} that have labels"
        )
