"""An explanation as lines of text, and as HTML for notebooks."""

from __future__ import annotations

import math
import re
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from ..ops.terms import LARGEST

if TYPE_CHECKING:
    from .explanation import Explanation, Fold, Operand, Term

MOST = 12
"""Terms up to this number are all shown; of more, the largest."""

PLAIN = ("x", "w", "b", "dout", "out", "p")
"""Factors that are the element itself, so that its address is enough."""


def number(value: float, dtype: np.dtype | None = None) -> str:
    """The shortest text that is this number, as a float of ``dtype``."""
    return str(dtype.type(value)) if dtype is not None and math.isfinite(value) else repr(value)


def lines(explanation: Explanation, most: int = MOST) -> list[str]:
    """The element, its formula with the names of the indices and with their values, the terms, and the sum."""
    head = f"{explanation.element} = {number(explanation.stored, explanation.dtype)}"
    made = explanation.made
    if made is None:
        return [head, f"  {explanation.filled}"]
    shown = chosen(explanation, most)
    folds = explanation.folds if explanation.count > most else []
    return [
        head,
        *(f"  {text}" for text in (made.formula, made.filled, *made.notes)),
        "",
        f"  {caption(explanation, len(shown))}",
        *_products(shown, made.operation == LARGEST),
        *(line for fold in folds for line in ("", *_folded(fold, most))),
        "",
        *(f"  {line}" for line in result(explanation)),
    ]


def chosen(explanation: Explanation, most: int) -> list[Term]:
    """The terms to show: all, in the order of the formula, or the largest."""
    return explanation.terms if explanation.count <= most else explanation.largest(most)


def caption(explanation: Explanation, shown: int) -> str:
    """How many terms there are, and which ones follow."""
    count = explanation.count
    if shown == count:
        return "1 term:" if count == 1 else f"{count} terms:"
    return f"{count:,} terms, the {shown} largest first:"


def result(explanation: Explanation) -> list[str]:
    """What the terms give, what is stored, and if the difference is rounding."""
    assert explanation.made is not None
    stored = number(explanation.stored, explanation.dtype)
    told = [
        f"the {explanation.made.operation} of the terms: {number(explanation.value)}",
        f"stored as {explanation.dtype}: {stored}",
    ]
    if explanation.is_exact:
        return [*told, "exact"]
    difference = f"difference: {explanation.difference:.2g}"
    if explanation.bound is None:
        return [*told, difference]
    verdict = "rounding allows" if explanation.is_right else "more than rounding allows, which is"
    return [*told, f"{difference}, {verdict} {explanation.bound:.2g}"]


def html(explanation: Explanation, most: int = 4 * MOST) -> str:
    """A heading, the formulas, a table of the terms, and the sum."""
    body = [f"<p><b>{escape(str(explanation.element))}</b> = {number(explanation.stored, explanation.dtype)}</p>"]
    made = explanation.made
    if made is None:
        return "\n".join([*body, f"<p>{escape(explanation.filled)}</p>"])
    shown = chosen(explanation, most)
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(_operand(operand))}</td>' for operand in term.operands)}"
        f"<td>{number(term.value)}</td><td>{escape(term.part)}</td></tr>\n"
        for term in shown
    )
    body += [f"<pre>{escape(text)}</pre>" for text in (made.formula, made.filled)]
    body.append(f"<table><caption>{caption(explanation, len(shown))}</caption>\n{rows}</table>")
    return "\n".join([*body, *(f"<p>{escape(line)}</p>" for line in (*made.notes, *result(explanation)))])


def _operand(operand: Operand) -> str:
    """The address, or the text of a constant, and the value."""
    value = number(operand.value, operand.dtype)
    if operand.element is None:
        return operand.text if re.fullmatch(r"[\d /]+", operand.text) else f"{operand.text} {value}"
    name = str(operand.element) if operand.text in PLAIN else f"{operand.text} ({operand.element})"
    return f"{name} {value}"


def _products(terms: list[Term], is_largest: bool) -> list[str]:
    """A line for each term, its factors in columns."""
    texts = [[_operand(operand) for operand in term.operands] for term in terms]
    widths: dict[int, int] = {}
    for row in texts:
        for i, text in enumerate(row):
            widths[i] = max(widths.get(i, 0), len(text))
    out = []
    for row, term in zip(texts, terms, strict=True):
        if len(row) == 1:
            line = row[0]
        else:
            factors = " * ".join(f"{text:<{widths[i]}}" for i, text in enumerate(row))
            line = f"{factors} = {number(term.value)}"
        out.append(f"    {line}{f'   ({term.part})' if term.part else ''}")
    if is_largest and terms:
        winner = int(np.argmax([term.value for term in terms]))
        out[winner] += "   <- the first of the largest"
    return out


def _folded(fold: Fold, most: int) -> list[str]:
    """The sums over one index, the largest first."""
    out = [f"  summed for each {fold.name}, the largest first:"]
    out += [f"    {fold.name} = {key}: {number(total)} ({count} terms)" for key, total, count in fold.sums[:most]]
    left = len(fold.sums) - most
    return [*out, f"    ... and {left} more"] if left > 0 else out
