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
        ((_, arrays),) = parts.items()
        return arrays
    n = sum(array.size for array in first)
    own = spans(n, link.size)
    held = [nodes(run, shards) for run in spans(shards, link.size)]
    lengths = [span.stop - span.start for span in own]
    mine = lengths[link.rank]
    received = link.exchange(
        "gradients",
        _packed(list(parts.values()), own),
        [len(parts) * length for length in lengths],
        [len(names) * mine for names in held],
    )
    tree: Tree[Arrays] = Tree(added, shards)
    at = 0
    for names in held:
        for lo, hi in names:
            tree.put([received[at : at + mine]], lo, hi)
            at += mine
    (sum_,) = tree.result()
    return _unpacked(link.gather("gradients", sum_, lengths), first)


def _packed(parts: Sequence[Arrays], own: Sequence[slice]) -> np.ndarray:
    """For each process, its span of every part: the parts' arrays, one after the other, are one vector each."""
    flat = [[array.reshape(-1) for array in part] for part in parts]
    if len(flat) == 1 == len(flat[0]):
        return flat[0][0]
    pieces = [piece for span in own for part in flat for piece in _cut_out(part, span)]
    return np.concatenate(pieces)


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
