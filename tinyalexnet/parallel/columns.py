"""The dense layers of a network in blocks of columns: each process has some of the blocks, and all rows of a pass.

A block is a dense layer of its own, with its weights one after the other in memory. Its outputs are some columns of the
layer's output, so the forward needs no sum; the dx of the layer is the sum over the blocks, along the tree.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..layers.base import Layer
from ..network import Sequential
from .exchange import Arrays, added, packed, summed
from .link import Link
from .tree import Tree, cut


@dataclass
class Stage:
    """A dense layer, and the layers up to the next one, which take each column by itself."""

    name: str
    layers: list[Layer]
    columns: list[slice]
    blocks: dict[int, list[Layer]] = field(default_factory=dict)
    """Those of this process by their numbers: in each the dense layer and the others, of its columns alone."""

    def of(self, run: slice) -> slice:
        """The columns of some blocks."""
        return slice(self.columns[run.start].start, self.columns[run.stop - 1].stop)


class Columns:
    """The dense layers of a network, from the first one on, in ``blocks`` blocks of columns each.

    Shapes
        A layer's columns are cut evenly, and block k of every layer is on the same process.
    Errors
        ValueError if the network does not end with dense layers, with ReLU and dropout between them, and begin with
        others; if a layer has fewer columns than ``blocks``, or there are more processes in ``link`` than blocks.
    Source
        Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014; docs/parallel.md.
    """

    def __init__(self, net: Sequential, blocks: int, link: Link) -> None:
        self._link, self._blocks = link, blocks
        if link.size > blocks:
            raise ValueError(
                f"blocks is {blocks}, but must be at least the {link.size} processes that share the columns"
            )
        self._runs = cut(blocks, link.size)
        self.own = self._runs[link.rank]
        self.head, groups = cut_in_two(net)
        self.in_features = groups[0][0][1].params["w"].shape[0]
        self.stages = [_stage(group, blocks, self.own) for group in groups]

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the blocks of this process: "fc6.0.w" is the first block of "fc6.w"."""
        return {
            f"{stage.name}.{number}.{key}": value
            for stage in self.stages
            for number, (dense, *_) in stage.blocks.items()
            for key, value in dense.params.items()
        }

    def draw(self) -> None:
        """Draws what layers draw at random for a batch."""
        for stage in self.stages:
            for layer in stage.layers:
                layer.draw()

    def forward(self, x: np.ndarray, rows: np.ndarray, batch: int) -> np.ndarray:
        """The network's output for x, which are these rows of a batch of N, on all processes."""
        for stage in self.stages:
            outs = []
            for layers in stage.blocks.values():
                out = x
                for layer in layers:
                    layer.rows(rows, batch)
                    out = layer.forward(out)
                outs.append(out)
            x = self._gathered(outs, stage)
        return x

    def backward(self, dout: np.ndarray, counts: Sequence[int]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """dx of this process's rows of the last forward, and the gradients of its blocks, from dout of all rows.

        ``counts`` says how many rows each process has, one after the other.
        """
        pieces = [slice(a, b) for a, b in itertools.pairwise([0, *itertools.accumulate(counts)])]
        grads: dict[str, np.ndarray] = {}
        first = 0  # the column of the last layer's output with which dout begins
        for at, stage in reversed(list(enumerate(self.stages))):
            tree: Tree[Arrays] = Tree(added, self._blocks)
            for number, layers in stage.blocks.items():
                columns = stage.columns[number]
                d: Any = np.ascontiguousarray(dout[:, columns.start - first : columns.stop - first])
                for layer in reversed(layers):
                    d = layer.backward(d)
                grads |= {f"{stage.name}.{number}.{key}": value for key, value in layers[0].grads.items()}
                tree.put([d], number)
            below = self.stages[at - 1] if at else None
            parts = pieces if below is None else [(slice(None), below.of(run)) for run in self._runs]
            dout = self._summed(tree, parts)
            first = below.of(self.own).start if below is not None else 0
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
        every = self._link.now(lambda: self._link.gather(what, packed(outs), counts))
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
        return np.ascontiguousarray(link.now(lambda: summed(link, "activations", cuts, self._blocks)))


def cut_in_two(net: Sequential) -> tuple[Sequential, list[list[tuple[str, Layer]]]]:
    """The layers before the first dense one; and the others, each dense layer with those up to the next."""
    layers = list(net)
    behind = next((at for at in range(len(layers), 0, -1) if not layers[at - 1][1].has_columns), 0)
    dense = [at for at in range(behind, len(layers)) if layers[at][1].params]
    if not behind or not dense:
        raise ValueError(
            "dense is 'columns', but a network must begin with other layers and end with dense ones, with ReLU and "
            f"dropout alone between them; this one ends with {layers[-1][0]!r}"
        )
    return Sequential(layers[: dense[0]]), [layers[a:b] for a, b in itertools.pairwise([*dense, len(layers)])]


def _stage(group: list[tuple[str, Layer]], blocks: int, own: slice) -> Stage:
    """A dense layer and those behind it, in blocks."""
    name, layers = group[0][0], [layer for _, layer in group]
    width = layers[0].params["b"].size
    if blocks > width:
        raise ValueError(f"blocks is {blocks}, but must be at most the {width} columns of {name!r}")
    stage = Stage(name, layers, cut(width, blocks))
    for number in range(own.start, own.stop):
        stage.blocks[number] = [layer.columns(stage.columns[number], width) for layer in layers]
    # They are in the blocks now, and nowhere else in this process.
    layers[0].params = {}
    return stage
