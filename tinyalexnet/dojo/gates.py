"""The gates that a function passes one after the other, each with one sentence; the first that it fails is the last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, ClassVar, Protocol

import numpy as np

from ..bestiary.subject import Beast, Case, Pool, Subject
from . import contract
from .child import Opaque
from .exercise import Exercise, Speed
from .identities import REAL_TOLERANCE, Function, Pair, Sides, pairs, real_pool, right
from .runner import Code, StoppedError
from .words import are, elements, listed, numbers_text, value_text

RANDOM = 12
"""Random geometries, beside the chosen cases."""

TRIED = 3
"""Geometries of real numbers, for one whose gradient is not 0."""

FRACTIONS = "On integers all was right: is something rounded, or made an int, on the way?"


@dataclass(frozen=True)
class Evidence:
    """A case on which outputs are wrong: their names, and what they are and should be."""

    case: Case
    right: Mapping[str, Any]
    found: Mapping[str, Any]
    wrong: tuple[str, ...]


class FailedError(Exception):
    """A gate is not passed: one sentence, and the case that shows it. ``telling``: the outputs may name the mistake."""

    def __init__(self, sentence: str, evidence: Evidence | None = None, telling: bool = False) -> None:
        super().__init__(sentence)
        self.evidence = evidence
        self.telling = telling or evidence is not None


class SkippedError(Exception):
    """A gate is not for this function: one sentence."""


GATE = tuple[str, Callable[[], str]]
"""The name of a gate, and the function that returns its sentence, or raises one of the errors."""


class Trial(Protocol):
    """Takes a learner's code through the gates of an exercise."""

    independent: ClassVar[bool]
    """If a gate is tried although one before it failed; the first must be passed."""
    first_printed: str
    """What the first call printed."""
    printed: str
    """What the call that failed printed."""

    def gates(self) -> list[GATE]: ...


@dataclass
class Judge:
    """A trial of a function of arrays. Each public method without arguments is a gate."""

    independent: ClassVar[bool] = False

    exercise: Exercise
    subject: Subject
    code: Code
    first_printed: str = ""
    printed: str = ""
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(20151126))

    def gates(self) -> list[GATE]:
        first = [("contract", self.contract), ("example", self.example), ("exact", self.exact)]
        if isinstance(self.exercise.task, Speed):
            return [*first, ("speed", self.fast)]
        return [*first, ("adjoint", self.adjoint), ("derivative", self.derivative), ("bestiary", self.bestiary)]

    def outputs(self, pool: Pool, answer: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs of the learner's function, if they have the form of the right ones."""
        try:
            call = self.code.call(self.subject.name, {name: pool[name] for name in self.subject.parameters})
            self.printed = call.printed
        except StoppedError as stopped:
            self.printed = stopped.printed
            raise
        if call.changed:
            raise contract.RefusedError(contract.changed(call.changed))
        return contract.outputs(self.subject, call.returned, answer)

    def learner(self, pool: Pool) -> dict[str, Any]:
        """The learner's function as a function of the pool."""
        return self.outputs(pool, right(self.subject)(pool))

    def contract(self) -> str:
        name, wanted = self.subject.name, ", ".join(self.subject.parameters)
        signature = self.code.about(name)
        if not signature.takes(self.subject.parameters):
            own = ", ".join(parameter for parameter, _ in signature.parameters)
            raise FailedError(f"{name} takes ({own}), but must take ({wanted}).")
        case = self.subject.cases[0]
        try:
            first = self.outputs(case.pool, self.subject.answers[case.name])
        except StoppedError as error:
            if not error.raised:
                raise
            raise FailedError(f"{error} {self._where(case)}") from None
        self.first_printed = self.printed
        second = self.outputs(case.pool, self.subject.answers[case.name])
        if not all(np.array_equal(first[output], second[output]) for output in self.subject.outputs):
            raise FailedError("Two calls with the same arguments give different results: leave out what is random.")
        arrays = any(isinstance(value, np.ndarray) for value in self.subject.answers[case.name].values())
        form = "of the right shape and dtype" if arrays else "in the right form"
        return f"{name} takes ({wanted}) and returns {listed(self.subject.outputs)} {form}."

    def example(self) -> str:
        case = self.subject.cases[0]
        answer = self.subject.answers[case.name]
        evidence = self._evidence(case, answer)
        if evidence:
            raise FailedError(f'In the smallest case, "{case.name}", {_is_wrong(evidence)}.', evidence)
        given = {name: case.pool[name] for name in self.subject.parameters}
        return f"{numbers_text(given)} gives {numbers_text(answer)}."

    def exact(self) -> str:
        pools = sorted((self.subject.draw(self.rng) for _ in range(RANDOM)), key=elements)
        random = [Case(f"random {number}", pool) for number, pool in enumerate(pools, 1)]
        cases = [*self.subject.cases, *random]
        first, printed, count = None, "", 0  # of the first case that is wrong, and how many are
        for case in cases:
            answer = self.subject.answers.get(case.name) or right(self.subject)(case.pool)
            try:
                evidence = self._evidence(case, answer)
            except (StoppedError, contract.RefusedError) as error:
                if first:
                    continue
                telling = isinstance(error, contract.WrongArrayError)
                raise FailedError(f"{error} {self._where(case)}", telling=telling) from None
            if evidence:
                count += 1
                first, printed = (first, printed) if first else (evidence, self.printed)
        if first:
            self.printed = printed
            where = f"in {count} of {len(cases)} cases" if count > 1 else f'in the case "{first.case.name}"'
            raise FailedError(f"{_is_wrong(first)} {where}.", first)
        near = "right up to rounding" if self.subject.rounding else "right"
        return f"Every element is {near}, in {len(self.subject.cases)} chosen cases and {RANDOM} random ones."

    def adjoint(self) -> str:
        said = []
        for pair, gradient, pool in self._gradients():
            true = pair.adjoint(right(pair.forward), right(pair.backward), pool, gradient)
            if true.equal and not true.vacuous:
                sides = pair.adjoint(*self._both(pair), pool, gradient)
                argument = pair.backward.gradients[gradient]
                identity = f"⟨{pair.backward.upstream}, F({argument}) - F(0)⟩ = ⟨{gradient}, {argument}⟩"
                said.append(self._compared(identity, identity, sides))
        if not said:
            raise SkippedError("Not for this function: the identity needs a linear forward and its backward.")
        whose = "the forward" if self.subject.gradients else "your function, and the right backward"
        return f"With real numbers, F for {whose}: {listed(said)}."

    def derivative(self) -> str:
        if not self.subject.gradients:
            return self._at_real_numbers()
        said = []
        for pair, gradient, pool in self._gradients():
            v = self.rng.standard_normal(np.shape(pool[pair.backward.gradients[gradient]]))
            sides = pair.slope(*self._both(pair), pool, gradient, v)
            text = f"⟨{gradient}, v⟩"
            said.append(self._compared(f"the slope of the forward along a direction v = {text}", text, sides))
        return f"Along a random direction v, the slope of the forward is {listed(said)}."

    def bestiary(self) -> str:
        count = len(self.subject.beasts)
        if not count:
            raise SkippedError("Not for this function: there is no list of known mistakes.")
        return f"It is none of the {count} known mistakes." if count > 1 else "It is not the known mistake."

    def fast(self) -> str:
        task: Any = self.exercise.task
        pool = task.large()
        answer = right(self.subject)(pool)
        evidence = self._evidence(Case("large", pool), answer)
        if evidence:
            raise FailedError(f"With large arrays {_is_wrong(evidence)}.")
        arguments = {name: pool[name] for name in self.subject.parameters}
        old, new = map(
            median, self.code.race(self.subject.name, self.exercise.stub, arguments, task.rounds, task.seconds)
        )
        text = f"{_milliseconds(new)} instead of {_milliseconds(old)}"
        if old < task.factor * new:
            raise FailedError(
                f"It is {_times(old / new)} as fast as the loops, but must be {task.factor:g} times: {text}."
            )
        return f"It is {_times(old / new)} as fast as the loops, at least {task.factor:g} times are asked: {text}."

    def beast(self) -> Beast | None:
        """The known mistake whose numbers these are, on every case."""
        try:
            found = {case.name: self._raw(case.pool) for case in self.subject.cases}
            for output in self.subject.outputs:
                if not all(
                    self.subject.same(found[name][output], self.subject.answers[name][output]) for name in found
                ):
                    beast = self.subject.named(found, output)
                    if beast:
                        return beast
        except (StoppedError, TypeError, ValueError):  # no answer, or none that is made of numbers
            return None
        return None

    def _raw(self, pool: Pool) -> dict[str, Any]:
        """The outputs as they are. ValueError if some do not travel, or their number is another."""
        call = self.code.call(self.subject.name, {name: pool[name] for name in self.subject.parameters})
        values = call.returned if len(self.subject.outputs) > 1 else (call.returned,)
        if any(isinstance(value, Opaque) or value is None for value in values):
            raise ValueError
        return dict(zip(self.subject.outputs, values, strict=True))

    def _evidence(self, case: Case, answer: Mapping[str, Any]) -> Evidence | None:
        """What is wrong on a case; None if nothing is."""
        found = self.outputs(case.pool, answer)
        wrong = tuple(name for name in self.subject.outputs if not self.subject.same(found[name], answer[name]))
        return Evidence(case, answer, found, wrong) if wrong else None

    def _where(self, case: Case) -> str:
        """The case in which something failed: the shapes of its arrays, and its other arguments."""
        given = [
            f"{name} of shape {case.pool[name].shape}"
            if isinstance(case.pool[name], np.ndarray)
            else f"{name} = {value_text(case.pool[name])}"
            for name in self.subject.parameters
        ]
        return f'This is in the case "{case.name}": {", ".join(given)}.'

    def _gradients(self) -> list[tuple[Pair, str, Pool]]:
        """Each gradient that the learner's function gives or belongs to, with a random geometry of real numbers."""
        return [
            (pair, gradient, self._telling_pool(pair, gradient))
            for pair in pairs(self.subject)
            for gradient in pair.backward.gradients
        ]

    def _telling_pool(self, pair: Pair, gradient: str) -> Pool:
        """A random geometry of real numbers. In some the gradient is 0, as all windows lie in the padding: not this."""
        pools = [real_pool(self.subject, self.rng) for _ in range(TRIED)]
        return max(pools, key=lambda pool: bool(np.any(right(pair.backward)(pool)[gradient])))

    def _both(self, pair: Pair) -> tuple[Function, Function]:
        """The forward and the backward of a pair: the learner's function, and the right one for the other."""
        forward, backward = (
            self.learner if subject is self.subject else right(subject) for subject in (pair.forward, pair.backward)
        )
        return forward, backward

    def _compared(self, identity: str, text: str, sides: Sides) -> str:
        """The text with its value, if the sides of the identity are equal."""
        if not sides.equal:
            said = f"must hold, but {sides.forward:.6g} is not {sides.gradient:.6g}"
            raise FailedError(f"With real numbers, {identity} {said}. {FRACTIONS}")
        return f"{text} = {sides.gradient:.4g}"

    def _at_real_numbers(self) -> str:
        """For a forward: compared with the right one."""
        pool = real_pool(self.subject, self.rng)
        reals = [pool[name] for name in self.subject.parameters if np.asarray(pool[name]).dtype == np.float64]
        if not any(isinstance(value, np.ndarray) for value in reals):
            raise SkippedError("Not for this function: it has no gradient.")
        found, answer = self.learner(pool), right(self.subject)(pool)
        for name in self.subject.outputs:
            error = np.max(np.abs(np.subtract(found[name], answer[name])), initial=0.0)
            if not error <= REAL_TOLERANCE * np.max(np.abs(answer[name]), initial=0.0):
                raise FailedError(f"With real numbers {name} is wrong by up to {error:.3g}. {FRACTIONS}")
        return f"{listed(self.subject.outputs)} {are(self.subject.outputs)} right for real numbers too."


def _is_wrong(evidence: Evidence) -> str:
    """ "dx is wrong", "dx and dw are wrong"."""
    return f"{listed(evidence.wrong)} {are(evidence.wrong)} wrong"


def _times(ratio: float) -> str:
    return f"{ratio:.0f} times" if ratio >= 10 else f"{ratio:.1f} times"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"
