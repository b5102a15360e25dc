"""Writing files whole or not at all, and what can be said of an output's path before anything is computed."""

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from tempfile import TemporaryDirectory

LONGEST_NAME = 255
"""Bytes in the name of a file, on most file systems."""


def check_outputs(
    outputs: Mapping[str, str | Path | None], inputs: Iterable[tuple[str, str | Path | None]] = ()
) -> None:
    """ValueError if an output cannot be written to, or is the same file as another one or as an input.

    ``outputs`` and ``inputs`` have the names by which the caller knows the paths; None is a path that was not given.
    """
    known = [(name, path) for name, path in inputs if path is not None]
    for name, path in outputs.items():
        if path is None:
            continue
        check_writable(name, path)
        for other, taken in known:
            if _is_same_file(path, taken):
                raise ValueError(
                    f"{name} is {str(path)!r}, but must be another file than {other}, {str(taken)!r}, which it would "
                    "replace"
                )
        known.append((name, path))


def check_writable(name: str, path: str | Path) -> None:
    """ValueError, which calls it ``name``, if no file can be written to ``path``; asked before the work is done.

    A file that exists can be written to, and so can a FIFO and a device without blocks, like /dev/null.
    """
    if reason := _obstacle(path):
        raise ValueError(f"{name} is {str(path)!r}, but must be a file in a folder that can be written to: {reason}")


def is_stream(path: str | Path) -> bool:
    """If something is at ``path`` that is no regular file: it cannot be replaced, or read again."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def open_regular(path: str | Path) -> BufferedReader:
    """The file, to be read; OSError, which names it, also if it is a FIFO, which would be waited for, or a device."""
    if is_stream(path) and not os.path.isdir(path):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return open(path, "rb")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary name beside ``path``, with the same ending. At the end the file is renamed: nobody reads half a file.

    If writing fails, the temporary file is deleted and the file at ``path`` stays as it was. A link stays a link: the
    file that it leads to is replaced, and keeps its permissions. What is no regular file gets the content at the end.
    """
    if is_stream(path):
        with TemporaryDirectory() as folder, naming(path):
            temporary = Path(folder) / f"whole{Path(path).suffix}"
            yield temporary
            with temporary.open("rb") as source, open(path, "ab") as stream:
                shutil.copyfileobj(source, stream)
        return
    target = Path(os.path.realpath(path))
    temporary = _beside(target)
    try:
        with naming(path, temporary):
            yield temporary
            if target.exists():
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write(path: str | Path, content: bytes) -> None:
    """Writes a file as ``replacing`` does."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def naming(path: str | Path, temporary: Path | None = None) -> Iterator[None]:
    """Lets an OSError name ``path`` if it names no file, as that of a full disk, or the ``temporary`` one."""
    try:
        yield
    except BrokenPipeError:
        # Under its own class it would be taken for a closed standard output.
        raise OSError(f"{path} cannot be written to: its reader has closed it") from None
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None


def _obstacle(path: str | Path) -> str:
    """Why ``path`` cannot be written to, in words; "" if it can be."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = None
    except (OSError, ValueError) as error:  # a name that is too long, a circle of links, a zero byte
        return getattr(error, "strerror", None) or str(error)
    if not str(path):
        return "it is empty"
    if str(path).endswith(os.sep) or (mode is not None and stat.S_ISDIR(mode)):
        return "it is a folder"
    if mode is not None:
        if not os.access(path, os.W_OK):
            return "it is write-protected"
        if stat.S_ISCHR(mode) or stat.S_ISFIFO(mode):
            return ""
        if not stat.S_ISREG(mode):
            return "it is a socket or a disk"
        if _is_descriptor(path):
            return "it stands for a file that is open: give that file's own name"
    temporary = _beside(Path(os.path.realpath(path)))
    try:
        temporary.touch()
        temporary.unlink()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _is_descriptor(path: str | Path) -> bool:
    """If a regular file is named by way of /proc, as /dev/stdout does: its writers would be left with the old file."""
    at = os.path.abspath(path)
    while os.path.islink(at):
        folder = os.path.realpath(os.path.dirname(at))
        if folder.startswith("/proc/"):
            return True
        at = os.path.join(folder, os.readlink(at))
    return False


def _is_same_file(one: str | Path, other: str | Path) -> bool:
    """Under whatever spelling or link; devices take what everybody writes."""
    try:
        mode = os.stat(one).st_mode
        return not stat.S_ISCHR(mode) and os.path.samefile(one, other)
    except OSError:  # one of them does not exist
        return os.path.realpath(one) == os.path.realpath(other)


def _beside(target: Path) -> Path:
    """A hidden name in the same folder, which is not too long if the target's is not."""
    name = f".{os.getpid()}.{target.name}"
    if len(os.fsencode(name)) > LONGEST_NAME:
        ending = target.suffix if len(os.fsencode(target.suffix)) < 10 else ""
        name = f".{os.getpid()}.{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}{ending}"
    return target.with_name(name)
