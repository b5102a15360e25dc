"""A function that somebody writes: its right answer, the cases it is tried on, and the known wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

Pool = Mapping[str, Any]
"""Arguments by name, for all functions of an operation: each takes those that its parameters name."""


@dataclass(frozen=True)
class Case:
    """One geometry with its arrays. Cases of a subject stand in order of size."""

    name: str
    pool: Pool


@dataclass(frozen=True)
class Beast:
    """One wrong implementation.

    ``run`` has the parameters of the subject, in plain loops and without checks. It is wrong in ``output``, and in
    those that follow from it (``also``), and right in the subject's others.
    """

    name: str
    output: str
    sentence: str
    """The mistake, and what is right: one sentence for the one who made it."""
    source: str
    """Where it was seen: a project and the number of an issue, a course, a page."""
    shown_by: str
    """The smallest case that shows it, by its name."""
    run: Callable[..., Any]
    also: tuple[str, ...] = ()
    """Outputs that are wrong because they are computed from ``output``."""


def wrong(
    output: str, sentence: str, *, source: str, shown_by: str, also: tuple[str, ...] = ()
) -> Callable[[Callable[..., Any]], Beast]:
    """Makes a beast of the function below it, which gives it its name, with hyphens for underscores."""

    def beast(run: Callable[..., Any]) -> Beast:
        return Beast(run.__name__.replace("_", "-"), output, sentence, source, shown_by, run, also)

    return beast


@dataclass(frozen=True)
class Subject:
    """A function, with everything that judges an implementation of it.

    ``right`` has the parameters ``parameters`` and returns an array, or a tuple of them, one for each of ``outputs``.
    A backward names its ``forward``, for each output the argument whose gradient it is, and as ``upstream`` the one
    that is the gradient of the forward's first output. ``upstream`` is in the pool even if the function does not take
    it, as a loss does not, which is its own forward. ``draw`` makes the pool of a random geometry. ``rounding`` is 0 if
    results on integers are exact; else two results are the same if they differ by at most this, relative to the largest
    element.
    """

    name: str
    parameters: tuple[str, ...]
    outputs: tuple[str, ...]
    right: Callable[..., Any]
    cases: tuple[Case, ...]
    draw: Callable[[np.random.Generator], Pool]
    forward: str = ""
    gradients: Mapping[str, str] = field(default_factory=dict)
    upstream: str = "dout"
    rounding: float = 0.0
    beasts: tuple[Beast, ...] = ()
    channels_first: bool = False
    """If images are (N, C, H, W) and filters (F, C, KH, KW)."""

    def outputs_of(self, function: Callable[..., Any], pool: Pool) -> dict[str, Any]:
        """The outputs of an implementation by name, from arguments of its own: it may change them."""
        arguments = {
            name: pool[name].copy() if isinstance(pool[name], np.ndarray) else pool[name] for name in self.parameters
        }
        found = function(**arguments)
        return dict(zip(self.outputs, found if len(self.outputs) > 1 else (found,), strict=True))

    def same(self, found: Any, right: Any) -> bool:
        """If two outputs are equal in every element, but for the subject's rounding; NaN equals NaN."""
        if np.shape(found) != np.shape(right):
            return False
        if not self.rounding:
            return np.array_equal(found, right, equal_nan=True)
        both_nan = np.isnan(found) & np.isnan(right)
        with np.errstate(invalid="ignore"):
            difference = np.where(both_nan, 0.0, np.abs(np.subtract(found, right)))
        largest = np.max(np.abs(right), initial=0.0, where=~np.isnan(right))
        return bool(np.max(difference, initial=0.0) <= self.rounding * largest)

    @cached_property
    def answers(self) -> dict[str, dict[str, Any]]:
        """The right outputs by the name of the case."""
        return {case.name: self.outputs_of(self.right, case.pool) for case in self.cases}

    def named(self, found: Mapping[str, Mapping[str, Any]], output: str) -> Beast | None:
        """The beast whose ``output`` equals the one found, on every case: ``found`` has the outputs of all cases."""
        for beast in self.beasts:
            if beast.output == output and all(
                self.same(found[case.name][output], self.outputs_of(beast.run, case.pool)[output])
                for case in self.cases
            ):
                return beast
        return None
