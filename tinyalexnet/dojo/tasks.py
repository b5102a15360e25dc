"""The gates of exercises that are not a function of arrays: numbers to predict, a case that catches, a formula."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from .child import Opaque
from .exercise import Catch, Derive, Predict
from .gates import GATE, FailedError
from .runner import Code, described
from .words import listed, value_text

LARGEST = 100
"""Elements and sizes of a case that catches; larger ones are refused before anything is computed with them."""


@dataclass
class Prediction:
    """Compares each predicted number with the computed one; never says the right one."""

    independent: ClassVar[bool] = True
    task: Predict
    code: Code
    first_printed: str = ""
    printed: str = ""

    def gates(self) -> list[GATE]:
        answers = self.task.answers()
        questions = zip(self.task.questions, answers, strict=True)
        return [
            ("answers", self.form),
            *(
                (question.name, partial(self.number, question.name, question.meaning, right))
                for question, right in questions
            ),
        ]

    def form(self) -> str:
        self.found = self.code.value(self.task.attribute)
        if not isinstance(self.found, dict):
            raise FailedError(f"answers is {described(self.found)}, but must be the dict that was there.")
        missing = [question.name for question in self.task.questions if question.name not in self.found]
        if missing:
            raise FailedError(f"answers has no {listed(missing)}: keep the names that were there.")
        return f"You are asked for {len(self.task.questions)} numbers."

    def number(self, name: str, meaning: str, right: float) -> str:
        value = self.found[name]
        if value is None:
            raise FailedError("It has no number yet: write one in place of None.")
        if isinstance(value, Opaque) or np.ndim(value) or np.asarray(value).dtype.kind not in "iuf":
            raise FailedError(f"It is {described(value)}, but must be a number.")
        if not abs(float(value) - right) <= 1e-6 * max(1.0, abs(right)):
            raise FailedError(f"{value_text(value)} is not right. {meaning}")
        return f"{value_text(value)} is right."


@dataclass
class Trap:
    """Tries the learner's case on the right function and on the wrong one."""

    independent: ClassVar[bool] = False
    task: Catch
    code: Code
    first_printed: str = ""
    printed: str = ""

    def gates(self) -> list[GATE]:
        return [("arguments", self.arguments), ("caught", self.caught), ("smallest", self.smallest)]

    def arguments(self) -> str:
        self.code.about("case")
        call = self.code.call("case", {})
        self.first_printed = self.printed = call.printed
        subject, given = self.task.subject, call.returned
        wanted = [name for name in subject.parameters if name not in self.task.fixed]
        if not isinstance(given, dict) or set(given) != set(wanted):
            found = described(given)
            if isinstance(given, dict):
                found = f"a dict of {listed(list(map(str, given)))}" if given else "an empty dict"
            raise FailedError(f"case() returns {found}, but must return a dict of {listed(wanted)}.")
        like = subject.cases[0].pool
        own = {name: _as(like[name], name, given[name]) for name in wanted}
        self.pool = {**own, **self.task.fixed}
        mistaken = self.task.beast.run
        try:
            self.right = subject.outputs_of(subject.right, self.pool)
            self.wrong = subject.outputs_of(mistaken, self.pool)
        except Exception as error:
            raise FailedError(f"These arguments do not fit together: {str(error).rstrip('.')}.") from None
        return f"case() returns {listed(wanted)}, and they fit together."

    def caught(self) -> str:
        output = self.task.beast.output
        right, wrong = self.right[output], self.wrong[output]
        if self.task.subject.same(wrong, right):
            raise FailedError(f"Both functions give {output} = {value_text(right)}: the mistake does not show here.")
        return f"The wrong function gives {output} = {value_text(wrong)}, the right one {value_text(right)}."

    def smallest(self) -> str:
        name, limit = self.task.counted, self.task.limit
        size = int(np.size(self.pool[name]))
        count = f"{name} has {size} element{'' if size == 1 else 's'}"
        if size > limit:
            raise FailedError(f"{count}, but {limit} {'is' if limit == 1 else 'are'} enough: make it smaller.")
        return f"{count}: no smaller one shows it."


def _as(like: Any, name: str, value: Any) -> Any:
    """A value of the learner's as the arguments of cases are: float64 arrays, tuples of ints, numbers."""
    if isinstance(like, np.ndarray):
        try:
            array = np.asarray(value, np.float64)
        except (TypeError, ValueError):
            raise FailedError(f"{name} is {described(value)}, but must be an array of numbers.") from None
        if array.size > LARGEST or not np.isfinite(array).all():
            raise FailedError(
                f"{name} must have at most {LARGEST} elements, all of them finite: the smallest is asked for."
            )
        return array.astype(like.dtype)
    found = nested(value)
    if not _alike(found, like):
        raise FailedError(f"{name} is {value_text(value)}, but must look like {value_text(like)}, with small numbers.")
    return found


def _alike(found: Any, like: Any) -> bool:
    """If tuples are nested as in the other value, and hold numbers that are not large."""
    if isinstance(like, tuple):
        return isinstance(found, tuple) and len(found) == len(like) and all(map(_alike, found, like))
    kinds = (int, float) if isinstance(like, float) else int
    return isinstance(found, kinds) and not isinstance(found, bool) and abs(found) <= LARGEST


def nested(value: Any) -> Any:
    """Lists and arrays as tuples, NumPy's numbers as Python's."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    return tuple(map(nested, value)) if isinstance(value, (tuple, list)) else value


@dataclass
class Derivation:
    """Compares a formula with its definition, for all arguments of its cases."""

    independent: ClassVar[bool] = False
    task: Derive
    code: Code
    first_printed: str = ""
    printed: str = ""

    def gates(self) -> list[GATE]:
        return [("contract", self.contract), ("example", self.example), ("all", self.all)]

    def contract(self) -> str:
        name, wanted = self.task.attribute, ", ".join(self.task.parameters)
        signature = self.code.about(name)
        if not signature.takes(self.task.parameters):
            own = ", ".join(parameter for parameter, _ in signature.parameters)
            raise FailedError(f"{name} takes ({own}), but must take ({wanted}).")
        self.cases = self.task.cases()
        self._found(self.cases[0])
        return f"{name} takes ({wanted}) and returns {self.task.returns}."

    def example(self) -> str:
        self._compare(self.cases[0])
        return f"{self._call_text(self.cases[0])} is {self._text(self._right(self.cases[0]))}."

    def all(self) -> str:
        for arguments in self.cases:
            self._compare(arguments)
        return f"It is right for all {len(self.cases)} arguments that were tried."

    def _found(self, arguments: dict[str, Any]) -> Any:
        call = self.code.call(self.task.attribute, arguments)
        self.first_printed, self.printed = self.first_printed or call.printed, call.printed
        found = nested(call.returned)
        where = f"{self._call_text(arguments)} returns {described(call.returned)}"
        if found is None and not self._none_allowed():
            raise FailedError(f"{where}, but must return {self.task.returns}: is a `return` missing?")
        if not _plain(found) or (not self.task.ordered and not isinstance(found, tuple)):
            raise FailedError(f"{where}, but must return {self.task.returns}.")
        return found

    def _compare(self, arguments: dict[str, Any]) -> None:
        found, right = self._found(arguments), self._right(arguments)
        where = self._call_text(arguments)
        if self.task.ordered:
            if not _close(found, right):
                missing = " Is a `return` missing?" if found is None and arguments is self.cases[0] else ""
                raise FailedError(f"{where} is {self._text(found)}, but must be {self._text(right)}.{missing}")
            return
        more, less = Counter(found) - Counter(right), Counter(right) - Counter(found)
        if more or less:
            first = min(more or less, key=str)
            what = "is missing" if not more else "is there twice" if first in right else "must not be there"
            raise FailedError(f"{where} is {self._text(found)}: {self._text(first)} {what}.")

    def _none_allowed(self) -> bool:
        """If None is the answer to some arguments: then it may be a wrong answer to the others."""
        return any(self._right(arguments) is None for arguments in self.cases)

    def _right(self, arguments: dict[str, Any]) -> Any:
        return nested(self.task.definition(**arguments))

    def _call_text(self, arguments: dict[str, Any]) -> str:
        given = ", ".join(f"{name}={value_text(value)}" for name, value in arguments.items())
        return f"{self.task.attribute}({given})"

    def _text(self, value: Any) -> str:
        """Several things as a list, without the order's meaning."""
        if not self.task.ordered and isinstance(value, tuple) and not any(np.ndim(item) == 0 for item in value):
            return f"[{', '.join(map(value_text, value))}]"
        return "None" if value is None else value_text(value)


def _close(found: Any, right: Any) -> bool:
    """Equal, but for rounding."""
    if isinstance(right, tuple):
        return isinstance(found, tuple) and len(found) == len(right) and all(map(_close, found, right))
    if isinstance(right, (int, float)) and isinstance(found, (int, float)):
        return math.isclose(found, right, rel_tol=1e-9, abs_tol=1e-12)
    return bool(found == right)


def _plain(found: Any) -> bool:
    """If it is made of numbers and None alone, in tuples."""
    return all(map(_plain, found)) if isinstance(found, tuple) else found is None or isinstance(found, (int, float))
