"""A forward and its backward: the adjoint identity, and the slope along a direction. The learner wrote one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..bestiary import SUBJECTS
from ..bestiary.subject import Pool, Subject
from ..gradcheck import separated_values

Function = Callable[[Pool], dict[str, Any]]
"""From a pool to the outputs by name."""

STEP = 6e-6
"""Of a central difference: docs/checking.md says why."""

SLOPE_TOLERANCE, REAL_TOLERANCE = 1e-7, 1e-9
"""Of a central difference, and of sums of products of real numbers, relative."""

GAP, REACH = 0.05, 2.0
"""The real numbers differ by at least this, so that no step crosses a kink; and they are about as large as this."""


@dataclass(frozen=True)
class Sides:
    """What the forward says, and what the gradient says. They are equal if they differ by at most this."""

    forward: float
    gradient: float
    allowed: float

    @property
    def equal(self) -> bool:
        return abs(self.forward - self.gradient) <= self.allowed

    @property
    def vacuous(self) -> bool:
        return self.forward == self.gradient == 0


@dataclass(frozen=True)
class Pair:
    """A forward and its backward."""

    forward: Subject
    backward: Subject

    def adjoint(self, forward: Function, backward: Function, pool: Pool, gradient: str) -> Sides:
        """⟨dout, F(a) - F(0)⟩ and ⟨da, a⟩."""
        argument = self.backward.gradients[gradient]
        zero = {**pool, argument: np.zeros_like(pool[argument])}
        left = self._loss(forward(pool), pool) - self._loss(forward(zero), pool)
        da = backward(pool)[gradient]
        size = np.linalg.norm(da) * np.linalg.norm(pool[argument])
        return Sides(left, _dot(da, pool[argument]), REAL_TOLERANCE * float(np.maximum(size, abs(left))))

    def slope(self, forward: Function, backward: Function, pool: Pool, gradient: str, v: np.ndarray) -> Sides:
        """⟨dout, F(a + h v) - F(a - h v)⟩ / 2h and ⟨da, v⟩."""
        argument = self.backward.gradients[gradient]
        plus, minus = ({**pool, argument: pool[argument] + step * v} for step in (STEP, -STEP))
        left = (self._loss(forward(plus), pool) - self._loss(forward(minus), pool)) / (2 * STEP)
        da = backward(pool)[gradient]
        return Sides(left, _dot(da, v), SLOPE_TOLERANCE * float(np.maximum(np.linalg.norm(da), abs(left))))

    def _loss(self, outputs: dict[str, Any], pool: Pool) -> float:
        """⟨dout, out⟩"""
        return _dot(pool[self.backward.upstream], outputs[self.forward.outputs[0]])


def pairs(subject: Subject) -> list[Pair]:
    """The pairs that a subject is one function of."""
    if subject.gradients:
        return [Pair(SUBJECTS[subject.forward or subject.name], subject)]
    return [Pair(subject, other) for other in SUBJECTS.values() if other.forward == subject.name]


def right(subject: Subject) -> Function:
    """The subject's right function."""
    return lambda pool: subject.outputs_of(subject.right, pool)


def real_pool(subject: Subject, rng: np.random.Generator) -> Pool:
    """A random geometry with real numbers for the integers: of a few, the one whose smallest array is the largest."""
    pool = max((subject.draw(rng) for _ in range(6)), key=_smallest)
    return {name: _real(value, rng) for name, value in pool.items()}


def _real(value: Any, rng: np.random.Generator) -> Any:
    floats = isinstance(value, np.ndarray) and value.dtype == np.float64
    return separated_values(value.shape, rng, max(GAP, 2 * REACH / max(value.size, 1))) if floats else value


def _smallest(pool: Pool) -> int:
    return min((value.size for value in pool.values() if isinstance(value, np.ndarray)), default=0)


def _dot(a: Any, b: Any) -> float:
    return float(np.sum(np.multiply(a, b)))
