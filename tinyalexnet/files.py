"""Files that are whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def check_writable(name: str, path: str | Path) -> None:
    """ValueError, which calls it ``name``, where ``path`` cannot be a file: to be told before the work is done."""
    folder = Path(path).absolute().parent
    if Path(path).is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ValueError(f"{name} is {str(path)!r}, but must be a file in a folder that can be written to")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to; it is renamed at the end, so that no reader ever sees half a file.

    It has the same ending. Where writing fails nothing is left behind, and what was at ``path`` stays.
    """
    target = Path(path)
    temporary = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
