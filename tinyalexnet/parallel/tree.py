"""Sums along one fixed tree: the same additions in the same order, whoever has which of the summands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from ..geometry import as_integer

T = TypeVar("T")


def cut(count: int, parts: int) -> list[slice]:
    """``count`` items in ``parts`` slices, in order, whose lengths differ by at most one.

    Errors
        ValueError if parts is below 1 or above count, so that a slice would be empty.
    """
    as_integer("parts", parts, 1)
    if parts > count:
        raise ValueError(f"parts is {parts}, but must be at most the {count} items there are")
    return [slice(i * count // parts, (i + 1) * count // parts) for i in range(parts)]


class Tree(Generic[T]):
    """Adds summands, which come in order, two neighbours at a time: ((0 + 1) + (2 + 3)) + ...

    A sum of 2^k summands is added to the 2^k before it as soon as both are there, so few are held at a time; what is
    left in the end is added from the last to the first. The tree depends on the number of summands alone. Each summand
    goes through about log2 of that number of additions, so the sum rounds less than one term by term.
    """

    def __init__(self, add: Callable[[T, T], T]) -> None:
        self._add = add
        self._waiting: list[tuple[int, T]] = []

    def push(self, value: T) -> None:
        """Takes the next summand; ``add`` may write into its first argument."""
        level = 0
        while self._waiting and self._waiting[-1][0] == level:
            value = self._add(self._waiting.pop()[1], value)
            level += 1
        self._waiting.append((level, value))

    def result(self) -> T:
        """The sum; ValueError if there was no summand."""
        if not self._waiting:
            raise ValueError("a sum was asked for before any summand was pushed, but must have at least one")
        _, total = self._waiting.pop()
        while self._waiting:
            total = self._add(self._waiting.pop()[1], total)
        return total
