"""Grades: each exercise of each student in a process of its own, by the gates and by the hidden cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..check import Broken, Result, examine
from ..contract import RefusedError
from ..exercise import Exercise
from ..gates import FailedError, Judge
from ..path import EXERCISES
from ..process import Process
from ..runner import Code, Limits, StoppedError
from ..words import are, listed
from .course import Course
from .key import Key, hidden_pools, result_hash, subject_of
from .submissions import Submission, as_program

LIMITS = Limits(seconds=5.0, memory=1 << 30)
"""What the code of one exercise may use."""

MISSING, REFUSED, BROKEN = "not handed in", "refused", "no answer"


@dataclass(frozen=True)
class Grade:
    """What one student gets for one exercise.

    ``outputs`` has, for a function, the share of the hidden cases that are right, by output. ``state`` is "solved",
    "partly", "wrong", or one of MISSING, REFUSED (it did what it must not) and BROKEN (it ended before an answer).
    """

    exercise: Exercise
    points: float
    most: float
    state: str
    sentence: str
    text: str = ""
    mistake: str | None = None
    outputs: dict[str, float] = field(default_factory=dict)


def grade_all(
    course: Course, key: Key, handed_in: list[Submission], limits: Limits = LIMITS
) -> Iterator[tuple[Submission, Grade]]:
    """The grade of each student for each exercise, as it is done."""
    for submission in handed_in:
        for name in course.exercises:
            yield submission, grade(course, key, submission, EXERCISES[name], limits)


def grade(course: Course, key: Key, submission: Submission, exercise: Exercise, limits: Limits = LIMITS) -> Grade:
    """One student's grade for one exercise.

    Half of the points are for the gates, all passed; for the other half each output counts alike that is right on every
    hidden case. If the stub has code that runs (a bug, slow loops), there are none without the gates, and the other
    half is for all outputs together. An exercise without hidden cases has all points for the gates; of numbers to
    predict each counts alike.
    """
    most = course.exercises[exercise.name]
    path = submission.file_of(exercise)
    if path is None:
        return Grade(exercise, 0.0, most, MISSING, f"There is no file {exercise.name}.py.")
    try:
        with as_program(path) as program:
            return _graded(course, key, exercise, program, limits)
    except ValueError as error:
        return Grade(exercise, 0.0, most, BROKEN, f"{error}.")


def _graded(course: Course, key: Key, exercise: Exercise, program: Path, limits: Limits) -> Grade:
    most = course.exercises[exercise.name]
    watched: list[StoppedError] = []
    try:
        with Process(program, limits, graded=True) as process:
            code = Noted(process, watched)
            result = examine(exercise, code)
            outputs = {} if watched else _hidden(course, key, exercise, code)
    except StoppedError as stopped:
        watched.append(stopped)
        result, outputs = examine(exercise, Broken(stopped)), {}
    if watched:
        first = next((stopped for stopped in watched if stopped.refused), watched[0])
        return Grade(exercise, 0.0, most, REFUSED if first.refused else BROKEN, str(first), result.text)
    share = _share(result, outputs)
    state = "solved" if share == 1 else "partly" if share else "wrong"
    return Grade(exercise, most * share, most, state, _sentence(result, outputs), result.text, result.mistake, outputs)


class Noted(Code):
    """A process whose refusals are noted, even those that a gate takes for a plain failure."""

    def __init__(self, process: Process, noted: list[StoppedError]) -> None:
        self.process, self.noted = process, noted

    def ask(self, request: dict[str, object]) -> dict[str, object]:
        try:
            return self.process.ask(request)
        except StoppedError as stopped:
            if stopped.refused or self.process.seconds_left <= 0 or self.process.process.poll() is not None:
                self.noted.append(stopped)
            raise


def _hidden(course: Course, key: Key, exercise: Exercise, code: Code) -> dict[str, float]:
    """The share of the hidden cases on which each output has the hash of the key."""
    subject = subject_of(exercise)
    if subject is None:
        return {}
    judge = Judge(exercise, subject, code)
    right = dict.fromkeys(subject.outputs, 0)
    hashes = key[exercise.name]
    for number, pool in enumerate(hidden_pools(course, exercise)):
        try:
            # Only shapes and kinds of the right outputs are needed, and nothing of their values.
            found = judge.outputs(pool, subject.outputs_of(subject.right, pool))
        except (StoppedError, RefusedError, FailedError):
            continue
        for output, value in found.items():
            right[output] += result_hash(course, subject, f"{output} {number}", value) == hashes[output][number]
    return {output: count / len(hashes[output]) for output, count in right.items()}


def _share(result: Result, outputs: dict[str, float]) -> float:
    """The part of the points. A stub that runs, of a bug or of slow loops, has outputs that are right by themselves."""
    if outputs:
        right = sum(share == 1 for share in outputs.values()) / len(outputs)
        given = result.exercise.kind != "fill"
        return (0.5 + 0.5 * (right == 1)) * result.passed if given else 0.5 * result.passed + 0.5 * right
    if result.exercise.kind == "predict":
        answers = result.gates[1:]
        return sum(gate.state == "ok" for gate in answers) / len(answers) if answers else float(result.passed)
    return float(result.passed)


def _sentence(result: Result, outputs: dict[str, float]) -> str:
    """The first gate that is not passed, or what the hidden cases say; nothing of a hidden case itself."""
    wrong = next((gate for gate in result.gates if gate.state == "wrong"), None)
    if wrong:
        return f"Gate {wrong.name}: {wrong.sentence}"
    failed = [output for output, share in outputs.items() if share < 1]
    if failed:
        return f"All gates are passed, but {listed(failed)} {are(failed)} wrong on hidden cases."
    return "All gates are passed, and all hidden cases are right." if outputs else "All gates are passed."
