"""The sums of a network's gradients over the shards of a batch, exchanged layer by layer while the backward runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..devices import device, to_host
from ..layers.base import Layer
from ..network import Sequential
from ..recorded import RecordedPasses
from .exchange import Arrays, added, buckets, total
from .link import Link, begun
from .runs import Run
from .tree import Node, Tree, cut


class GradientSums:
    """For each step ``begin``, for each run of shards of this process ``backward``, or for each shard ``add`` if that
    has run, and ``result``.

    With ``overlap`` a layer's gradients are exchanged while the layers before it compute, in the last ``backward``;
    else when all is computed. Without, and with ``graph``, they are in the same arrays in each step: those of a GPU
    come and go by pinned memory, and on processors the passes of the only run of this process are recorded and
    repeated, as in ``CapturedStep``.
    """

    def __init__(self, net: Sequential, shards: int, link: Link, overlap: bool = False, graph: bool = False) -> None:
        self._layers, self._shards, self._link, self._overlap = dict(net.leaves()), shards, link, overlap
        self._same_arrays = graph and not overlap
        self._last = cut(shards, link.size)[link.rank].stop - 1
        self.hardware = hardware_of(net)
        self._is_recorded = self._same_arrays and self.hardware.can_record and net.can_be_recorded()
        self._recorded: dict[Any, RecordedPasses] = {}
        self._groups = buckets({name: value.nbytes for name, value in by_readiness(net).items()})
        self._ends: dict[str, list[int]] = defaultdict(list)
        for number, group in enumerate(self._groups):
            self._ends[group[-1].rpartition(".")[0]].append(number)
        self.begin()

    def begin(self) -> None:
        """A new step."""
        self._sums = self._trees()
        self._waits: dict[int, Callable[[], Arrays]] = {}

    def forward(self, run: Run, x: Any) -> Any:
        """The output of some shards for x; the next forward may overwrite it."""
        passes = self._passes(run)
        if passes is None:
            return run.forward(x)
        # The run says so itself, but its Python is not repeated. Layers that draw take the images of all its shards.
        for layer in self._layers.values():
            layer.part(run.rows[0].start)
        return passes.forward(x)

    def backward(self, run: Run, dout: Any) -> None:
        """Runs the backward of some shards, and begins the exchanges if the last of this process is among them."""
        passes = self._passes(run)
        if passes is None:
            self._put(self._sums, run, dout)
            return
        for number, node, arrays in passes.backward(dout):
            self._sums[number].put(arrays, *node)

    def _trees(self) -> list[Tree[Arrays]]:
        add = partial(added, add=partial(self.hardware.done, np.add))
        return [Tree(add, self._shards) for _ in self._groups]

    def _put(self, sums: list[Tree[Arrays]], run: Run, dout: Any) -> None:
        ready: dict[int, dict[str, np.ndarray]] = defaultdict(dict)
        for name, shard, grads in run.backwards(dout):
            ready[shard] |= {f"{name}.{key}": to_host(gradient) for key, gradient in grads.items()}
            for number in self._ends.get(name, []):
                sums[number].put([ready[shard].pop(of) for of in self._groups[number]], shard)
                if shard == self._last and self._overlap:
                    self._waits[number] = self._total(number)

    def _nodes(self, run: Run, dout: Any) -> list[tuple[int, Node, Arrays]]:
        """The sums over the shards of a run: the number of a group of arrays, the node of the tree, and the sums."""
        sums = self._trees()
        self._put(sums, run, dout)
        return [(number, node, arrays) for number, tree in enumerate(sums) for node, arrays in tree.held.items()]

    def _passes(self, run: Run) -> RecordedPasses | None:
        """Those of a run, if they are recorded. Of several runs each would hold memory of its own."""
        if not self._is_recorded or not run.is_only:
            return None
        key = run.first, *((rows.start, rows.stop) for rows in run.rows)
        if key not in self._recorded:
            passes = _Passes(run.forward, partial(self._nodes, run))
            self._recorded[key] = RecordedPasses(passes, list(self._layers.values()), self.hardware, [run])
        return self._recorded[key]

    def add(self, shard: int) -> None:
        """Takes the gradients that the network has of a shard."""
        names = [name for group in self._groups for name in group]
        every = dict(zip(names, self.hardware.received([self._gradient(name) for name in names]), strict=True))
        for tree, group in zip(self._sums, self._groups, strict=True):
            tree.put([every[name] for name in group], shard)

    def result(self) -> dict[str, Any]:
        """The sums by the parameters' names, on the device of the network."""
        if not self._overlap:
            self._waits = {number: self._total(number) for number in range(len(self._groups))}
        return {
            name: self._placed(sum_, self._gradient(name))
            for number, wait in self._waits.items()
            for name, sum_ in zip(self._groups[number], wait(), strict=True)
        }

    def _total(self, number: int) -> Callable[[], Arrays]:
        job = partial(total, self._link, self._sums[number].held, self._shards)
        return begun(self._link, job, beside=self._overlap)

    def _gradient(self, name: str) -> Any:
        layer, _, key = name.rpartition(".")
        return self._layers[layer].grads[key]

    def _placed(self, sum_: np.ndarray, gradient: Any) -> Any:
        """A sum where the gradients are: itself, or a copy on the GPU."""
        if self.hardware.on_host:
            return sum_
        (self.hardware.send if self._same_arrays else self.hardware.write)(gradient, sum_)
        return gradient


class _Passes(NamedTuple):
    """The forward of a run, and the backward with the sums over its shards."""

    forward: Callable[[Any], Any]
    backward: Callable[[Any], Any]


def by_readiness(net: Sequential) -> dict[str, Any]:
    """The parameters by their names, by the order in which a backward has their gradients."""
    return {
        f"{name}.{key}": value for name, layer in reversed(list(net.leaves())) for key, value in layer.params.items()
    }


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
