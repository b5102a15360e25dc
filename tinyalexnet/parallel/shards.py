"""A step on a batch in shards: each process computes some of them, one after the other, and all take one update."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ..captured import Optimizer, Result
from ..devices import Device, device, to_host
from ..layers.base import Layer
from ..network import Sequential
from .exchange import Arrays, added, buckets, total
from .link import Alone, Link
from .tree import Tree, cut

Loss = Callable[[Any, Any, int], tuple[Any, Any]]


class ShardedStep:
    """``step(x, labels)``: the step of a whole batch, of which each process computes some shards.

    The loss and its gradients are those of the batch, up to rounding: each shard divides by the size of the batch, and
    dropout takes its part of the batch's mask. The gradients are added along ``Tree``, so their bits depend on the
    number of shards, and on nothing else: not on how many processes there are.

    While a layer's gradients are exchanged, the layers before it compute; without ``overlap`` they wait until the
    backward is through. On a GPU the gradients are added by the host, to which they are copied.

    Shapes
        x (n, ...) and labels (n,), the ``rows`` of this process -> ``Result(out, loss)``, out (n, K) of its shards and
        loss of the batch, a float. ``loss`` is a function of a shard's output, its labels and the N of the batch that
        returns its part of the loss and the gradient.
    Errors
        As those of the network, the loss and the link; ValueError if a batch has fewer images than ``shards``, or
        there are more processes than shards.
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
        overlap: bool = True,
    ) -> None:
        self._net, self._loss, self._optimizer, self._shards = net, loss, optimizer, shards
        self._link: Link = link or Alone()
        if self._link.size > shards:
            raise ValueError(f"shards is {shards}, but must be at least the {self._link.size} processes there are")
        self._own = cut(shards, self._link.size)[self._link.rank]
        self._overlap = overlap
        self._leaves = [layer for _, layer in net.leaves()]
        self._hardware = next((found for found in map(_device, self._leaves) if not found.on_host), device("reference"))
        sizes = {name: sum(value.nbytes for value in layer.params.values()) for name, layer in reversed(list(net))}
        self._ends = {group[-1]: group for group in buckets(sizes)}

    def rows(self, batch: int) -> slice:
        """The images of a batch of N that this process computes."""
        shards = cut(batch, self._shards)
        return slice(shards[self._own.start].start, shards[self._own.stop - 1].stop)

    def __call__(self, x: Any, labels: Any, batch: int | None = None) -> Result:
        """Takes a step; ``batch`` is N, if x has not all images of the batch."""
        batch = len(x) if batch is None else batch
        shards, first = cut(batch, self._shards), self.rows(batch).start
        for layer in self._leaves:
            layer.draw()
        outs, losses = [], []
        sums: dict[str, Tree[Arrays]] = {name: Tree(added, self._shards) for name in self._ends}
        waits: dict[str, Callable[[], Arrays]] = {}
        for shard in range(self._own.start, self._own.stop):
            rows = slice(shards[shard].start - first, shards[shard].stop - first)
            for layer in self._leaves:
                layer.part(shards[shard].start)
            images, targets = map(self._hardware.to_device, (x[rows], labels[rows]))
            out = self._net.forward(images)
            loss, dout = self._loss(out, targets, batch)
            outs.append(to_host(out))
            losses.append(_number(loss))
            for end, arrays in self._backward(dout):
                sums[end].put(arrays, shard)
                if shard == self._own.stop - 1 and self._overlap:
                    waits[end] = self._begun(sums[end])
        if not self._overlap:
            waits = {end: self._begun(tree) for end, tree in sums.items()}
        total_loss = self._total_loss(losses)
        self._optimizer.move(self._gradients(waits), self._hardware.number(total_loss, np.dtype(np.float64)))
        return Result(np.concatenate(outs), total_loss)

    def _backward(self, dout: Any) -> Iterator[tuple[str, Arrays]]:
        """Runs the backward; yields the gradients of each bucket, by its last layer, as soon as they are there."""
        ready: Arrays = []
        for name, layer, _ in self._net.backwards(dout):
            ready += [to_host(gradient) for gradient in layer.grads.values()]
            if name in self._ends:
                yield name, ready
                ready = []

    def _begun(self, tree: Tree[Arrays]) -> Callable[[], Arrays]:
        return self._link.later(partial(total, self._link, tree.held, self._shards))

    def _total_loss(self, losses: list[float]) -> float:
        counts = [run.stop - run.start for run in cut(self._shards, self._link.size)]
        every = self._link.now(lambda: self._link.gather("losses", np.array(losses), counts))
        tree: Tree[float] = Tree(lambda a, b: a + b, self._shards)
        for shard, loss in enumerate(every.tolist()):
            tree.put(loss, shard)
        return tree.result()

    def _gradients(self, waits: dict[str, Callable[[], Arrays]]) -> dict[str, Any]:
        """The sums by name, on the device of the network."""
        found: dict[str, Any] = {}
        for end, wait in waits.items():
            places = [(name, key) for name in self._ends[end] for key in self._net[name].grads]
            for (name, key), sum_ in zip(places, wait(), strict=True):
                found[f"{name}.{key}"] = self._placed(sum_, self._net[name].grads[key])
        return found

    def _placed(self, sum_: np.ndarray, gradient: Any) -> Any:
        """A sum where the gradients are: itself, or a copy on the GPU."""
        if self._hardware.on_host:
            return sum_
        self._hardware.write(gradient, sum_)
        return gradient


def _device(layer: Layer) -> Device:
    return device(layer.backend)


def _number(loss: Any) -> float:
    return loss if isinstance(loss, float) else float(to_host(loss)[0])
