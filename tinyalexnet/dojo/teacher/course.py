"""A course: its exercises with their points, and a private seed for the hidden cases."""

from __future__ import annotations

import json
import math
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...files import replacing, write
from ..path import EXERCISES, PATH, file_name

COURSE, HANDOUT = "course.json", "handout"
"""The files of a course's folder: its settings, and the exercises to hand out."""


@dataclass(frozen=True)
class Course:
    """The contents of course.json. Whoever knows the seed can make the hidden cases, but not their answers."""

    name: str
    seed: str
    exercises: dict[str, float]
    """Points by the name of the exercise, in the order of the course."""

    @property
    def points(self) -> float:
        return sum(self.exercises.values())


def new_course(folder: Path, names: list[str]) -> Course:
    """Makes the folder of a course: all exercises or those named, each with the points of the path.

    Errors
        ValueError if the folder is there already, or a name is no exercise.
    """
    if folder.exists():
        raise ValueError(f"COURSE is {str(folder)!r}, but must be a new folder: nothing is overwritten")
    chosen = names or [exercise.name for exercise in PATH]
    exercises = {name: float(_exercise(name).points) for name in chosen}
    course = Course(folder.name, secrets.token_hex(16), exercises)
    handout = folder / HANDOUT
    handout.mkdir(parents=True)
    for name in exercises:
        write(handout / file_name(EXERCISES[name]), EXERCISES[name].stub.read_bytes())
    write_json(folder / COURSE, asdict(course))
    return course


def read_course(folder: Path) -> Course:
    """The course of a folder; a teacher may have changed its exercises and points.

    Errors
        ValueError if there is none, or its file is not as it must be.
    """
    path = folder / COURSE
    stored = read_json(path)
    try:
        course = Course(stored["name"], stored["seed"], {name: float(n) for name, n in stored["exercises"].items()})
        if not all(0 <= points < math.inf for points in course.exercises.values()) or not course.exercises:
            raise ValueError
        if not all(isinstance(text, str) for text in (course.name, course.seed)):
            raise ValueError
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ValueError(
            f"{path} must have a name, a seed, and the points (a number from 0 up) of each of its exercises"
        ) from None
    for name in course.exercises:
        _exercise(name)
    return course


def write_json(path: Path, value: object) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """ValueError, in one sentence, if the file is missing or is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"there is no {path}: `teacher new` makes a course, and `teacher key` its key") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from None


def _exercise(name: str) -> Any:
    if name not in EXERCISES:
        raise ValueError(f"the exercise is {name!r}, but must be one of {', '.join(EXERCISES)}")
    return EXERCISES[name]
