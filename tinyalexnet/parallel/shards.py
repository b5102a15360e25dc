"""A step on a batch in shards: forward and backward of one shard after the other, and one update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..captured import Optimizer, Result
from ..network import Sequential
from .tree import Tree, cut

Gradients = dict[str, np.ndarray]


class ShardedStep:
    """``step(x, labels)``: the step of a whole batch, with the arrays of one shard at a time.

    The loss and its gradients are those of the batch, up to rounding: each shard divides by the size of the batch, and
    dropout takes its part of the batch's mask. The gradients are added along ``Tree``, so their bits depend on the
    number of shards, and on nothing else.

    Shapes
        x (N, ...) and labels (N,) -> ``Result(out, loss)``, out (N, K) of all shards, loss a float. ``loss`` is a
        function of a shard's output, its labels and N that returns its part of the loss and the gradient.
    Errors
        As those of the network and of the loss; ValueError if a batch has fewer images than ``shards``.
    Source
        docs/parallel.md.
    """

    def __init__(
        self, net: Sequential, loss: Callable[[Any, Any, int], tuple[float, Any]], optimizer: Optimizer, shards: int
    ) -> None:
        self._net, self._loss, self._optimizer, self._shards = net, loss, optimizer, shards
        self._leaves = [layer for _, layer in net.leaves()]

    def __call__(self, x: np.ndarray, labels: np.ndarray) -> Result:
        for layer in self._leaves:
            layer.draw()
        outs: list[np.ndarray] = []
        gradients: Tree[Gradients] = Tree(_added)
        losses: Tree[float] = Tree(lambda a, b: a + b)
        for rows in cut(len(x), self._shards):
            for layer in self._leaves:
                layer.part(rows.start)
            out = self._net.forward(x[rows])
            loss, dout = self._loss(out, labels[rows], len(x))
            self._net.backward(dout)
            outs.append(out)
            losses.push(loss)
            gradients.push(self._net.grads)
        total = losses.result()
        self._optimizer.move(gradients.result(), total)
        return Result(np.concatenate(outs), total)


def _added(a: Gradients, b: Gradients) -> Gradients:
    for name, gradient in a.items():
        np.add(gradient, b[name], out=gradient)
    return a
