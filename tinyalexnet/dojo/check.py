"""Checks one exercise: the gates of its kind, one after the other, and what the learner reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from . import report
from .contract import RefusedError, WrongArrayError
from .exercise import DO, Catch, Derive, Exercise, Predict, Train
from .gates import FailedError, Judge, SkippedError, Trial
from .network import Network
from .page import Page
from .path import EXERCISES
from .process import Process
from .program import command
from .runner import Code, Inside, Limits, StoppedError
from .tasks import Derivation, Prediction, Trap

State = Literal["ok", "wrong", "skipped", "later"]

WORDS = {"ok": "ok", "wrong": "WRONG", "skipped": "-", "later": "later"}
"""The states of a gate, as they are printed."""


@dataclass(frozen=True)
class Gate:
    """A gate, and what is said of it: passed ("ok"), failed ("wrong"), not for this exercise, or not reached yet."""

    name: str
    state: State
    sentence: str = ""


@dataclass(frozen=True, repr=False)
class Result:
    """Whether an exercise is solved, its gates, and the text for the learner."""

    exercise: Exercise
    gates: tuple[Gate, ...]
    page: Page
    mistake: str | None = None
    """The name of the known mistake, if it is one."""
    case: str | None = None
    """The case that shows what is wrong, if there is one to show."""

    @property
    def passed(self) -> bool:
        return all(gate.state in ("ok", "skipped") for gate in self.gates)

    @property
    def text(self) -> str:
        return self.page.text

    def to_dict(self) -> dict[str, Any]:
        """The result as plain data, for JSON."""
        return {
            "exercise": self.exercise.name,
            "kind": self.exercise.kind,
            "passed": self.passed,
            "points": self.exercise.points if self.passed else 0,
            "mistake": self.mistake,
            "gates": [vars(gate) for gate in self.gates],
            "text": self.text,
        }

    def __repr__(self) -> str:
        passed = sum(gate.state in ("ok", "skipped") for gate in self.gates)
        return f"<{self.exercise.name}: {'solved' if self.passed else 'not yet'}, {passed} of {len(self.gates)} gates>"


class Broken(Code):
    """Code that could not be read: every request has the same answer."""

    def __init__(self, stopped: StoppedError) -> None:
        self.stopped = stopped

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        raise self.stopped


def check(name: str, thing: Any) -> Result:
    """Checks your solution of the exercise ``name`` in this process, for a notebook: prints the text and returns it.

    ``thing`` is the function that the exercise asks for, or the dict of answers if it asks for numbers.
    """
    if name not in EXERCISES:
        raise ValueError(f"name is {name!r}, but must be an exercise: {', '.join(EXERCISES)}")
    exercise = EXERCISES[name]
    result = examine(exercise, Inside({exercise.task.attribute: thing}))
    if not result.passed:
        result.page.line().line("Next", "head")
        result.page.line("    Change it, and check it again.")
        result.page.line(f"    A hint: !{command()} hint {name} 1   (then 2, then 3)")
    print(result.text, end="")
    return result


def check_file(exercise: Exercise, path: str | Path, limits: Limits | None = None) -> Result:
    """Checks a learner's file, which runs in a process of its own."""
    text = Path(path).read_bytes()
    untouched = text == exercise.stub.read_bytes()
    if not text.strip():
        anew = f"{command()} reset {exercise.name}"
        return examine(exercise, Broken(StoppedError(f"The file is empty. `{anew}` writes the exercise anew.")))
    try:
        with Process(path, limits) as code:
            return examine(exercise, code, untouched)
    except StoppedError as stopped:
        return examine(exercise, Broken(stopped))


def examine(exercise: Exercise, code: Code, untouched: bool = False) -> Result:
    """Takes code through the gates of an exercise. The bug of an ``untouched`` stub is not given away."""
    trial = trial_of(exercise, code)
    gates: list[Gate] = []
    failed: Exception | None = None
    for name, gate in trial.gates():
        if failed and not (trial.independent and gates[0].state == "ok"):
            gates.append(Gate(name, "later"))
            continue
        try:
            gates.append(Gate(name, "ok", gate()))
        except SkippedError as skipped:
            gates.append(Gate(name, "skipped", str(skipped)))
        except (FailedError, RefusedError, StoppedError) as error:
            gates.append(Gate(name, "wrong", str(error)))
            failed = failed or error
    page = _gates_page(exercise, gates)
    mistake: str | None = None
    case: str | None = None
    if isinstance(trial, Judge) and failed:
        beast = trial.beast() if isinstance(failed, WrongArrayError) or getattr(failed, "telling", False) else None
        evidence = failed.evidence if isinstance(failed, FailedError) else None
        page.add(report.explained(trial, evidence, beast, untouched))
        mistake = beast.name if beast else None
        case = evidence.case.name if evidence and evidence.case.name in trial.subject.answers else None
    said = failed.printed if isinstance(failed, StoppedError) else trial.printed if failed else trial.first_printed
    return Result(exercise, tuple(gates), page.add(report.printed(said)), mistake, case)


def trial_of(exercise: Exercise, code: Code) -> Trial:
    """The gates for the kind of an exercise."""
    task = exercise.task
    if isinstance(task, Predict):
        return Prediction(task, code)
    if isinstance(task, Derive):
        return Derivation(task, code)
    if isinstance(task, Catch):
        return Trap(task, code)
    if isinstance(task, Train):
        return Network(task, code)
    return Judge(exercise, task.subject, code)


def _gates_page(exercise: Exercise, gates: list[Gate]) -> Page:
    """The title, and a paragraph for each gate; those that were not reached together."""
    page = Page().line(f"{exercise.title} ({DO[exercise.kind]})", "head").line()
    width = max(len(gate.name) for gate in gates)
    for number, gate in enumerate(gates, 1):
        if gate.state != "later":
            first = f"  {WORDS[gate.state]:5}  {number} {gate.name.ljust(width)}  "
            page.say(gate.sentence, len(first), gate.state, first)
    later = [f"{number} {gate.name}" for number, gate in enumerate(gates, 1) if gate.state == "later"]
    if later:
        page.say(", ".join(later), 9, "later", f"  {WORDS['later']:5}  ")
    return page
