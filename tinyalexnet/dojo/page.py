"""Text as lines with a style each, wrapped. Styles become colours in a terminal, and never carry meaning alone."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field

WIDTH = 88
"""Of a line."""

TOGETHER = re.compile(r"(?<![^\s(])`[^`\n]{,60}`|⟨[^⟩]*⟩|\([\d, ]*\)|\[[-\d. ]*\]")
"""What a line is not broken in: code, inner products, shapes, and rows of numbers."""

GLUE = "\0"


@dataclass
class Page:
    """Lines, each with the name of its style."""

    lines: list[tuple[str, str]] = field(default_factory=list)

    def line(self, text: str = "", style: str = "") -> Page:
        self.lines.append((style, text))
        return self

    def say(self, text: str, indent: int = 0, style: str = "", first: str = "") -> Page:
        """A paragraph, wrapped. ``first`` stands before its first line, in the indentation."""
        wrapped = textwrap.wrap(
            TOGETHER.sub(lambda match: match[0].replace(" ", GLUE), text),
            WIDTH,
            initial_indent=first.ljust(indent),
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in wrapped:
            self.line(line.replace(GLUE, " "), style)
        return self

    def block(self, lines: Iterable[str], indent: int = 4, style: str = "") -> Page:
        """Lines as they are."""
        for line in lines:
            self.line(" " * indent + line if line else "", style)
        return self

    def add(self, other: Page) -> Page:
        self.lines += other.lines
        return self

    @property
    def text(self) -> str:
        """All lines without their styles, and no space at their ends."""
        return "".join(f"{text.rstrip()}\n" for _, text in self.lines)
