"""The sum of the gradients of all shards, on every process: each process adds up one part, and hands it to all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from .link import Link
from .tree import Node, Tree, nodes, spans

Arrays = list[np.ndarray]

BUCKET_BYTES = 1 << 20
"""Gradients of small layers are exchanged together, until they are this many: an exchange has a price of its own."""


def buckets(sizes: Mapping[str, int], least: int = BUCKET_BYTES) -> list[list[str]]:
    """Arrays, by the order in which they are ready, in groups of at least ``least`` bytes; the last may have fewer.

    An array as large as that is a group of its own, and so is not copied. One of size 0 is in no group.
    """
    groups: list[list[str]] = []
    open_: list[str] = []
    for name, size in sizes.items():
        if size >= least:
            groups.append([name])
        elif size:
            open_.append(name)
        if sum(map(sizes.__getitem__, open_)) >= least:
            groups.append(open_)
            open_ = []
    if open_:
        groups.append(open_)
    return groups


def added(a: Arrays, b: Arrays, add: Callable[..., object] = np.add) -> Arrays:
    """a + b, in a."""
    for one, other in zip(a, b, strict=True):
        add(one, other, one)
    return a


def total(link: Link, parts: Mapping[Node, Arrays], shards: int) -> Arrays:
    """The sum over all shards, of which this process has the nodes ``parts`` of the tree; they are overwritten.

    Shapes
        Each node has arrays of the same shapes and of one dtype -> arrays of these shapes.
    Cost
        ``cost.gradient_bytes``.
    """
    first = next(iter(parts.values()))
    if link.size == 1:
        return first
    flat = [packed(arrays) for arrays in parts.values()]
    every = spans(flat[0].size, link.size)
    pieces = [[one[span] for one in flat] for span in every]
    own = pieces[link.rank][0]
    sum_ = summed(link, "gradients", pieces, shards)
    if sum_ is not own:
        own[...] = sum_
    link.complete("gradients", flat[0], [span.stop - span.start for span in every])
    return unpacked(flat[0], first)


def summed(link: Link, what: str, pieces: Sequence[Arrays], count: int) -> np.ndarray:
    """Of the sum of ``count`` summands that part which is for this process to add up.

    ``pieces`` has for each process what it is to add up of the nodes of the tree that this one holds, an array for each
    node. The sum may be written into the first of those for this process.
    """
    own = pieces[link.rank]
    shape, size = own[0].shape, own[0].size
    held = [nodes(run, count) for run in spans(count, link.size)]
    to = [of[0] if of is own else packed(of) for of in pieces]
    received = link.exchange(what, to, [len(names) * size for names in held])
    if not size:
        return own[0]
    others = iter(received.reshape(-1, *shape))
    tree: Tree[Arrays] = Tree(added, count)
    for rank, names in enumerate(held):
        for (lo, hi), piece in zip(names, own if rank == link.rank else others, strict=False):
            tree.put([piece], lo, hi)
    return tree.result()[0]


def packed(arrays: Arrays) -> np.ndarray:
    """All elements, one array after the other; those of one array are not copied."""
    flat = [array.reshape(-1) for array in arrays]
    return flat[0] if len(flat) == 1 else np.concatenate(flat)


def unpacked(flat: np.ndarray, like: Arrays) -> Arrays:
    """The elements as arrays of the shapes of others; nothing is copied."""
    found, at = [], 0
    for array in like:
        size = math.prod(array.shape)
        found.append(flat[at : at + size].reshape(array.shape))
        at += size
    return found
