"""What a learner reads around a check: how far they are, and what to do next."""

from __future__ import annotations

from pathlib import Path

from .check import Result, check_file
from .exercise import DO, Exercise
from .folder import Folder
from .page import WIDTH, Page
from .path import PATH
from .program import command
from .runner import Limits
from .terminal import Printer
from .words import are


def check_and_show(
    folder: Folder,
    exercise: Exercise,
    file: Path,
    printer: Printer,
    watching: bool = False,
    limits: Limits | None = None,
) -> Result:
    """Checks a file, prints the result and what to do next, and notes it if it is solved."""
    if watching:  # before the check, which may take its ten seconds
        printer.show(Page().line().line(f"--- {file} ".ljust(WIDTH, "-"), "head").line())
    result = check_file(exercise, file, limits)
    if result.passed and folder.exists:
        folder.note_solved(exercise)
    printer.show(Page().add(result.page).line().add(next_page(folder, result, file, watching)))
    return result


def progress(folder: Folder) -> Page:
    """How many exercises are solved."""
    solved = folder.solved()
    if len(solved) == len(PATH):
        return Page().line(f"All {len(PATH)} exercises are solved. Well done!", "key")
    return Page().line(f"{len(solved)} of {len(PATH)} exercises {are(solved)} solved.")


def invitation(folder: Folder, exercise: Exercise) -> Page:
    """The exercise to do next."""
    return Page().say(
        f"Next: {exercise.title} ({DO[exercise.kind]}). Open {folder.file(exercise)}: its first lines say what to do.",
        style="key",
    )


def next_page(folder: Folder, result: Result, file: Path, watching: bool) -> Page:
    """What to do after a check."""
    if result.passed:
        page = Page().line("Solved.", "key")
        if not folder.exists:
            return page
        page.add(progress(folder))
        current = folder.current()
        return page.add(invitation(folder, current)) if current else page
    rows = [("Change", f"{file}, and save it: it is checked again" if watching else str(file))]
    if not watching:
        rows.append(("Check", f"{command()} check {file}"))
    if result.case:
        rows.append(("See the case", f"{command()} show {result.exercise.name} {result.case}"))
    rows.append(("A hint", f"{command()} hint {file}"))
    width = max(len(word) for word, _ in rows) + 3
    return Page().line("Next", "head").block(word.ljust(width) + text for word, text in rows)
