"""How many bytes a process sends in a step: the formulas of docs/parallel.md, which ``Link.sent`` counts."""

from __future__ import annotations

from collections.abc import Sequence

from .hybrid import passes_of
from .teams import teams_of
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
    groups: int = 1,
    itemsize: int = 4,
) -> int:
    """For dense layers in columns, of so many features: the inputs of the first one, then the outputs of each.

    Math
        P are the processes of a team. In a pass of N rows, n of them of this process: forward n f_0 (P - 1) for the
        rows, and N c_i (P - 1) for the c_i columns that it computes of layer i. Backward, with k nodes of the tree over
        the blocks: k N (f_i - c_i) for each layer below another one, and k (N - n) f_0 for the rows. The sum over all
        passes of the team, times itemsize.
    """
    team, place, size = _place(processes, rank, groups)
    columns = _columns(features, blocks, size, place)
    held = len(nodes(cut(blocks, size)[place], blocks))
    every = passes_of(batch, shards, processes, scheme, groups)
    total = 0
    for of in every[spans(len(every), processes // size)[team]]:
        mine, rows = len(of[rank]), sum(map(len, of))
        total += mine * features[0] * (size - 1) + held * (rows - mine) * features[0]
        total += rows * sum(columns) * (size - 1)
        total += held * rows * sum(f - c for f, c in zip(features[1:-1], columns[:-1], strict=True))
    return itemsize * total


def column_gradient_bytes(
    features: Sequence[int],
    shards: int,
    blocks: int,
    processes: int,
    rank: int,
    scheme: str = "a",
    groups: int = 1,
    itemsize: int = 4,
) -> int:
    """For the sum of the gradients of dense layers in columns over the teams.

    Math
        ``gradient_bytes`` of the Σ_i (f_(i-1) + 1) c_i parameters of this process, with a summand for each pass and a
        process for each team.
    """
    team, place, size = _place(processes, rank, groups)
    columns = _columns(features, blocks, size, place)
    elements = sum((f + 1) * c for f, c in zip(features, columns, strict=False))
    return gradient_bytes(elements, groups if scheme == "a" else shards, processes // size, team, itemsize)


def _place(processes: int, rank: int, groups: int) -> tuple[int, int, int]:
    """A process's team, its place in it, and the processes of a team."""
    size = processes // teams_of(processes, groups)
    return *divmod(rank, size), size


def _columns(features: Sequence[int], blocks: int, processes: int, place: int) -> list[int]:
    """How many columns of each dense layer a process of a team has."""
    own = cut(blocks, processes)[place]
    every = [cut(count, blocks)[own] for count in features[1:]]
    return [some[-1].stop - some[0].start for some in every]
