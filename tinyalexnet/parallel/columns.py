"""The dense layers of a network in blocks of columns: each process has some of the blocks, and all rows of a pass.

A block is a dense layer of its own, with its weights one after the other in memory. Its outputs are some columns of the
layer's output, so the forward needs no sum; the dx of the layer is the sum over the blocks, along the tree.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..layers import Dense, Dropout, ReLU
from ..layers.base import Layer
from ..network import Sequential
from ..ops.dropout import dropout
from ..ops.relu import relu_backward, relu_forward
from .exchange import Arrays, added
from .link import Link
from .tree import Tree, cut, nodes


@dataclass
class Stage:
    """A dense layer and the layers up to the next one, each element of which has its column."""

    name: str
    dense: Dense
    after: list[Layer] = field(default_factory=list)
    columns: list[slice] = field(default_factory=list)
    blocks: dict[int, Dense] = field(default_factory=dict)
    """Those of this process, by their numbers."""

    def of(self, run: slice) -> slice:
        """The columns of some blocks."""
        return slice(self.columns[run.start].start, self.columns[run.stop - 1].stop)


Trail = list[tuple[Layer, np.ndarray]]
"""What the layers after a block save for their backward."""


class Columns:
    """The dense layers of a network, from the first one on, in ``blocks`` blocks of columns each.

    Shapes
        A layer's columns are cut evenly, and block k of every layer is on the same process.
    Errors
        ValueError if the network has no dense layer, has others than ReLU and dropout behind the first one, a layer has
        fewer columns than ``blocks``, or there are more processes than blocks.
    Source
        Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014; docs/parallel.md.
    """

    def __init__(self, net: Sequential, blocks: int, link: Link) -> None:
        self._link, self._blocks = link, blocks
        self.head, self.stages = _cut_in_two(net)
        if link.size > blocks:
            raise ValueError(f"blocks is {blocks}, but must be at least the {link.size} processes there are")
        self._runs = cut(blocks, link.size)
        self.own = self._runs[link.rank]
        self.in_features = self.stages[0].dense.params["w"].shape[0]
        for stage in self.stages:
            features = stage.dense.params["b"].size
            if blocks > features:
                raise ValueError(f"blocks is {blocks}, but must be at most the {features} columns of {stage.name!r}")
            stage.columns = cut(features, blocks)
            for block in range(self.own.start, self.own.stop):
                stage.blocks[block] = _block(stage.dense, stage.columns[block])
            # They are in the blocks now, and nowhere else in this process.
            stage.dense.params = {}

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the blocks of this process: "fc6.0.w" is the first block of "fc6.w"."""
        return {
            f"{stage.name}.{number}.{key}": value
            for stage in self.stages
            for number, block in stage.blocks.items()
            for key, value in block.params.items()
        }

    def masks(self, batch: int, train: bool) -> dict[Layer, np.ndarray]:
        """Draws the mask of each dropout, for all rows and columns of a batch."""
        found: dict[Layer, np.ndarray] = {}
        for stage in self.stages:
            for layer in stage.after:
                if isinstance(layer, Dropout) and train:
                    layer.draw()
                    found[layer] = layer.mask((batch, stage.columns[-1].stop))
        return found

    def forward(
        self, x: np.ndarray, rows: np.ndarray, masks: dict[Layer, np.ndarray]
    ) -> tuple[np.ndarray, list[Trail]]:
        """The network's output for the rows of a pass, on all processes; ``rows`` are their numbers in the batch."""
        trails: list[Trail] = []
        for stage in self.stages:
            outs = []
            for number, block in stage.blocks.items():
                out = block.forward(x)
                trail: Trail = []
                for layer in stage.after:
                    out = _after(layer, out, masks, rows, stage.columns[number], trail)
                trails.append(trail)
                outs.append(out)
            x = self._gathered(outs, stage)
        return x, trails

    def backward(
        self, dout: np.ndarray, trails: list[Trail], counts: Sequence[int]
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """dx of this process's rows of a pass, and the gradients of its blocks, from dout of all rows and columns.

        ``counts`` says how many rows each process has, one after the other.
        """
        pieces = [slice(a, b) for a, b in itertools.pairwise([0, *itertools.accumulate(counts)])]
        grads: dict[str, np.ndarray] = {}
        for at, stage in reversed(list(enumerate(self.stages))):
            tree: Tree[Arrays] = Tree(added, self._blocks)
            first = stage.of(self.own).start if at < len(self.stages) - 1 else 0
            for number, block in reversed(stage.blocks.items()):
                columns = stage.columns[number]
                d = np.ascontiguousarray(dout[:, columns.start - first : columns.stop - first])
                for layer, saved in reversed(trails.pop()):
                    d = _before(layer, d, saved)
                block.backward_params(d)
                grads |= {f"{stage.name}.{number}.{key}": value for key, value in block.grads.items()}
                tree.put([block.backward_input(d)], number)
            below = self.stages[at - 1] if at else None
            parts = pieces if below is None else [(slice(None), below.of(run)) for run in self._runs]
            dout = self._summed(tree, parts)
        return dout, grads

    def joined(self, layer: str, key: str, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """An array of a whole layer, "w" or "b", from those of its blocks, on all processes."""
        stage = self._stage(layer)
        own = [arrays[f"{layer}.{number}.{key}"] for number in stage.blocks]
        rows = [array.reshape(-1, array.shape[-1]) for array in own]
        return self._gathered(rows, stage, "state").reshape(*own[0].shape[:-1], -1)

    def split(self, layer: str, key: str, array: np.ndarray) -> dict[str, np.ndarray]:
        """Of an array of a whole layer the parts of this process."""
        stage = self._stage(layer)
        return {
            f"{layer}.{number}.{key}": np.ascontiguousarray(array[..., stage.columns[number]])
            for number in stage.blocks
        }

    def mean(self, layer: str, key: str, values: Mapping[str, float]) -> float:
        """The mean over an array of a whole layer, from the means over those of its blocks."""
        stage = self._stage(layer)
        own = np.array([values[f"{layer}.{number}.{key}"] for number in stage.blocks])
        counts = [run.stop - run.start for run in self._runs]
        every: list[float] = self._link.now(lambda: self._link.gather("state", own, counts)).tolist()
        widths = [columns.stop - columns.start for columns in stage.columns]
        total = sum(mean * width for mean, width in zip(every, widths, strict=True))
        return every[0] if len(every) == 1 else total / sum(widths)

    def _stage(self, layer: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == layer)

    def _gathered(self, outs: Arrays, stage: Stage, what: str = "activations") -> np.ndarray:
        """The columns of all blocks side by side."""
        rows = outs[0].shape[0]
        widths = [columns.stop - columns.start for columns in stage.columns]
        counts = [rows * sum(widths[run]) for run in self._runs]
        flat = np.concatenate([out.reshape(-1) for out in outs])
        every = self._link.now(lambda: self._link.gather(what, flat, counts))
        parts, at = [], 0
        for width in widths:
            parts.append(every[at : at + rows * width].reshape(rows, width))
            at += rows * width
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _summed(self, tree: Tree[Arrays], parts: Sequence[Any]) -> np.ndarray:
        """The sum over all blocks of the part that this process needs; ``parts`` are the indices of those of all."""
        link = self._link
        held = [array for (array,) in tree.held.values()]
        if link.size == 1:
            return np.ascontiguousarray(held[0][parts[0]])
        cuts = [[array[part] for array in held] for part in parts]
        shape = cuts[link.rank][0].shape
        names = [nodes(run, self._blocks) for run in self._runs]
        mine = cuts[link.rank][0].size
        send = np.concatenate([piece.reshape(-1) for some in cuts for piece in some])
        to, from_ = [sum(piece.size for piece in some) for some in cuts], [len(of) * mine for of in names]
        received = link.now(lambda: link.exchange("activations", send, to, from_))
        whole: Tree[Arrays] = Tree(added, self._blocks)
        at = 0
        for of in names:
            for lo, hi in of:
                whole.put([received[at : at + mine].reshape(shape)], lo, hi)
                at += mine
        return whole.result()[0]


def _cut_in_two(net: Sequential) -> tuple[Sequential, list[Stage]]:
    """The layers before the first dense one, and the others."""
    layers = list(net)
    first = next((at for at, (_, layer) in enumerate(layers) if isinstance(layer, Dense)), 0)
    if not first:
        raise ValueError("dense is 'columns', but the network must have a dense layer, and others before it")
    stages: list[Stage] = []
    for name, layer in layers[first:]:
        if isinstance(layer, Dense):
            stages.append(Stage(name, layer))
        elif isinstance(layer, (ReLU, Dropout)):
            stages[-1].after.append(layer)
        else:
            raise ValueError(
                f"dense is 'columns', but behind the first dense layer must be ReLU and dropout alone, and not {name!r}"
            )
    return Sequential(layers[:first]), stages


def _block(dense: Dense, columns: slice) -> Dense:
    """A dense layer with some of the columns of another one."""
    block = copy.copy(dense)
    block.params = {key: np.ascontiguousarray(value[..., columns]) for key, value in dense.params.items()}
    block.grads = {}
    return block


def _after(
    layer: Layer, x: np.ndarray, masks: dict[Layer, np.ndarray], rows: np.ndarray, columns: slice, trail: Trail
) -> np.ndarray:
    """The output of a layer that takes each element by itself, for some rows and columns."""
    if isinstance(layer, Dropout):
        if layer not in masks:
            return x
        saved = np.ascontiguousarray(masks[layer][rows, columns])
        x = dropout(x, saved, layer.rate, layer.backend)
    else:
        x = saved = relu_forward(x, x, layer.backend)
    trail.append((layer, saved))
    return x


def _before(layer: Layer, dout: np.ndarray, saved: np.ndarray) -> np.ndarray:
    """The dx of such a layer."""
    if isinstance(layer, Dropout):
        return dropout(dout, saved, layer.rate, layer.backend)
    return relu_backward(dout, saved, dout, layer.backend)
