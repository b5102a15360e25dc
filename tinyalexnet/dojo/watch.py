"""Watches a learner's folder: each time an exercise is saved, it is checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

from .folder import Folder, exercise_of
from .guide import check_and_show, invitation, progress
from .page import Page
from .program import command
from .terminal import Printer

NAMES = "a file is checked if it has the name that it had first"


def saves(folder: Path) -> Iterator[list[Path]]:
    """The files that were saved, each time some were. Ctrl-C raises KeyboardInterrupt."""
    from watchfiles import Change, watch

    for changes in watch(folder, recursive=False):
        yield sorted({Path(path) for change, path in changes if change != Change.deleted})


def needed() -> None:
    """ImportError if what watching takes is not installed."""
    try:
        import_module("rich")
        import_module("watchfiles")
    except ImportError:
        raise ImportError(
            "watching the folder needs rich and watchfiles: pip install 'tinyalexnet[dojo]', or check one file: "
            f"{command()} check FILE"
        ) from None


def watch(folder: Folder, printer: Printer, saved: Iterable[Iterable[Path]]) -> None:
    """Says where the learner is, and checks each exercise that is ``saved``, until there are no more."""
    printer.show(greeting(folder))
    current = folder.current()
    if current and not folder.untouched(current):
        check_and_show(folder, current, folder.file(current), printer, watching=True)
    strange: set[str] = set()  # names that were spoken of already
    for paths in saved:
        for path in paths:
            exercise = exercise_of(path)
            if not path.exists():
                continue
            if exercise:
                check_and_show(folder, exercise, folder.path / path.name, printer, watching=True)
            elif path.name not in strange and _unknown(path):
                strange.add(path.name)
                printer.show(Page().line().say(f"{path.name} is saved, but no exercise has this name: {NAMES}."))


def _unknown(path: Path) -> bool:
    """If the learner may take this file for an exercise. A file that ``reset`` has kept is none."""
    return path.suffix == ".py" and not path.name.startswith(".") and not path.stem.rpartition(".")[2].startswith("old")


def greeting(folder: Folder) -> Page:
    """Where the learner is, and what to open."""
    page = progress(folder)
    current = folder.current()
    if current:
        page.line().add(invitation(folder, current))
        page.line().say("Each time you save a file of this folder, it is checked here. Ctrl-C ends it.")
    return page
