"""Watches a learner's folder: each time an exercise is saved, it is checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

from .folder import Folder, exercise_of
from .guide import COMMAND, check_and_show, invitation, progress
from .page import Page
from .terminal import Printer


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
            f"{COMMAND} check FILE"
        ) from None


def watch(folder: Folder, printer: Printer, saved: Iterable[Iterable[Path]]) -> None:
    """Says where the learner is, and checks each exercise that is ``saved``, until there are no more."""
    printer.show(greeting(folder))
    current = folder.current()
    if current and not folder.untouched(current):
        check_and_show(folder, current, folder.file(current), printer, watching=True)
    for paths in saved:
        for path in paths:
            exercise = exercise_of(path)
            if exercise and path.exists():
                check_and_show(folder, exercise, folder.path / path.name, printer, watching=True)


def greeting(folder: Folder) -> Page:
    """Where the learner is, and what to open."""
    page = progress(folder)
    current = folder.current()
    if current:
        page.line().add(invitation(folder, current))
        page.line().say("Each time you save a file of this folder, it is checked here. Ctrl-C ends it.")
    return page
