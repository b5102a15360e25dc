"""A step whose convolutions are split by images and whose dense layers by columns: "One weird trick".

The layers before the first dense one are computed shard by shard, as in ``ShardedStep``. Then every process gets the
rows of all shards, and computes its columns of the dense layers for them: all rows at once (scheme a), those of one
shard after the other (b), or a part of every shard after the other (c).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..captured import Optimizer, Result
from .columns import Columns
from .link import Link
from .shards import Loss, own_rows, own_shards, same_weights
from .sums import GradientSums, as_number, leaves_of
from .tree import Tree, cut, spans

SCHEMES = ("a", "b", "c")


class HybridStep:
    """``step(x, labels)``: as ``ShardedStep``, with the dense layers in blocks of columns.

    The bits depend on the number of shards, the number of blocks and the scheme, and not on the number of processes.
    With one shard and one block they are those of a step without either.

    Shapes
        As ``ShardedStep``. ``optimizer`` is of the parameters of ``columns.head`` and of ``columns``.
    Errors
        As ``ShardedStep``; ValueError if there are fewer images in a shard than passes of scheme c.
    Source
        Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014; docs/parallel.md.
    """

    def __init__(
        self,
        columns: Columns,
        loss: Loss,
        optimizer: Optimizer,
        shards: int,
        link: Link,
        scheme: str = "a",
        overlap: bool = False,
    ) -> None:
        self._columns, self._loss, self._optimizer = columns, loss, optimizer
        self._shards, self._link, self._scheme = shards, link, scheme
        self._own, self._runs = own_shards(shards, link), cut(shards, link.size)
        self._leaves = leaves_of(columns.head)
        self._sums = GradientSums(columns.head, shards, link, overlap)

    def rows(self, batch: int) -> slice:
        """The images of a batch of N that this process computes."""
        return own_rows(batch, self._shards, self._own)

    def __call__(self, x: np.ndarray, labels: np.ndarray, batch: int) -> Result:
        """Takes a step on a batch of N images, of which x and labels are the ``rows`` of this process."""
        passes = passes_of(batch, self._shards, self._link.size, self._scheme)
        own = self.rows(batch)
        labels = self._all_labels(labels, batch)
        for layer in self._leaves:
            layer.draw()
        with same_weights(self._own):
            flat, saved = self._head_forward(x, batch)
            self._columns.draw()
            dense: Tree[dict[str, np.ndarray]] = Tree(_added, len(passes))
            losses: Tree[float] = Tree(lambda a, b: a + b, len(passes))
            dflat, logits = np.empty_like(flat), []
            ahead = self._gathering(flat, passes[0], own.start)
            for number, of in enumerate(passes):
                here, rows = ahead(), np.concatenate(of)
                if number + 1 < len(passes):
                    ahead = self._gathering(flat, passes[number + 1], own.start)
                out = self._columns.forward(here, rows, batch)
                loss, dout = self._loss(out, labels[rows], batch)
                dx, grads = self._columns.backward(dout, [len(some) for some in of])
                dflat[of[self._link.rank] - own.start] = dx
                dense.put(grads, number)
                losses.put(as_number(loss), number)
                logits.append(out)
            self._head_backward(dflat, batch, saved)
        self._optimizer.move(self._sums.result() | dense.result(), losses.result())
        every = np.empty((batch, logits[0].shape[1]), logits[0].dtype)
        every[np.concatenate([rows for of in passes for rows in of])] = np.concatenate(logits)
        return Result(every[own], losses.result())

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The output (N, K) without dropout, on all processes, for images x that all of them have."""
        of = rows_of(len(x), self._shards, self._link.size)
        own = of[self._link.rank]
        first = own[0] if own.size else 0
        flat, _ = self._head_forward(x[first : first + own.size], len(x))
        return self._columns.forward(self._gathering(flat, of, first)(), np.concatenate(of), len(x))

    def _head_forward(self, x: np.ndarray, batch: int) -> tuple[np.ndarray, list[list[Any]]]:
        """The output of the layers before the dense ones for the rows of this process, and what each shard saved."""
        outs, saved = [np.empty((0, self._columns.in_features), x.dtype)], []
        shards, at = spans(batch, self._shards), 0
        for shard in range(self._own.start, self._own.stop):
            rows = shards[shard]
            if rows.start == rows.stop:
                continue
            for layer in self._leaves:
                layer.part(rows.start)
            outs.append(self._columns.head.forward(x[at : at + rows.stop - rows.start]))
            saved.append([layer._saved for layer in self._leaves])
            at += rows.stop - rows.start
        return outs[-1] if len(outs) == 2 else np.concatenate(outs), saved

    def _head_backward(self, dflat: np.ndarray, batch: int, saved: list[list[Any]]) -> None:
        """The backward of all shards of this process, whose gradients are exchanged meanwhile."""
        self._sums.begin()
        shards, first = cut(batch, self._shards), self.rows(batch).start
        for shard, of in zip(range(self._own.start, self._own.stop), saved, strict=True):
            for layer, values in zip(self._leaves, of, strict=True):
                layer._saved = values
            self._sums.backward(shard, dflat[shards[shard].start - first : shards[shard].stop - first])

    def _gathering(self, flat: np.ndarray, of: list[np.ndarray], first: int) -> Callable[[], np.ndarray]:
        """Begins to gather the rows of a pass from all processes; returns what waits for them."""
        link, width = self._link, self._columns.in_features
        mine = np.ascontiguousarray(flat[of[link.rank] - first]).reshape(-1)
        counts = [len(rows) * width for rows in of]
        wait = link.later(partial(link.gather, "activations", mine, counts))
        return lambda: wait().reshape(-1, width)

    def _all_labels(self, labels: np.ndarray, batch: int) -> np.ndarray:
        link = self._link
        counts = [len(rows) for rows in rows_of(batch, self._shards, link.size)]
        return link.now(lambda: link.gather("labels", np.ascontiguousarray(labels), counts))


def rows_of(batch: int, shards: int, processes: int) -> list[np.ndarray]:
    """The numbers of the images of each process."""
    every = spans(batch, shards)
    return [np.arange(every[run.start].start, every[run.stop - 1].stop) for run in cut(shards, processes)]


def passes_of(batch: int, shards: int, processes: int, scheme: str) -> list[list[np.ndarray]]:
    """For each pass of the dense layers the numbers of the images of each process: together each image once.

    Errors
        ValueError if scheme c would have passes without images.
    """
    if scheme == "a":
        return [rows_of(batch, shards, processes)]
    every, runs = cut(batch, shards), cut(shards, processes)
    if scheme == "c" and batch // shards < shards:
        raise ValueError(
            f"shards is {shards}, but must be at most the {batch // shards} images of a shard in scheme 'c'"
        )
    found = []
    for number in range(shards):
        of = []
        for run in runs:
            chosen = [np.arange(0)]
            for shard in range(run.start, run.stop):
                rows = np.arange(every[shard].start, every[shard].stop)
                if scheme == "c":
                    chosen.append(rows[spans(len(rows), shards)[number]])
                elif shard == number:
                    chosen.append(rows)
            of.append(np.concatenate(chosen))
        found.append(of)
    return found


def _added(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    for name, gradient in a.items():
        np.add(gradient, b[name], out=gradient)
    return a
