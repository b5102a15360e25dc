"""The key of a course: hashes of the right results for hidden cases. It tells if a result is right, and not the result.

The hidden cases are random, but together they show every known mistake of the function that random cases show at all:
else a mistake at x = 0 alone would have half of the points or none, by the course's seed. They hold small integers, so
most results are exact, and equal results have equal hashes. If a function rounds (softmax, LRN, batch norm), the
results are rounded to a grid, and a case is taken only if all its results are far from the middle between two points of
the grid.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import numpy as np

from ...bestiary import SUBJECTS
from ...bestiary.subject import Beast, Pool, Subject
from ..exercise import Exercise, Fill
from ..path import EXERCISES
from .course import Course

HIDDEN = 8
"""Hidden cases of an exercise."""

DRAWS = 120
"""Random cases from which the hidden ones are taken."""

GRID = 1e-5
"""The distance of the grid's points for results that are not exact."""

MARGIN = 0.01
"""Results may not be closer than this part of GRID to the middle of two points: far more than rounding does."""

Key = dict[str, dict[str, list[str]]]
"""For each exercise and output, the hash for each hidden case."""


def subject_of(exercise: Exercise) -> Subject | None:
    """The function of an exercise that is tried on hidden cases; None for the other kinds."""
    return exercise.task.subject if isinstance(exercise.task, Fill) and exercise.kind != "catch" else None


def hidden_pools(course: Course, exercise: Exercise) -> tuple[Pool, ...]:
    """The hidden cases of an exercise, the same for the same seed."""
    subject = subject_of(exercise)
    assert subject is not None
    return _hidden_pools(course.seed, exercise.name, subject.name)


@functools.lru_cache(maxsize=64)
def _hidden_pools(seed: str, exercise: str, function: str) -> tuple[Pool, ...]:
    subject = SUBJECTS[function]
    rng = np.random.default_rng(list(hashlib.sha256(f"{seed} {exercise}".encode()).digest()))
    missing = list(subject.beasts)
    hidden: list[Pool] = []
    spare: list[Pool] = []
    for _ in range(DRAWS):
        pool = subject.draw(rng)
        right = subject.outputs_of(subject.right, pool)
        if not all(_clear(subject, value) for value in right.values()):
            continue
        shown = [beast for beast in missing if _shows(subject, beast, pool, right)]
        # A place is kept for each mistake that no case shows yet.
        if shown or len(hidden) + len(missing) < HIDDEN:
            hidden.append(pool)
            missing = [beast for beast in missing if beast not in shown]
        else:
            spare.append(pool)
        if len(hidden) == HIDDEN:
            break
    return tuple((hidden + spare)[:HIDDEN])


def _shows(subject: Subject, beast: Beast, pool: Pool, right: dict[str, Any]) -> bool:
    """If a known mistake has another result on a case."""
    return not subject.same(subject.outputs_of(beast.run, pool)[beast.output], right[beast.output])


def make_key(course: Course) -> Key:
    """The hashes of the right results, for the exercises that have hidden cases."""
    key: Key = {}
    for name in course.exercises:
        subject = subject_of(EXERCISES[name])
        if subject is not None:
            key[name] = {output: [] for output in subject.outputs}
            for number, pool in enumerate(hidden_pools(course, EXERCISES[name])):
                for output, value in subject.outputs_of(subject.right, pool).items():
                    key[name][output].append(result_hash(course, subject, f"{output} {number}", value))
    return key


def fits(key: object, course: Course) -> bool:
    """If a key has hashes for the exercises, the outputs and the number of cases of this course."""
    expected = {
        name: dict.fromkeys(subject.outputs, HIDDEN)
        for name in course.exercises
        if (subject := subject_of(EXERCISES[name])) is not None
    }
    return isinstance(key, dict) and expected == {
        name: {output: len(hashes) for output, hashes in outputs.items()}
        for name, outputs in key.items()
        if isinstance(outputs, dict) and all(isinstance(hashes, list) for hashes in outputs.values())
    }


def result_hash(course: Course, subject: Subject, where: str, value: Any) -> str:
    """A hash of one result, of its shape and its values; salted, so that equal results have different hashes."""
    array = np.asarray(value, np.float64)
    if subject.rounding:
        array = np.round(array / GRID)
    # + 0 because -0 and 0 are equal.
    content = f"{course.seed} {subject.name} {where} {array.shape}".encode() + (array + 0.0).tobytes()
    return hashlib.sha256(content).hexdigest()


def _clear(subject: Subject, value: Any) -> bool:
    """If rounding to the grid cannot go wrong."""
    if not subject.rounding:
        return True
    scaled = np.asarray(value, np.float64) / GRID
    return bool(np.all(np.abs(scaled - np.floor(scaled) - 0.5) > MARGIN))
