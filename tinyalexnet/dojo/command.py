"""python -m tinyalexnet dojo: writes the exercises, watches them, checks one, gives hints."""

from __future__ import annotations

import argparse
import difflib
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

from ..command import Parser, exit_code
from .exercise import Exercise
from .folder import Folder, exercise_of, home
from .guide import check_and_show, progress
from .page import WIDTH, Page
from .path import EXERCISES, PATH, file_name
from .program import command
from .show import case_of, case_page, cases_page, subject_of
from .teacher.command import teach
from .terminal import Printer
from .watch import needed, saves, watch

USES = {
    "[FOLDER]": "write the exercises that are missing, watch the folder, and check each file when it is saved; if the "
    "output is no terminal, check the current exercise once",
    "list [FOLDER]": "all exercises, and which are solved",
    "check FILE": "check one exercise",
    "hint [FILE] [NUMBER]": "the first hint, then the second, then the third; or the one of that number",
    "show NAME [CASE]": "the cases of an exercise; the arrays of one, and its windows",
    "reset FILE": "write the exercise anew, and keep the old file beside it",
    "teacher new|key|grade COURSE": "a course for a class, and its grades: docs/teaching.md",
}


def add(parser: Parser) -> None:
    """The arguments of ``dojo``, whose first word is a folder or what to do."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.usage = f"{command()} {' | '.join(USES)}"
    parser.description = "Exercises: write your own backward, and have it checked and explained. docs/dojo.md"
    width = max(map(len, USES)) + 2
    parser.epilog = "\n".join(
        textwrap.fill(use, WIDTH, initial_indent=f"  {words}".ljust(width + 2), subsequent_indent=" " * (width + 2))
        for words, use in USES.items()
    )
    parser.add_argument(
        "words", nargs=argparse.REMAINDER, metavar="WORD", help="as above; FOLDER is dojo if it is left out"
    )


def run(parser: Parser, words: list[str]) -> int:
    """Does what the words say, and returns the exit code: 1 if an exercise that was checked is not solved."""
    return exit_code(parser, lambda _: _do(words, Printer(sys.stdout)))


def _do(words: list[str], printer: Printer) -> int:
    try:
        return _act(words, printer)
    except PermissionError as error:
        raise ValueError(f"no permission for {str(error.filename)!r}: use a folder that you may write to") from None


def _act(words: list[str], printer: Printer) -> int:
    name, *rest = words or [""]
    if name not in ACTIONS:
        if rest:
            raise ValueError(f"{name!r} is none of {', '.join(ACTIONS)}, and a FOLDER stands alone")
        meant = difflib.get_close_matches(name, ACTIONS, 1, 0.7) if name.isalpha() else []
        if meant and not Path(name).exists():
            raise ValueError(f"{name!r} is no folder yet: {meant[0]!r} is meant, or ./{name} to make one of this name")
        return start(printer, Folder(name or home()))
    action, least, most = ACTIONS[name]
    if not least <= len(rest) <= most:
        raise ValueError(f"{name} has {len(rest)} words after it: the use is {command()} {_use(name)}")
    return action(printer, *rest)


def _use(name: str) -> str:
    return next(use for use in USES if use.startswith(name))


def start(printer: Printer, folder: Folder) -> int:
    """Writes the missing exercises. In a terminal it watches the folder, else it checks the current exercise."""
    watching = printer.out.isatty()
    if watching:
        needed()
    written = folder.write()
    if written:
        count = f"{len(written)} exercise{'' if len(written) == 1 else 's'}"
        printer.show(Page().line(f"{count} written to the folder {folder.path}.").line())
    if watching:
        watch(folder, printer, saves(folder.path))
        return 0
    current = folder.current()
    if current is None:
        printer.show(progress(folder))
        return 0
    return 0 if check_and_show(folder, current, folder.file(current), printer).passed else 1


def list_all(printer: Printer, name: str = "") -> int:
    folder = Folder(name or home())
    solved, current = folder.solved(), folder.current()
    page = Page()
    width = max(len(file_name(exercise)) for exercise in PATH)
    for exercise in PATH:
        state, style = ("solved", "ok") if exercise in solved else ("next", "key") if exercise == current else ("", "")
        row = f"{state:6}  {file_name(exercise).ljust(width)}  {exercise.kind:7}  {exercise.title}"
        page.line(row, style)
    printer.show(page.line().add(progress(folder)))
    return 0


def check_one(printer: Printer, name: str) -> int:
    exercise, file = _file(name)
    if not file.is_file():
        raise ValueError(f"FILE is {str(file)!r}, but there is no such file: {command()} reset {name} writes it")
    return 0 if check_and_show(Folder(file.parent), exercise, file, printer).passed else 1


def hint(printer: Printer, name: str = "", number: str = "") -> int:
    """The next hint; or the one of that number, for which there need not be a folder."""
    if number:
        exercise, at = _named(name), int(number) if number.isdecimal() else 0
        if not 1 <= at <= len(exercise.hints):
            raise ValueError(f"NUMBER is {number!r}, but must be from 1 to {len(exercise.hints)}")
    else:
        if name:
            exercise, file = _file(name)
            folder = Folder(file.parent)
        else:
            folder = _home()
            current = folder.current()
            if current is None:
                printer.show(progress(folder))
                return 0
            exercise = current
        at = folder.next_hint(exercise)
    page = Page().line(f"{exercise.title}: hint {at} of {len(exercise.hints)}", "head").line()
    text = exercise.hints[at - 1]
    page = page.block(text.splitlines()) if "\n" in text else page.say(text, 4)
    if not number:
        last = at == len(exercise.hints)
        page.line().line("This is the last hint." if last else "The same command gives the next hint.")
    printer.show(page)
    return 0


def show_case(printer: Printer, name: str, case: str = "") -> int:
    exercise = _named(name)
    subject = subject_of(exercise)
    printer.show(case_page(subject, case_of(subject, case)) if case else cases_page(exercise, subject))
    return 0


def reset(printer: Printer, name: str) -> int:
    exercise, file = _file(name)
    kept = Folder(file.parent).reset(exercise)
    page = Page().line(f"{file} is new again.")
    printer.show(page.line(f"Your own file is now {kept}.") if kept else page)
    return 0


def _exercise(name: str) -> Exercise | None:
    """The exercise of a name, a number on the path, or a file."""
    if name.isdecimal():
        return PATH[int(name) - 1] if 0 < int(name) <= len(PATH) else None
    return EXERCISES.get(name) or exercise_of(Path(name))


def _named(name: str) -> Exercise:
    exercise = _exercise(name)
    if exercise is None:
        raise ValueError(f"NAME is {name!r}, but must be the name, number or file of an exercise: {command()} list")
    return exercise


def _file(name: str) -> tuple[Exercise, Path]:
    """An exercise and the learner's file: FILE is its path, or the exercise's name or number in the usual folder."""
    exercise, path = _exercise(name), Path(name)
    if exercise is None:
        raise ValueError(f"FILE is {name!r}, but must be a file of the dojo, such as {home() / file_name(PATH[0])}")
    if path.suffix != ".py":
        return exercise, _home().file(exercise)
    if not path.parent.is_dir():
        raise ValueError(f"FILE is {name!r}, but there is no such folder")
    return exercise, path


def _home() -> Folder:
    """The usual folder, which must be there."""
    folder = Folder(home())
    if not folder.exists:
        raise ValueError(f"there is no folder of exercises here: {command()} writes one")
    return folder


ACTIONS: dict[str, tuple[Callable[..., int], int, int]] = {
    "list": (list_all, 0, 1),
    "check": (check_one, 1, 1),
    "hint": (hint, 0, 2),
    "show": (show_case, 1, 2),
    "reset": (reset, 1, 1),
    "teacher": (teach, 0, 10**6),
}
"""What to do, with the least and the most words after it."""
