"""A learner's code that answers requests, in this process or in another, and the sentences if it gives no answer."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import child


@dataclass(frozen=True)
class Limits:
    """What the process of a learner's code may use."""

    seconds: float = 10.0
    """For all calls together, from when the process is ready."""
    start: float = 60.0
    """Until the process is ready."""
    memory: int = 2 << 30
    """Bytes of address space, where the operating system can limit it."""
    written: int = 16 << 20
    """Bytes of one file, and so of all that is printed."""
    printed: int = 2000
    """Characters that are shown of what a call prints."""


class StoppedError(Exception):
    """The learner's code gave no answer: one sentence, what it printed until then, and if it did what it must not.

    ``raised``: it was an exception that Python explains, and not this package.
    """

    def __init__(self, sentence: str, printed: str = "", refused: bool = False, raised: bool = False) -> None:
        super().__init__(sentence)
        self.printed = printed
        self.refused = refused
        self.raised = raised


@dataclass(frozen=True)
class Call:
    """What a function returned, the arguments that it changed, and what it printed."""

    returned: Any
    changed: tuple[str, ...]
    printed: str


@dataclass(frozen=True)
class Signature:
    """The parameters of a function: each with True if it must be given. ``more``: it takes others by name."""

    parameters: tuple[tuple[str, bool], ...]
    more: bool

    def takes(self, names: tuple[str, ...]) -> bool:
        """If it can be called with these names, in this order or by name, and with no others."""
        own = [name for name, _ in self.parameters]
        known = [name for name in names if name in own]
        in_order = [name for name in own if name in names] == known
        rest_is_optional = not any(needed for name, needed in self.parameters if name not in names)
        return in_order and rest_is_optional and (self.more or len(known) == len(names))


class Code:
    """A learner's code that answers requests. ``ask`` sends one to where the code runs."""

    unit = "the file"
    """What the code is, in a sentence."""

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def value(self, name: str) -> Any:
        """The value of a name."""
        reply = self.ask({"do": "value", "name": name})
        if "missing" in reply:
            raise StoppedError(f"There is no `{name}` in {self.unit}: keep the name as it was in the exercise.")
        return child.decode(reply["value"])

    def about(self, function: str) -> Signature:
        """The parameters of a function."""
        reply = self.ask({"do": "about", "function": function})
        if "missing" in reply:
            others = ", ".join(reply["missing"])
            has = f"{self.unit} has {others}" if others else f"{self.unit} has no function"
            raise StoppedError(f"There is no function {function}: keep its name as it was in the exercise ({has}).")
        if "value" in reply:
            raise StoppedError(f"{function} is {described(child.decode(reply['value']))}, but must be a function.")
        return Signature(tuple((name, needed) for name, needed in reply["parameters"]), reply["any"])

    def call(self, function: str, arguments: Mapping[str, Any]) -> Call:
        """Calls a function with copies of the arguments, by name."""
        sent = {name: child.encode(value) for name, value in arguments.items()}
        reply = self.ask({"do": "call", "function": function, "arguments": sent})
        return Call(child.decode(reply["returned"]), tuple(reply["changed"]), reply["printed"])

    def race(
        self, function: str, old: Path, arguments: Mapping[str, Any], rounds: int, seconds: float
    ) -> tuple[list[float], list[float]]:
        """The seconds of the function of the file ``old``, and of the learner's, in turn."""
        sent = {name: child.encode(value) for name, value in arguments.items()}
        request = {"do": "race", "function": function, "old": str(old), "arguments": sent}
        reply = self.ask({**request, "rounds": rounds, "seconds": seconds})
        return reply["old"], reply["new"]


class Inside(Code):
    """Code that runs in this process, as in a notebook: ``names`` are functions and values."""

    unit = "what was handed over"

    def __init__(self, names: dict[str, Any], limits: Limits | None = None) -> None:
        files = [value.__code__.co_filename for value in names.values() if hasattr(value, "__code__")]
        self.limits = limits or Limits()
        self.learner = child.Learner(files[0] if files else "", names)

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                reply = self.learner.answer(request)
        except (Exception, SystemExit) as error:
            said = shortened(printed.getvalue(), self.limits.printed)
            raise stopped_by(child.failure(error, self.learner.path), self.limits, said) from None
        return {**reply, "printed": shortened(printed.getvalue(), self.limits.printed)}


def stopped_by(failure: Mapping[str, Any], limits: Limits, printed: str) -> StoppedError:
    """The error for an exception of the learner's code: one sentence, with the line of their file."""
    kind, message, line = failure["type"], failure["message"], failure["line"]
    at = f"Line {line}, `{failure['source']}`," if failure["source"] else f"Line {line}" if line else "Your code"
    known = _explained(kind, message, at, limits)
    sentence = known or f"{at} raises {kind}{': ' if message else ''}{message.rstrip('.')}."
    return StoppedError(sentence, printed, refused=kind == child.REFUSED, raised=known is None)


def _explained(kind: str, message: str, at: str, limits: Limits) -> str | None:
    """The sentence on an exception that means more in a check than Python says."""
    if kind == child.REFUSED:
        return f"Your code {message}: this is not allowed while it is graded."
    if kind in ("SyntaxError", "IndentationError", "TabError"):
        return f"{at} cannot be read as Python: {message}."
    if kind == "NotImplementedError":
        return f"{at} is still the hole of the exercise: write your own code in its place."
    if kind == "SystemExit":
        return f"{at} ends the program: leave that out, because the check must go on after it."
    if kind == "KeyboardInterrupt":
        return f"Your code ran longer than {limits.seconds:g} s. {at} was running then: is there an endless loop?"
    if kind in ("MemoryError", "_ArrayMemoryError"):
        return f"{at} asks for more memory than the {limits.memory >> 20} MB that a check may use."
    if kind == "EOFError":
        return f"{at} reads from the keyboard, but nobody types during a check: leave that out."
    if kind == "OSError" and "File too large" in message:
        return f"{at} prints or writes more than the {limits.written >> 20} MB that a check may use."
    return None


def described(value: object) -> str:
    """A value as a few words: None, "the int 3", "a list", "an array of shape (2, 3)"."""
    if isinstance(value, child.Opaque):
        return value.text
    if value is None:
        return "None"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    name = type(value).__name__
    return f"the {name} {value!r}" if isinstance(value, (bool, int, float)) else child.with_article(name)


def shortened(text: str, most: int, left_out: int = 0) -> str:
    """At most so many characters, and how many more there are, with those that were left out before."""
    text = text.rstrip()
    more = len(text) - most + left_out if left_out or len(text) > most else 0
    return f"{text[:most]}\n... and {more} more characters" if more else text
