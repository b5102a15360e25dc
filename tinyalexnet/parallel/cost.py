"""How many bytes a process sends in a step: the formulas of docs/parallel.md, which ``Link.sent`` counts."""

from __future__ import annotations

from collections.abc import Sequence

from .hybrid import passes_of
from .tree import cut, nodes, spans


def gradient_bytes(elements: int, shards: int, processes: int, rank: int, itemsize: int = 4) -> int:
    """For the sum of the gradients of so many parameters: k nodes of the tree, less the own part, then that to all.

    Math
        itemsize (k (n - m) + m (P - 1)), with n elements, of which this process adds up m, about n / P; k is 1 if
        shards is a multiple of P and that a power of two.
    """
    own = spans(elements, processes)[rank]
    mine: int = own.stop - own.start
    held = len(nodes(cut(shards, processes)[rank], shards))
    return itemsize * (held * (elements - mine) + mine * (processes - 1))


def activation_bytes(
    features: Sequence[int],
    batch: int,
    shards: int,
    blocks: int,
    processes: int,
    rank: int,
    scheme: str = "a",
    itemsize: int = 4,
) -> int:
    """For dense layers in columns, of so many features: the inputs of the first one, then the outputs of each.

    Math
        In a pass of N rows, n of them of this process: forward n f_0 (P - 1) for the rows, and N c_i (P - 1) for the
        c_i columns that it computes of layer i. Backward, with k nodes of the tree over the blocks: k N (f_i - c_i)
        for each layer below another one, and k (N - n) f_0 for the rows. The sum over all passes, times itemsize.
    """
    own = cut(blocks, processes)[rank]
    held = len(nodes(own, blocks))
    columns = []
    for count in features[1:]:
        every = cut(count, blocks)
        columns.append(every[own.stop - 1].stop - every[own.start].start)
    total = 0
    for of in passes_of(batch, shards, processes, scheme):
        mine, rows = len(of[rank]), sum(map(len, of))
        total += mine * features[0] * (processes - 1) + held * (rows - mine) * features[0]
        total += rows * sum(columns) * (processes - 1)
        total += held * rows * sum(f - c for f, c in zip(features[1:-1], columns[:-1], strict=True))
    return itemsize * total
