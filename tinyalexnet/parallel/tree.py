"""Sums along one fixed tree: the same additions in the same order, whoever has which of the summands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from ..geometry import as_integer

T = TypeVar("T")

Node = tuple[int, int]
"""The sum of the summands from the first number up to, and without, the second."""


def cut(count: int, parts: int) -> list[slice]:
    """``count`` items in ``parts`` slices, in order, whose lengths differ by at most one.

    Errors
        ValueError if parts is below 1 or above count, so that a slice would be empty.
    """
    as_integer("parts", parts, 1)
    if parts > count:
        raise ValueError(f"parts is {parts}, but must be at most the {count} items there are")
    return spans(count, parts)


def spans(count: int, parts: int) -> list[slice]:
    """As ``cut``, for any two numbers: some slices are empty if there are more parts than items."""
    return [slice(i * count // parts, (i + 1) * count // parts) for i in range(parts)]


class Tree(Generic[T]):
    """Adds ``count`` summands, two neighbours at a time: ((0 + 1) + (2 + 3)) + ...

    The left half of a node holds a power of two of them, the largest that leaves something to the right half. A node is
    added as soon as both halves are there, so few are held at a time. The tree depends on ``count`` alone: not on the
    order in which summands come, and not on who has added a node. Each summand goes through about log2(count)
    additions, so the sum rounds less than one term by term.
    """

    def __init__(self, add: Callable[[T, T], T], count: int) -> None:
        self._add, self._count = add, as_integer("count", count, 1)
        self._held: dict[Node, T] = {}

    def put(self, value: T, first: int, stop: int | None = None) -> None:
        """Takes summand ``first``, or the node (first, stop); ``add`` may write into its left argument.

        Errors
            ValueError if the tree has no such node, or has it already.
        """
        node = (first, first + 1 if stop is None else stop)
        above = self._above(node)
        if any(lo < node[1] and node[0] < hi for lo, hi in self._held):
            raise ValueError(f"a summand of {node} was put twice, but must be put once")
        self._held[node] = value
        for lo, middle, hi in reversed(above):
            if not {(lo, middle), (middle, hi)} <= self._held.keys():
                break
            self._held[lo, hi] = self._add(self._held.pop((lo, middle)), self._held.pop((middle, hi)))

    @property
    def held(self) -> dict[Node, T]:
        """The nodes that are there, in order, without those that are in a larger one."""
        return dict(sorted(self._held.items(), key=lambda item: item[0]))

    def result(self) -> T:
        """The sum; ValueError if a summand is missing."""
        if (0, self._count) not in self._held:
            raise ValueError(f"the sum has {list(self.held)}, but must have all {self._count} summands")
        return self._held[0, self._count]

    def _above(self, node: Node) -> list[tuple[int, int, int]]:
        """The nodes that hold a node, the largest first, each as (lo, middle, hi)."""
        lo, hi = 0, self._count
        above = []
        while (lo, hi) != node:
            if not lo <= node[0] < node[1] <= hi:
                raise ValueError(f"node is {node}, but must be one of the tree of {self._count} summands")
            middle = lo + (1 << (hi - lo - 1).bit_length() - 1)
            above.append((lo, middle, hi))
            lo, hi = (lo, middle) if node[0] < middle else (middle, hi)
        return above


def nodes(run: slice, count: int) -> list[Node]:
    """The fewest nodes of the tree of ``count`` summands that hold those of a run, and no other."""
    tree: Tree[None] = Tree(lambda a, b: None, count)
    for index in range(run.start, run.stop):
        tree.put(None, index)
    return list(tree.held)
