"""What is said while something takes long; other libraries' warnings; quiet; characters that cannot be seen."""

from __future__ import annotations

import io
import itertools
import logging
import re
import sys
import time
import warnings
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from tinyalexnet import console as module
from tinyalexnet.console import Console, printable


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(module, "SILENCE", 0.05)


@pytest.fixture
def console():
    return Console(io.StringIO(), quiet=False)


@pytest.fixture
def quiet():
    return Console(io.StringIO(), quiet=True)


class Out(io.StringIO):
    """What was written, and how much of it a reader of the file would see."""

    flushed = ""

    def flush(self):
        self.flushed = self.getvalue()


def said_within(console, pattern, seconds=20.0):
    """Waits until what was said matches."""
    deadline = time.monotonic() + seconds
    while not re.search(pattern, console.err.getvalue()):
        assert time.monotonic() < deadline, console.err.getvalue()
        time.sleep(0.01)


def test_the_longer_it_waits_the_less_it_says(console, monkeypatch):
    """A night of ten hours, looked at each second: a line after ten seconds of silence or 1/200 of the time so far."""
    now, said = [0.0], []

    class Night:
        def wait(self, seconds):
            now[0] += seconds
            return now[0] > 36_000

    monkeypatch.setattr(module, "SILENCE", 10.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    console._spoken = 0.0

    def text():
        said.append(now[0])
        return "reading ..."

    console._waits.append(text)
    console._remind(text, Night())
    assert said[:200] == [10.0 * k for k in range(1, 201)]
    assert len(said) > 700
    assert all(0 <= after - before - max(10, after / 200) < 1 for before, after in itertools.pairwise(said))
    assert console.err.getvalue() == "reading ...\n" * len(said)


def test_a_part_of_a_line_is_seen_at_once():
    console = Console(Out(), quiet=False)
    console.line("compiling ...", end="")
    assert console.err.flushed == "compiling ..."


def test_a_short_wait_is_silent(console):
    with console.waiting("reading"):
        pass
    assert console.err.getvalue() == ""


def test_a_long_wait_is_told_again_and_again_and_by_the_inner_one_alone(impatient, console):
    with console.waiting("outside"):
        with console.waiting(lambda: "inside"):
            said_within(console, "inside\ninside\n")
        assert "outside" not in console.err.getvalue()
        said_within(console, r"outside \.\.\.\n")


def test_a_wait_with_an_open_line_says_the_line_again(impatient, console):
    console.line("compiling x ...", end="")
    with console.waiting("loading"):
        said_within(console, r"^compiling x \.\.\.\ncompiling x \.\.\.\ncompiling x")
    console.line(" 1.2 s")
    assert console.err.getvalue().endswith("\ncompiling x ... 1.2 s\n")
    console.line("compiling y ...", end="")
    console.end_line()
    console.end_line()
    assert console.err.getvalue().endswith("y ...\n")
    assert "loading" not in console.err.getvalue()


def test_quiet_says_nothing(impatient, quiet):
    with quiet.waiting("reading"), quiet.one_line_warnings(), quiet.bar("steps", 3) as (advance, _):
        advance("note")
        logging.getLogger("of a library").warning("noise")
        time.sleep(0.2)
    quiet.wrote("file")
    assert quiet.err.getvalue() == ""


@pytest.mark.filterwarnings("default")
def test_warnings_are_one_line_without_source(console, quiet):
    before, last = warnings.showwarning, logging.lastResort
    for one in (console, quiet):
        with one.one_line_warnings():
            warnings.warn("of a\n  library", UserWarning, stacklevel=1)
            logging.lastResort.handle(logging.makeLogRecord({"levelno": 30, "msg": "and %s", "args": ("noise",)}))
    assert console.err.getvalue() == "warning: of a library\nwarning: and noise\n"
    assert quiet.err.getvalue() == ""
    assert logging.lastResort is last
    assert warnings.showwarning is before


def test_without_a_terminal_a_bar_is_a_line_now_and_then(impatient, console):
    out = Out()
    with console.bar("training", 9, done=4) as (advance, write):
        said_within(console, "^training: 4 of 9\n")
        advance("loss 3")
        advance()
        write("a line", out)
        said_within(console, "training: 6 of 9, loss 3\n")
    assert out.getvalue() == out.flushed == "a line\n"


class Compiles:
    """A device that compiles two kernels."""

    names = ("conv", "pool")

    @contextmanager
    def report_compilation(self, on_start, on_end):
        self.compile = lambda: [(on_start(name), on_end(1.25)) for name in self.names]
        yield []


def test_kernels_that_are_compiled_have_a_line_each(console):
    device = Compiles()
    with console.compiling(device) as names:
        device.compile()
    assert names == ["conv", "pool"]
    assert console.err.getvalue() == (
        "kernels are compiled for the first time; the next start loads them\n"
        "compiling conv ... 1.2 s\ncompiling pool ... 1.2 s\n"
    )


def test_a_standard_error_that_is_full_ends_the_messages_and_not_the_run(console, monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    console.err = Full()
    console.line("one")
    assert console.quiet
    console.line("two")


def test_nothing_remains_of_a_bar():
    pytest.importorskip("tqdm")

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    console, out = Console(Terminal(), quiet=False), Out()
    with console.bar("steps", 2) as (advance, write):
        advance("note")
        write("a line", out)
        assert out.flushed == "a line\n"
    assert "steps" in console.err.getvalue()
    assert console.err.getvalue().rstrip(" ").endswith("\r")
    assert "\n" not in console.err.getvalue()


def test_without_tqdm_a_terminal_has_lines_and_the_name_of_the_extra(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setitem(sys.modules, "tqdm", None)
    console = Console(Terminal(), quiet=False)
    assert not console.shows_bars
    with console.bar("steps", 1) as (advance, _):
        advance()
    assert "pip install 'tinyalexnet[progress]'" in console.err.getvalue()


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
