"""The terms of an element of a trace, with the addresses of the elements that they come from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..losses import check_index
from ..ops.terms import LARGEST, Index, Part, Terms, exact_sum, filled
from .trace import Trace

GIVEN = {
    "x": "the network's input",
    "labels": "a label that was given",
    "kept": "drawn at random: if the element is kept",
    "argmax": "the kernel position of the largest element of the window, kh * KW + kw",
}
"""What no layer computes from terms."""


@dataclass(frozen=True)
class Element:
    """The address of one number of a trace: the layer that computed it, the array, and the index."""

    layer: str
    array: str
    index: Index

    def __str__(self) -> str:
        return f"{self.layer} {filled(self.array, self.index)}" if self.index else self.array


@dataclass(frozen=True)
class Operand:
    """One factor of a term: how the formula writes it, its value, and where it comes from; a constant has no element.

    ``dtype`` is None if the value is computed from the element, such as a power of it.
    """

    text: str
    value: float
    element: Element | None
    dtype: np.dtype | None


@dataclass(frozen=True)
class Term:
    """Operands whose product is a term; ``part`` says which part of the formula, if there is more than one."""

    operands: tuple[Operand, ...]
    value: float
    part: str


@dataclass(frozen=True)
class Fold:
    """Terms summed for each value of an index: (value, sum, number of terms), the largest sum first."""

    name: str
    sums: tuple[tuple[int, float, int], ...]


@dataclass(frozen=True)
class Explanation:
    """What an element was computed from.

    ``stored`` is the number of the trace, ``value`` the same computed from the terms with one rounding, ``bound`` how
    far apart rounding can bring them: None if the element was computed in a way for which there is no such bound.
    ``made`` is None if nothing of the trace computed the element: an image, or a parameter.
    """

    element: Element
    stored: float
    dtype: np.dtype
    filled: str
    value: float
    bound: float | None
    made: Terms | None
    maker: Callable[[str], tuple[str, str]]

    @property
    def count(self) -> int:
        """The number of terms."""
        return 0 if self.made is None else self.made.count

    @property
    def terms(self) -> list[Term]:
        """All terms, in the order of the formula."""
        return self._terms(range(self.count))

    def largest(self, count: int) -> list[Term]:
        """The terms that are the largest, first the one that is most so; of equal ones in the order of the formula.

        Those of a sum are compared by their absolute value.
        """
        if self.made is None:
            return []
        products = self.made.products()
        sizes = products if self.made.operation == LARGEST else np.abs(products)
        return self._terms(np.argsort(-_nan_first(sizes), kind="stable")[:count].tolist())

    @property
    def folds(self) -> list[Fold]:
        """For each part that has such an index with more than one value: its terms, summed for each of these."""
        parts = () if self.made is None else self.made.parts
        return [fold for part in parts if part.fold is not None and len((fold := _folded(part, *part.fold)).sums) > 1]

    @property
    def difference(self) -> float:
        """How far ``stored`` is from ``value``; 0 for equal infinities, or two NaNs."""
        if self.stored == self.value or (math.isnan(self.stored) and math.isnan(self.value)):
            return 0.0
        return abs(self.stored - self.value)

    @property
    def is_exact(self) -> bool:
        """If the stored number is the value itself."""
        return self.difference == 0

    @property
    def is_right(self) -> bool:
        """If the difference is within what rounding explains. True also if there is no bound for it."""
        return self.bound is None or self.difference <= self.bound

    def _terms(self, rows: Sequence[int]) -> list[Term]:
        assert self.made is not None or not rows
        parts = self.made.parts if self.made is not None else ()
        ends = np.cumsum([part.products.size for part in parts]).tolist()
        found = []
        for row in rows:
            which = next(i for i, end in enumerate(ends) if row < end)
            part = parts[which]
            found.append(self._term(part, row - ends[which] + part.products.size, part.text if len(parts) > 1 else ""))
        return found

    def _term(self, part: Part, row: int, text: str) -> Term:
        operands = []
        for factor in part.factors:
            element = None
            if factor.indices is not None:
                element = Element(*self.maker(factor.array), tuple(factor.indices[row].tolist()))
            operands.append(Operand(factor.text, float(factor.values[row]), element, factor.dtype))
        return Term(tuple(operands), float(part.products[row]), text)

    def __str__(self) -> str:
        from .text import lines

        return "\n".join(lines(self))

    def _repr_html_(self) -> str:
        from .text import html

        return html(self)


def explain(trace: Trace, layer: str, array: str, index: Any = ()) -> Explanation:
    """What one element of a trace was computed from: its terms, each with the elements that are its factors.

    Math
        The formulas of the operations. Each operand has the address of an element of this trace, which ``explain``
        takes again: the way forward and back through the network.
    Shapes
        ``index`` has an int for each axis of the array. ``layer`` is a name of the trace, "loss" for the loss. x and
        dout are explained as the out and dx of the layer that computed them.
    Errors
        ValueError if there is no such layer, array or element, or the layer does not say how it computes it.
    """
    stored = trace.array(layer, array)
    found = check_index("index", index, stored.shape)
    layer, array = trace.maker(layer, array)
    step = trace.step(layer)

    def maker(name: str) -> tuple[str, str]:
        return trace.maker(layer, name)

    what = Element(layer, array, found), float(stored[found]), stored.dtype
    params = getattr(step.computes, "params", {})
    if array in GIVEN or array in params:
        text = GIVEN.get(array, f"a parameter of the layer; d{array} is its gradient")
        return Explanation(*what, text, float(stored[found]), 0.0, None, maker)
    terms = _terms(step.computes, array, found, step.arrays)
    value = terms.value()
    own = abs(value) * 2.0**-53  # the rounding of ``value`` itself
    bound = terms.bound(terms.computed_in or stored.dtype) + own if terms.bounded else None
    return Explanation(*what, terms.filled, value, bound, terms, maker)


def _terms(computes: Any, array: str, index: Index, arrays: dict[str, np.ndarray]) -> Terms:
    """Of a layer, or of a loss."""
    if hasattr(computes, "terms"):
        terms: Terms = computes.terms(array, index, arrays)
        return terms
    functions = computes.term_functions(arrays) if hasattr(computes, "term_functions") else {}
    if array not in functions:
        raise ValueError(
            f"array is {array!r} of the loss, which is a function that does not tell its terms; trace with L2Loss(), "
            "CrossEntropyLoss(labels) or OneOutput(index)"
        )
    own: Terms = functions[array](index)
    return own


def _folded(part: Part, name: str, keys: np.ndarray) -> Fold:
    values, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    sums = [exact_sum(part.products[inverse == i]) for i in range(len(values))]
    order = np.argsort(-_nan_first(np.abs(sums)), kind="stable").tolist()
    return Fold(name, tuple((int(values[i]), sums[i], int(counts[i])) for i in order))


def _nan_first(sizes: np.ndarray) -> np.ndarray:
    """``sizes`` for sorting: NaN counts as the largest."""
    first: np.ndarray = np.where(np.isnan(sizes), np.inf, sizes)
    return first
