"""A function that was tried on integers against a subject of the bestiary: where and why it differs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..bestiary.subject import Beast, Pool, Subject
from .explain import factors, index_text, number, ratio_sentence, sum_text, terms, wrong_elements, wrong_part

LINEAR_IN = ("dout", "x")
"""The arguments to write a sum over: the first that the function takes and is linear in."""


def sizes(pool: Pool) -> str:
    """The arguments of a pool in one line: shapes of arrays, values of others."""
    return ", ".join(
        f"{name} {value.shape}" if isinstance(value, np.ndarray) else f"{name} {value}" for name, value in pool.items()
    )


def mismatch(
    subject: Subject, function: Callable[..., Any], pool: Pool, output: str, found: Any, right: Any
) -> list[str]:
    """The lines that explain why ``found`` is not ``right``: ratio, map, the first wrong element and both sums."""
    found, right = np.asarray(found), np.asarray(right)
    if found.shape != right.shape:
        return [f"{output} has shape {found.shape}, but must have shape {right.shape}."]
    wrong = wrong_elements(found, right, subject.rounding)
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    # Without images there is no batch, as in the shape of a number.
    first = pool.get("x", pool.get("dout", 0.0))
    meanings = factors(np.shape(first), np.shape(pool.get("dout", first)))
    ratio = ratio_sentence(found, right, meanings)
    lines = [ratio] if ratio else []
    lines += wrong_part(output, wrong, index)
    name = index_text(output, index)
    argument = next((name for name in LINEAR_IN if name in subject.parameters), None)
    sums = None if argument is None else _sums(subject, function, pool, output, argument, index)
    if sums is None:
        return [*lines, f"{name} is {number(float(found[index]))}, but should be {number(float(right[index]))}."]
    yours, rights = sums
    return [
        *lines,
        f"{name}, yours: {number(float(found[index]))} = {yours}",
        f"{' ' * len(name)}  right: {number(float(right[index]))} = {rights}",
    ]


def beasts_like(subject: Subject, pool: Pool, output: str, found: Any) -> list[Beast]:
    """The beasts whose output equals the one found, in every element, for this one pool."""
    return [
        beast
        for beast in subject.beasts
        if beast.output == output and subject.same(found, subject.outputs_of(beast.run, pool)[output])
    ]


def _sums(
    subject: Subject, function: Callable[..., Any], pool: Pool, output: str, argument: str, index: tuple[int, ...]
) -> tuple[str, str] | None:
    """The sum that an element is, by the function and by the right one; None if one of them is not linear."""
    array = pool[argument]
    written = []
    for run in (function, subject.right):

        def part(values: np.ndarray, run: Callable[..., Any] = run) -> np.ndarray:
            return np.asarray(subject.outputs_of(run, {**pool, argument: values})[output])

        try:
            shares = terms(part, array, index)
            whole, rest = float(part(array)[index]), float(part(np.zeros_like(array))[index])
        except Exception:  # the function is somebody else's: one that cannot take zeros has no sum to show
            return None
        if abs(rest + sum(share for _, share in shares) - whole) > 1e-9 * max(1.0, abs(whole)):
            return None
        plus = f" + {number(rest)} (without {argument})" if rest else ""
        written.append(sum_text(argument, shares, array) + plus)
    return written[0], written[1]
