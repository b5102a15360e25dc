"""Pages on standard output: with colours if it is a terminal and rich is installed, else as they are."""

from __future__ import annotations

import io
from typing import Any, TextIO

from .page import Page

COLOURS = {
    "head": "bold",
    "key": "bold",
    "code": "cyan",
    "ok": "green",
    "wrong": "bold red",
    "skipped": "dim",
    "later": "dim",
}

MARKS = ("ok", "wrong", "skipped", "later")
"""Styles of the word at the begin of a line, and not of the rest."""

MARK_WIDTH = 8


class Printer:
    """Prints pages to a file."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        if isinstance(out, io.TextIOWrapper):
            out.reconfigure(errors="replace")  # a terminal that has no ⟨ shows a question mark
        self.console = _console(out) if out.isatty() else None

    def show(self, page: Page) -> None:
        if self.console is None:
            self.out.write(page.text)
            self.out.flush()
            return
        from rich.text import Text

        for style, line in page.lines:
            text = Text(line, style="" if style in MARKS else COLOURS.get(style, ""))
            if style in MARKS:
                text.stylize(COLOURS[style], 0, MARK_WIDTH)
            self.console.print(text, soft_wrap=True)


def _console(out: TextIO) -> Any:
    """rich's console, which knows NO_COLOR; None if rich is not installed."""
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=out)
