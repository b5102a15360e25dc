"""The sum of the gradients of all shards, on every process: each process adds up one part, and hands it to all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from .link import Link
from .tree import Node, Tree, nodes, spans

Arrays = list[np.ndarray]

BUCKET_BYTES = 1 << 20
"""Gradients of small layers are exchanged together, until they are this many: an exchange has a price of its own."""


def buckets(sizes: Mapping[str, int], least: int = BUCKET_BYTES) -> list[list[str]]:
    """Layers, in the order in which they are ready, in groups of at least ``least`` bytes; the last may have fewer.

    A layer without parameters, of size 0, is in no group.
    """
    groups: list[list[str]] = []
    open_ = 0
    for name, size in sizes.items():
        if not size:
            continue
        if not open_:
            groups.append([])
        groups[-1].append(name)
        open_ = 0 if open_ + size >= least else open_ + size
    return groups


def added(a: Arrays, b: Arrays) -> Arrays:
    """a + b, in a."""
    for one, other in zip(a, b, strict=True):
        np.add(one, other, out=one)
    return a


def total(link: Link, parts: Mapping[Node, Arrays], shards: int) -> Arrays:
    """The sum over all shards, of which this process has the nodes ``parts`` of the tree.

    Shapes
        Each node has arrays of the same shapes and of one dtype -> arrays of these shapes.
    Cost
        ``cost.gradient_bytes``.
    """
    first = next(iter(parts.values()))
    if link.size == 1:
        return first
    own = spans(sum(array.size for array in first), link.size)
    flat = [[array.reshape(-1) for array in part] for part in parts.values()]
    sum_ = summed(
        link, "gradients", [[piece for part in flat for piece in _cut_out(part, span)] for span in own], shards
    )
    return _unpacked(link.gather("gradients", sum_, [span.stop - span.start for span in own]), first)


def summed(link: Link, what: str, cuts: Sequence[Arrays], count: int) -> np.ndarray:
    """Of the sum of ``count`` summands that part which is for this process to add up.

    ``cuts`` has for each process what it is to add up of the nodes of the tree that this one holds, node after node,
    and of each node the same number of elements.
    """
    held = [nodes(run, count) for run in spans(count, link.size)]
    to = [sum(piece.size for piece in of) for of in cuts]
    mine = to[link.rank] // len(held[link.rank])
    pieces = np.concatenate([piece.reshape(-1) for of in cuts for piece in of])
    received = link.exchange(what, pieces, to, [len(names) * mine for names in held])
    tree: Tree[Arrays] = Tree(added, count)
    at = 0
    for names in held:
        for lo, hi in names:
            tree.put([received[at : at + mine]], lo, hi)
            at += mine
    return tree.result()[0]


def _cut_out(arrays: Arrays, span: slice) -> Arrays:
    """The elements of a span of what some arrays are one after the other."""
    found, at = [], 0
    for array in arrays:
        found.append(array[max(span.start - at, 0) : max(span.stop - at, 0)])
        at += array.size
    return found


def _unpacked(flat: np.ndarray, like: Arrays) -> Arrays:
    """The elements as arrays of the shapes of others; nothing is copied."""
    found, at = [], 0
    for array in like:
        size = math.prod(array.shape)
        found.append(flat[at : at + size].reshape(array.shape))
        at += size
    return found
