"""Writing files whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def check_writable(name: str, path: str | Path) -> None:
    """ValueError, which calls it ``name``, if no file can be written to ``path``; asked before the work is done."""
    folder = Path(path).absolute().parent
    if Path(path).is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ValueError(f"{name} is {str(path)!r}, but must be a file in a folder that can be written to")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary name beside ``path``, with the same ending. At the end the file is renamed: nobody reads half a file.

    If writing fails, the temporary file is deleted and the file at ``path`` stays as it was.
    """
    target = Path(path)
    temporary = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
