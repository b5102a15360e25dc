"""The files that students hand in: for each student a folder with a file for each exercise, or with notebooks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ...files import naming
from ..exercise import Exercise

NOTEBOOK = ".ipynb"

MOST_BYTES = 4 << 20
"""A larger file is no solution of an exercise."""


@dataclass(frozen=True)
class Submission:
    """One student's folder."""

    student: str
    folder: Path

    def file_of(self, exercise: Exercise) -> Path | None:
        """The file for an exercise: NAME.py or with a number before it; else a notebook that defines it; else None."""
        named = re.compile(rf"(\d+_)?{re.escape(exercise.name)}\.py")
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        for path in files:
            if named.fullmatch(path.name):
                return path
        for path in files:
            if path.suffix == NOTEBOOK and re.search(rf"\b{exercise.task.attribute}\b", _text(path)):
                return path
        return None


def submissions(folder: Path) -> list[Submission]:
    """One for each folder inside, by name.

    Errors
        ValueError if there is no such folder, or none inside.
    """
    if not folder.is_dir():
        raise ValueError(f"DIR is {str(folder)!r}, but must be a folder with a folder for each student")
    found = [Submission(path.name, path) for path in sorted(folder.iterdir()) if path.is_dir()]
    if not found:
        raise ValueError(f"DIR is {str(folder)!r}, but has no folders: it must have one for each student")
    return found


@contextmanager
def as_program(path: Path) -> Iterator[Path]:
    """The file itself, or a temporary one with the code of a notebook.

    Errors
        ImportError without jupytext; ValueError if the file is no notebook, or too large.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path.name} has more than {MOST_BYTES >> 20} MB")
    if path.suffix != NOTEBOOK:
        yield path
        return
    with TemporaryDirectory(prefix="tinyalexnet-") as folder:
        program = Path(folder) / f"{path.stem}.py"
        with naming(program):
            program.write_text(_code(path), encoding="utf-8")
        yield program


def _code(path: Path) -> str:
    """The code cells of a notebook; lines that only a notebook understands, such as %matplotlib, become comments."""
    try:
        import jupytext
    except ImportError:
        raise ImportError(
            f"{path.name} is a notebook, which needs jupytext: pip install 'tinyalexnet[teacher]'"
        ) from None
    try:
        notebook = jupytext.reads(_text(path), fmt="ipynb")
        text: str = jupytext.writes(notebook, fmt="py:percent")
    except Exception as error:  # of many kinds, for a file that somebody else wrote
        raise ValueError(f"{path.name} cannot be read as a notebook: {type(error).__name__}") from None
    return text


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.stat().st_size <= MOST_BYTES else ""
