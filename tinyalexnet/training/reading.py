"""The bytes of a data file, plain or gzip, read in order; an error names the file and the byte.

Positions are those of the unpacked data.
"""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from ..files import open_regular

PIECE = 1 << 16
"""Bytes that are read at a time."""


class Source:
    """The unpacked bytes of a file; ``at`` counts those that have been read."""

    def __init__(self, path: Path, stream: BufferedIOBase) -> None:
        self.path = path
        self.at = 0
        self._stream = stream

    def take(self, count: int, what: str) -> bytearray:
        """Exactly the next ``count`` bytes; ValueError, which calls them ``what``, if the file has fewer."""
        data = self.rest(count)
        if len(data) < count:
            raise wrong(self.path, self.at, "its end", f"{count - len(data)} more bytes for {what}")
        return data

    def rest(self, most: int) -> bytearray:
        """The next ``most`` bytes, or as many as there are.

        They are read in pieces: ``most`` may come from a damaged header, so it is never allocated in advance.
        """
        data = bytearray()
        while len(data) < most:
            piece = self._piece(min(most - len(data), PIECE))
            if not piece:
                break
            data += piece
        return data

    def end(self) -> None:
        """ValueError if the file goes on. This also checks a gzip's checksum, which stands after its data."""
        at = self.at
        if self._piece(1):
            raise wrong(self.path, at, "more bytes", "its end")

    def _piece(self, most: int) -> bytes:
        try:
            # read1 and not read, which would lose the bytes before an error.
            piece = self._stream.read1(most)
        except (EOFError, OSError, zlib.error) as error:
            raise wrong(self.path, self.at, f"an error ({error})", "a file that can be read, whole") from None
        self.at += len(piece)
        return piece


@contextmanager
def reading(path: Path) -> Iterator[Source]:
    """Opens a file, which is gzip if it begins as gzip does; its name does not matter."""
    try:
        with open_regular(path) as file:
            packed = file.peek(2)[:2] == b"\x1f\x8b"
            with gzip.GzipFile(fileobj=file) if packed else nullcontext(file) as stream:
                yield Source(path, stream)
    except OSError as error:
        raise wrong(path, 0, f"an error ({error.strerror})", "a file that can be read") from None


def as_labels(values: np.ndarray, path: Path, first: int, step: int) -> np.ndarray:
    """Labels of ten classes, as intp; ValueError if one is above 9.

    In the file the first label is byte ``first``, and the next ones follow every ``step`` bytes.
    """
    bad = np.flatnonzero(values > 9)
    if bad.size:
        raise wrong(path, first + step * int(bad[0]), f"the label {values[bad[0]]}", "0 to 9")
    return values.astype(np.intp)


def wrong(path: Path, at: int, found: object, expected: object) -> ValueError:
    """The error for a file that has ``found`` at a byte, and not ``expected``."""
    return ValueError(f"{str(path)!r} has {found} at byte {at}, but must have {expected}")
