"""python -m tinyalexnet dojo teacher: a course, its key, and the grades."""

from __future__ import annotations

import sys
from pathlib import Path

from ...command import Parser
from ...console import Console
from ..page import Page
from ..terminal import Printer
from .book import Book, check_targets, write_all
from .course import HANDOUT, Course, new_course, read_course, read_json, write_json
from .grade import grade_all
from .key import Key, fits, make_key
from .submissions import submissions

KEY = "key.json"
PROGRAM = "python -m tinyalexnet dojo teacher"


def parser() -> Parser:
    """The arguments of ``teacher``."""
    found = Parser(prog=PROGRAM, description="A course, its key, and the grades of a class: docs/teaching.md.")
    actions = found.add_subparsers(dest="action", required=True, metavar="new|key|grade")
    new = actions.add_parser("new", help="make the folder of a course, with the exercises to hand out")
    key = actions.add_parser("key", help="write the hashes of the right results on hidden cases")
    grade = actions.add_parser("grade", help="grade a folder that has a folder for each student")
    for action in (new, key, grade):
        action.add_argument("course", metavar="COURSE", help="the folder of the course")
    new.add_argument("exercises", nargs="*", metavar="EXERCISE", help="the exercises (all)")
    grade.add_argument("folder", metavar="DIR", help="a folder with a folder for each student")
    for name, what in (("csv", "a row for each student"), ("json", "all grades"), ("junit", "a test suite each")):
        grade.add_argument(f"--{name}", metavar="FILE", help=what)
    grade.add_argument("--feedback", metavar="FOLDER", help="a page for each student")
    return found


def teach(printer: Printer, *words: str) -> int:
    """Does what the words say, and returns the exit code."""
    flags = vars(parser().parse_args(words))
    action, folder = flags.pop("action"), Path(flags.pop("course"))
    if action == "new":
        return _new(printer, folder, flags["exercises"])
    course = read_course(folder)
    return _key(printer, course, folder) if action == "key" else _grade(printer, course, folder, flags)


def _new(printer: Printer, folder: Path, names: list[str]) -> int:
    course = new_course(folder, names)
    count = f"{len(course.exercises)} exercise{'s' * (len(course.exercises) > 1)}"
    page = Page().line(f"{count}, {course.points:g} points in all: {folder / HANDOUT} is for students.")
    page.line("course.json has the points, and a private seed: keep it to yourself. Change the points there.")
    printer.show(page.line(f"Next: {PROGRAM} key {folder}"))
    return 0


def _key(printer: Printer, course: Course, folder: Path) -> int:
    key = make_key(course)
    write_json(folder / KEY, key)
    printer.show(
        Page()
        .line(f"{folder / KEY}: hashes of hidden results for {len(key)} of the {len(course.exercises)} exercises.")
        .line(f"Next: {PROGRAM} grade {folder} DIR, with a folder in DIR for each student")
    )
    return 0


def _grade(printer: Printer, course: Course, folder: Path, flags: dict[str, str | None]) -> int:
    handed_in = submissions(Path(str(flags.pop("folder"))))
    paths = check_targets(flags)
    key: Key = read_json(folder / KEY)
    if not fits(key, course):
        raise ValueError(f"{folder / KEY} is not of this course: {PROGRAM} key {folder} makes it again")
    book = Book(course)
    console = Console(sys.stderr, quiet=False)
    with console.bar("grading", len(handed_in) * len(course.exercises)) as (advance, _):
        for submission, grade in grade_all(course, key, handed_in):
            book.add(submission.student, grade)
            advance(submission.student)
    write_all(book, paths)
    page = Page()
    for line in book.table().splitlines():
        page.line(line)
    printer.show(page)
    return 0
