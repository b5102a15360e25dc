"""Names of classes from a text, as people's editors write it; other files are refused in one sentence."""

from __future__ import annotations

import codecs
import tracemalloc

import pytest

from tinyalexnet.weights import labels
from tinyalexnet.weights.labels import read_labels


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb \r\n", ["a", "b"]),
        (b"a\rb\r", ["a", "b"]),
        (b"a\n\nc\n\n", ["a", "", "c"]),
        (b"a\r\n\r\n  \r\n", ["a"]),
        ("grün\n".encode(), ["grün"]),
        ("grün\nblau\n".encode("utf-8-sig"), ["grün", "blau"]),
        ("grün\r\nblau\r\n".encode("utf-16"), ["grün", "blau"]),
        (codecs.BOM_UTF16_BE + "grün\n犬".encode("utf-16-be"), ["grün", "犬"]),
        ("a\x0bb\u2028c\x85\nd".encode(), ["a\x0bb\u2028c", "d"]),  # not the end of a line
    ],
)
def test_labels(tmp_path, content, expected):
    path = tmp_path / "names"
    path.write_bytes(content)
    assert read_labels(path, len(expected)) == expected
    with pytest.raises(
        ValueError, match=f"names' with {len(expected)} lines, but must have 9, one for each class"
    ) as caught:
        read_labels(path, 9)
    assert str(caught.value).startswith(f"labels is {str(path)!r} ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("rot\ngrün".encode("latin-1"), "but must be text in UTF-8: byte 6, in line 2, is 252; save it as UTF-8"),
        ("\nü".encode("latin-1"), "but must be text in UTF-8: byte 1, in line 2, is 252; save it as UTF-8"),
        ("rot\nblau".encode("utf-16-le"), "but must be text in UTF-8: it has bytes of 0; save it as UTF-8"),
        (codecs.BOM_UTF16_LE + b"a", "but must be text in UTF-8: byte 2, in line 1, is 97; save it as UTF-8"),
        (b"", "with 0 lines, but must have 2, one for each class"),
        (b"\n\n", "with 0 lines, but must have 2, one for each class"),
    ],
)
def test_what_is_no_such_text_is_refused(tmp_path, content, message):
    path = tmp_path / "names"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_labels(path, 2)


def test_a_file_without_end_is_not_read_to_the_end(monkeypatch):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="labels is '/dev/zero', but must be a file of at most 16777216 bytes"):
            read_labels("/dev/zero", 2)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_the_longest_file_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(labels, "MOST_BYTES", 3)
    (tmp_path / "names").write_bytes(b"a\nb")
    assert read_labels(tmp_path / "names", 2) == ["a", "b"]
    (tmp_path / "names").write_bytes(b"a\nbc")
    with pytest.raises(ValueError, match="but must be a file of at most 3 bytes"):
        read_labels(tmp_path / "names", 2)
