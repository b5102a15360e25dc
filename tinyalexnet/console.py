"""Messages of a long run: plain lines on standard error, and a progress bar if that is a terminal."""

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO


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

    def line(self, text: str, end: str = "\n") -> None:
        if not self.quiet:
            print(text, end=end, file=self.err, flush=True)

    @contextmanager
    def bar(self, name: str, total: int, done: int = 0) -> Iterator[tuple[Advance, Write]]:
        """A bar of ``total`` steps, of which ``done`` are taken: a function that moves it on, and one that prints."""
        tqdm = self._tqdm()
        if tqdm is None:
            yield (lambda note="": None), (lambda line, file: print(line, file=file, flush=True))
            return
        with tqdm(desc=name, total=total, initial=done, unit="step", leave=False, file=self.err) as bar:

            def advance(note: str = "") -> None:
                if note:
                    bar.set_postfix_str(note, refresh=False)
                bar.update()

            def write(line: str, file: TextIO) -> None:
                bar.write(line, file=file)
                file.flush()

            yield advance, write

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
