"""Messages of a long run: plain lines on standard error, and a progress bar if that is a terminal."""

import logging
import threading
import time
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from . import interrupts

SILENCE = 2.0
"""Seconds without a word after which it is said what is waited for. In a long run also 1/200 of its time, so that a
night's log stays short."""

FIRST_TIME = "kernels are compiled for the first time; the next start loads them"


def printable(text: str) -> str:
    """``text`` for a line of output: what is no character to be seen, or no space, becomes its Python escape.

    A terminal would execute control characters in a file's name, and no encoding has the bytes of a name that are no
    UTF-8. Other characters that an output cannot encode are left to ``command.exit_code``.
    """
    return "".join(
        c if c.isprintable() or unicodedata.category(c) == "Zs" else c.encode("unicode_escape").decode() for c in text
    )


class Advance(Protocol):
    """Moves a bar on by a step; ``note`` is shown after the bar."""

    def __call__(self, note: str = "") -> object: ...


class Write(Protocol):
    """Prints a line to ``file`` without disturbing a bar."""

    def __call__(self, line: str, file: TextIO) -> object: ...


class Console:
    """Standard error, or nothing if the user asked for quiet."""

    def __init__(self, err: TextIO, quiet: bool) -> None:
        self.err = err
        self.quiet = quiet
        self._lock = threading.RLock()
        self._spoken = time.monotonic()  # when something was said last
        self._open = ""  # the line that was said last, if it has not ended
        self._waits: list[Callable[[], str]] = []

    def line(self, text: str, end: str = "\n") -> None:
        if self.quiet:
            return
        with self._lock:
            self._spoken, self._open = time.monotonic(), "" if end == "\n" else text
            try:
                print(text, end=end, file=self.err, flush=True)
            except OSError:  # nobody can be told that nobody can be told
                self.quiet = True

    def end_line(self) -> None:
        """Ends a line that is still open."""
        if self._open:
            self.line("")

    def wrote(self, path: str) -> None:
        """Says that a file is written."""
        self.line(f"wrote {path}")

    @contextmanager
    def waiting(self, what: str | Callable[[], str]) -> Iterator[None]:
        """Says what is waited for, as often as nothing else was said for SILENCE seconds.

        Inside another ``waiting`` only the inner one speaks.
        """
        if self.quiet:
            yield
            return
        text = what if callable(what) else lambda: f"{what} ..."
        done = threading.Event()
        self._waits.append(text)
        thread = threading.Thread(target=self._remind, args=(text, done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            self._waits.remove(text)
            thread.join()

    def _remind(self, text: Callable[[], str], done: threading.Event) -> None:
        begin = time.monotonic()
        while not done.wait(SILENCE / 10):
            with self._lock:
                now = time.monotonic()
                if now - self._spoken < max(SILENCE, (now - begin) / 200) or self._waits[-1:] != [text]:
                    continue
                if self._open:
                    self.line(f"\n{self._open.strip()}", end="")
                else:
                    self.line(text())

    @contextmanager
    def compiling(self, hardware: Any) -> Iterator[list[str]]:
        """A line for each kernel that a device compiles meanwhile; the list has their names in the end."""

        def begins(name: str) -> None:
            interrupts.check()  # while it compiles, Numba may lose what Ctrl-C raises
            if not names:
                self.line(FIRST_TIME)
            names.append(name)
            self.line(f"compiling {name} ...", end="")

        names: list[str] = []
        with (
            hardware.report_compilation(begins, lambda seconds: self.line(f" {seconds:.1f} s")),
            self.waiting("loading kernels"),
        ):
            yield names
        interrupts.check()

    def compile_ahead(self, hardware: Any, run: Callable[[], object], least: int = 2) -> list[str]:
        """A line for each kernel that ``Device.compile_ahead`` compiles for ``run``; returns their names."""
        names: list[str] = []
        found: list[bool] = []

        def begins() -> None:
            found.append(True)
            self.line(FIRST_TIME)

        def ends(name: str, seconds: float) -> None:
            names.append(name)
            self.line(f"compiled {name}: {seconds:.1f} s")

        with self.waiting(lambda: "compiling ..." if found else "looking for kernels to compile ..."):
            hardware.compile_ahead(run, begins, ends, least)
        interrupts.check()
        return names

    @contextmanager
    def bar(self, name: str, total: int, done: int = 0) -> Iterator[tuple[Advance, Write]]:
        """A bar of ``total`` steps, of which ``done`` are taken: a function that moves it on, and one that prints.

        Without a terminal, or without tqdm, which draws the bar, there is a line now and then.
        """
        tqdm = self._tqdm()
        if tqdm is None:
            with self._counting(name, total, done) as functions:
                yield functions
            return
        with tqdm(desc=name, total=total, initial=done, unit="step", leave=False, file=self.err) as bar:

            def advance(note: str = "") -> None:
                interrupts.check()
                if note:
                    bar.set_postfix_str(note, refresh=False)
                bar.update()

            def write(line: str, file: TextIO) -> None:
                bar.write(line, file=file)
                file.flush()

            yield advance, write

    @contextmanager
    def _counting(self, name: str, total: int, done: int) -> Iterator[tuple[Advance, Write]]:
        """A bar in words."""
        at, last = done, ""

        def advance(note: str = "") -> None:
            nonlocal at, last
            interrupts.check()
            at, last = at + 1, note or last

        def write(line: str, file: TextIO) -> None:
            print(line, file=file, flush=True)
            self._spoken = time.monotonic()

        with self.waiting(lambda: f"{name}: {at} of {total}{last and f', {last}'}"):
            yield advance, write

    @contextmanager
    def one_line_warnings(self) -> Iterator[None]:
        """Other libraries' warnings and logs become one line each, without lines of source; if quiet, none."""

        def show(message: Warning | str, *_: object) -> None:
            self.line(f"warning: {' '.join(str(message).split())}")

        class Lines(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                show(record.getMessage())

        before = logging.lastResort
        with warnings.catch_warnings():
            warnings.showwarning = show  # type: ignore[assignment]
            logging.lastResort = Lines(logging.WARNING)
            try:
                yield
            finally:
                logging.lastResort = before

    @property
    def shows_bars(self) -> bool:
        """If standard error is a terminal and tqdm, which draws the bar, is installed."""
        return self._tqdm() is not None

    def _tqdm(self) -> Any:
        if self.quiet or not self.err.isatty():
            return None
        try:
            from tqdm import tqdm
        except ImportError:
            self.line("for a progress bar: pip install 'tinyalexnet[progress]'")
            return None
        return tqdm
