"""The names of classes, from a text with one a line."""

import codecs
import re
from pathlib import Path

MOST_BYTES = 1 << 24
"""Limit for the file; the names of ImageNet's thousand classes have 20,000."""


def read_labels(path: str | Path, count: int) -> list[str]:
    """The names of ``count`` classes, one a line; empty lines at the end do not count.

    The text is UTF-8, or UTF-16 with a byte order mark, as editors write it; its lines may end as on any system.

    Errors
        OSError if the file cannot be read; ValueError if it is no such text or has another number of lines.
    """
    with open(path, "rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"labels is {str(path)!r}, but must be a file of at most {MOST_BYTES} bytes")
    names = [line.strip() for line in re.split("\r\n|\r|\n", _decoded(path, content))]
    while names and not names[-1]:
        names.pop()
    if len(names) != count:
        raise ValueError(f"labels is {str(path)!r} with {len(names)} lines, but must have {count}, one for each class")
    return names


def _decoded(path: str | Path, content: bytes) -> str:
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        reason = f"byte {error.start}, in line {line}, is {content[error.start]}"
        raise ValueError(f"labels is {str(path)!r}, but must be text in UTF-8: {reason}; save it as UTF-8") from None
    if "\0" in text:
        # Bytes of 0 are right in UTF-8, and every other byte is 0 in UTF-16.
        raise ValueError(f"labels is {str(path)!r}, but must be text in UTF-8: it has bytes of 0; save it as UTF-8")
    return text
