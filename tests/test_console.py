"""What is printed: every character of a name that is no character to be seen becomes an escape."""

from __future__ import annotations

import pytest

from tinyalexnet.console import printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("a b\\n $x_1$", "a b\\n $x_1$"),
        ("grün 犬 \N{GRINNING FACE} no\xa0break\u3000wide", "grün 犬 \N{GRINNING FACE} no\xa0break\u3000wide"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[2J\x7f\x9b", "\\x1b[2J\\x7f\\x9b"),
        ("caf\udce9", "caf\\udce9"),
        ("left\u202eright\u2028\u2029\U000e0001", "left\\u202eright\\u2028\\u2029\\U000e0001"),
    ],
)
def test_printable(text, expected):
    assert printable(text) == expected
    assert len(expected.splitlines()) <= 1
