"""The grades of a class: a table, CSV, JSON, JUnit's XML, and a page for each student."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ...files import check_outputs, replacing
from .course import Course, write_json
from .grade import Grade


@dataclass
class Book:
    """The grades by student, in the order of the folders."""

    course: Course
    grades: dict[str, list[Grade]] = field(default_factory=dict)

    def add(self, student: str, grade: Grade) -> None:
        self.grades.setdefault(student, []).append(grade)

    def total(self, student: str) -> float:
        """The points of a student."""
        return sum(grade.points for grade in self.grades[student])

    def table(self) -> str:
        """A line for each student: the points, and how many exercises have each state."""
        width = max(len("student"), *map(len, self.grades))
        lines = [f"{'student'.ljust(width)}  points  of {self.course.points:g}"]
        for student, grades in self.grades.items():
            states: dict[str, int] = {}
            for grade in grades:
                states[grade.state] = states.get(grade.state, 0) + 1
            counts = ", ".join(f"{count} {state}" for state, count in states.items())
            lines.append(f"{student.ljust(width)}  {self.total(student):6.4g}  {counts}")
        return "\n".join(lines)

    def write_csv(self, path: Path) -> None:
        """A row for each student: the points of each exercise, and the sum."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["student", *self.course.exercises, "total"])
        for student, grades in self.grades.items():
            writer.writerow([student, *(f"{grade.points:g}" for grade in grades), f"{self.total(student):g}"])
        _write(path, text.getvalue())

    def write_json(self, path: Path) -> None:
        """All grades as plain data."""
        students = {
            student: {"points": self.total(student), "grades": [_plain(grade) for grade in grades]}
            for student, grades in self.grades.items()
        }
        write_json(path, {"course": self.course.name, "points": self.course.points, "students": students})

    def write_junit(self, path: Path) -> None:
        """A test suite for each student, with a test case for each exercise."""
        root = ElementTree.Element("testsuites", name=self.course.name)
        for student, grades in self.grades.items():
            failed = [grade for grade in grades if grade.state != "solved"]
            counts = {"tests": str(len(grades)), "failures": str(len(failed))}
            suite = ElementTree.SubElement(root, "testsuite", {"name": student} | counts)
            for grade in grades:
                case = ElementTree.SubElement(suite, "testcase", classname=student, name=grade.exercise.name)
                if grade in failed:
                    ElementTree.SubElement(case, "failure", message=_printable(grade.sentence), type=grade.state)
        _write(path, ElementTree.tostring(root, encoding="unicode") + "\n")

    def write_pages(self, folder: Path) -> None:
        """A page of feedback for each student; nothing of a hidden case is in it."""
        folder.mkdir(exist_ok=True)
        for student, grades in self.grades.items():
            lines = [
                f"# {self.course.name}: {student}",
                "",
                f"{self.total(student):g} of {self.course.points:g} points.",
            ]
            for grade in grades:
                lines += ["", f"## {grade.exercise.title} (`{grade.exercise.name}`)", ""]
                lines += [f"{grade.points:g} of {grade.most:g} points: {grade.state}. {grade.sentence}"]
                lines += _hidden_lines(grade)
                if grade.text and grade.state != "solved":
                    lines += ["", "```text", grade.text.replace("```", "'''").rstrip(), "```"]
            _write(folder / f"{student}.md", "\n".join(lines) + "\n")


def check_targets(files: dict[str, str | None]) -> dict[str, Path]:
    """The paths that are asked for; ValueError if one is there already, cannot be written, or is that of another."""
    paths = {name: Path(path) for name, path in files.items() if path is not None}
    for name, path in paths.items():
        if not path.absolute().parent.is_dir():
            raise ValueError(f"{name} is {str(path)!r}, but its folder does not exist")
        if path.exists() and not (name == "feedback" and path.is_dir() and not any(path.iterdir())):
            raise ValueError(f"{name} is {str(path)!r}, which is there already: nothing is overwritten")
    check_outputs({name: files[name] for name in paths if name != "feedback"}, [("feedback", paths.get("feedback"))])
    return paths


def write_all(book: Book, paths: dict[str, Path]) -> None:
    """Writes what was asked for, by the names of ``check_targets``."""
    writers: dict[str, Callable[[Path], None]] = {
        "csv": book.write_csv,
        "json": book.write_json,
        "junit": book.write_junit,
        "feedback": book.write_pages,
    }
    for name, path in paths.items():
        writers[name](path)


def _hidden_lines(grade: Grade) -> Iterable[str]:
    if grade.outputs and grade.state != "solved":
        yield ""
        shares = (f"{output} {100 * share:.0f} %" for output, share in grade.outputs.items())
        yield f"Right on hidden cases: {', '.join(shares)}."


def _plain(grade: Grade) -> dict[str, Any]:
    return {
        "exercise": grade.exercise.name,
        "points": grade.points,
        "of": grade.most,
        "state": grade.state,
        "sentence": grade.sentence,
        "mistake": grade.mistake,
        "outputs": grade.outputs,
    }


def _printable(text: str) -> str:
    """XML has no control characters; a student's error message may."""
    return "".join(character if character.isprintable() else " " for character in text)


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
