"""The sums of a network's gradients over the shards of a batch, exchanged layer by layer while the backward runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ..devices import device, to_host
from ..layers.base import Layer
from ..network import Sequential
from .exchange import Arrays, added, buckets, total
from .link import Link
from .runs import Run
from .tree import Tree, cut


class GradientSums:
    """For each step ``begin``, for each run of shards of this process ``backward``, or for each shard ``add`` if that
    has run, and ``result``.

    With ``overlap`` a layer's gradients are exchanged while the layers before it compute, in the last ``backward``;
    else when all is computed. If a GPU has them in the ``same_arrays`` in each step, they come and go by pinned memory.
    """

    def __init__(
        self, net: Sequential, shards: int, link: Link, overlap: bool = False, same_arrays: bool = False
    ) -> None:
        self._layers, self._shards, self._link, self._overlap = dict(net.leaves()), shards, link, overlap
        self._same_arrays = same_arrays
        self._last = cut(shards, link.size)[link.rank].stop - 1
        self.hardware = hardware_of(net)
        layers = reversed(self._layers.items())
        sizes = {name: sum(value.nbytes for value in layer.params.values()) for name, layer in layers}
        self._ends = {group[-1]: group for group in buckets(sizes)}
        self.begin()

    def begin(self) -> None:
        """A new step."""
        self._sums: dict[str, Tree[Arrays]] = {name: Tree(added, self._shards) for name in self._ends}
        self._waits: dict[str, Callable[[], Arrays]] = {}

    def backward(self, run: Run, dout: Any) -> None:
        """Runs the backward of some shards, and begins the exchanges if the last of this process is among them."""
        for end, shard, arrays in self._ready(run, dout):
            self._sums[end].put(arrays, shard)
            if shard == self._last and self._overlap:
                self._waits[end] = self._begun(end)

    def add(self, shard: int) -> None:
        """Takes the gradients that the network has of a shard."""
        places = [(end, array) for end in self._ends for _, _, array in self._places(end)]
        every = self.hardware.received([array for _, array in places])
        for end in self._ends:
            arrays = [found for (of, _), found in zip(places, every, strict=True) if of == end]
            self._sums[end].put(arrays, shard)

    def result(self) -> dict[str, Any]:
        """The sums by the parameters' names, on the device of the network."""
        if not self._overlap:
            self._waits = {end: self._begun(end) for end in self._sums}
        found: dict[str, Any] = {}
        for end, wait in self._waits.items():
            for (name, key, gradient), sum_ in zip(self._places(end), wait(), strict=True):
                found[f"{name}.{key}"] = self._placed(sum_, gradient)
        return found

    def _places(self, end: str) -> list[tuple[str, str, Any]]:
        """The gradients of a bucket, each with its layer and its name there."""
        return [(name, key, array) for name in self._ends[end] for key, array in self._layers[name].grads.items()]

    def _ready(self, run: Run, dout: Any) -> Iterator[tuple[str, int, Arrays]]:
        """The gradients of each bucket, by its last layer, and of each shard, as soon as they are there."""
        ready: dict[int, Arrays] = defaultdict(list)
        for name, shard, grads in run.backwards(dout):
            ready[shard] += [to_host(gradient) for gradient in grads.values()]
            if name in self._ends:
                yield name, shard, ready.pop(shard)

    def _begun(self, end: str) -> Callable[[], Arrays]:
        return self._link.later(partial(total, self._link, self._sums[end].held, self._shards))

    def _placed(self, sum_: np.ndarray, gradient: Any) -> Any:
        """A sum where the gradients are: itself, or a copy on the GPU."""
        if self.hardware.on_host:
            return sum_
        (self.hardware.send if self._same_arrays else self.hardware.write)(gradient, sum_)
        return gradient


def total_loss(link: Link, losses: list[float], shards: int) -> float:
    """The sum of the losses of all shards, of which this process has its own, along the tree."""
    counts = [run.stop - run.start for run in cut(shards, link.size)]
    every = link.now(lambda: link.gather("losses", np.array(losses), counts))
    tree: Tree[float] = Tree(lambda a, b: a + b, shards)
    for shard, loss in enumerate(every.tolist()):
        tree.put(loss, shard)
    return tree.result()


def hardware_of(net: Sequential) -> Any:
    """The device of the layers: the GPU, if one of them computes there."""
    devices = [device(layer.backend) for _, layer in net.leaves()]
    return next((found for found in devices if not found.on_host), devices[0])


def as_number(loss: Any) -> float:
    """A loss as a float; on a GPU it is an array of one element."""
    return loss if isinstance(loss, float) else float(to_host(loss)[0])


def leaves_of(net: Sequential) -> list[Layer]:
    """Every layer."""
    return [layer for _, layer in net.leaves()]
