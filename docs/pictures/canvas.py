"""A small helper that writes SVG as text: cells with numbers, arrows, labels.

A picture is 560 units wide and shown at 640 pixels or less, so text of 16 units is still read on a phone. It has a
background of its own: a page may be dark while the reader's system is light, and the picture only knows the system.

Colours say which way an array goes, and so does its name: blue for the forward (x, out), orange for gradients (d...),
grey for weights. Padding and other zeros that nobody stored have dashed borders.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from html import escape

import numpy as np

WIDTH = 560
SHOWN_WIDTH = 640
MARGIN = 16

STYLE = """
text { font-family: Arial, Helvetica, "Liberation Sans", sans-serif; fill: #1f2328; }
.mono { font-family: Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.bold { font-weight: 700; }
.soft { fill: #59636e; }
.back { fill: #ffffff; stroke: #d1d9e0; }
.plain { fill: #ffffff; stroke: #59636e; }
.forward { fill: #d3e6fa; stroke: #0550ae; }
.gradient { fill: #ffe2bd; stroke: #953800; }
.weight { fill: #e6e9ed; stroke: #59636e; }
.ghost { fill: #ffffff; stroke: #6e7781; stroke-dasharray: 3 3; }
.hatched { fill: url(#hatch); stroke: none; }
.hatch-line { stroke: #59636e; stroke-opacity: 0.65; stroke-width: 1.3; }
.line { fill: none; stroke-width: 2; }
.plain-line { stroke: #59636e; }
.thin-line { stroke: #59636e; stroke-width: 0.5; }
.forward-line { stroke: #0550ae; }
.gradient-line { stroke: #953800; }
.frame { fill: none; stroke: #1f2328; stroke-width: 3; }
.forward-frame { fill: none; stroke: #0550ae; stroke-width: 3; }
.gradient-frame { fill: none; stroke: #953800; stroke-width: 3; }
.dash { stroke-dasharray: 7 4; }
.plain-tip { fill: #59636e; }
.forward-tip, text.forward { fill: #0550ae; stroke: none; }
.gradient-tip, text.gradient { fill: #953800; stroke: none; }
text.halo { stroke: #ffffff; stroke-width: 4; paint-order: stroke; stroke-linejoin: round; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .soft { fill: #9da7b1; }
  .back { fill: #0d1117; stroke: #30363d; }
  .plain { fill: #0d1117; stroke: #9da7b1; }
  .forward { fill: #0f3358; stroke: #79c0ff; }
  .gradient { fill: #53300d; stroke: #ffa657; }
  .weight { fill: #2b323b; stroke: #9da7b1; }
  .ghost { fill: #0d1117; stroke: #8b949e; }
  .hatch-line { stroke: #9da7b1; }
  .plain-line { stroke: #9da7b1; }
  .thin-line { stroke: #9da7b1; }
  .forward-line { stroke: #79c0ff; }
  .gradient-line { stroke: #ffa657; }
  .frame { stroke: #e6edf3; }
  .forward-frame { stroke: #79c0ff; }
  .gradient-frame { stroke: #ffa657; }
  .plain-tip { fill: #9da7b1; }
  .forward-tip, text.forward { fill: #79c0ff; }
  .gradient-tip, text.gradient { fill: #ffa657; }
  text.halo { stroke: #0d1117; }
}
""".strip()

Kind = str | Callable[[int, int], str]
"""The class of all cells of an array, or of the cell in a row and a column."""


def number(value: object) -> str:
    """A number as it stands in a cell: no needless digits, and a minus sign as wide as a plus."""
    if isinstance(value, Fraction) and value.denominator > 1:
        return f"{value.numerator}/{value.denominator}".replace("-", "−")
    return f"{float(value) + 0.0:.4g}".replace("-", "−")  # type: ignore[arg-type]


def signed(value: object) -> str:
    """A number as a factor or a later summand: in brackets if it is negative."""
    return f"({number(value)})" if float(value) < 0 else number(value)  # type: ignore[arg-type]


def total(values: Sequence[object]) -> str:
    """The values as a sum, such as 3 + 1 − 4."""
    parts = [number(values[0])]
    for value in values[1:]:
        parts.append(f"− {number(-value)}" if float(value) < 0 else f"+ {number(value)}")  # type: ignore
    return " ".join(parts)


def coordinate(value: float) -> str:
    return f"{round(value, 2):g}"


class Canvas:
    """The elements of one picture, in the order of drawing."""

    def __init__(self, title: str, description: str) -> None:
        self.title, self.description = title, description
        self.body: list[str] = []
        self.names: set[str] = set()
        self.line(MARGIN, 32, title, size=19, kind="bold")

    def line(
        self, x: float, y: float, text: str, size: float = 16, kind: str = "", anchor: str = "start", angle: float = 0
    ) -> None:
        """One line of text; y is its baseline."""
        place = f'x="{coordinate(x)}" y="{coordinate(y)}" font-size="{coordinate(size)}"'
        place += f' class="{kind}"' if kind else ""
        place += f' text-anchor="{anchor}"' if anchor != "start" else ""
        place += f' transform="rotate({coordinate(angle)} {coordinate(x)} {coordinate(y)})"' if angle else ""
        self.body.append(f"<text {place}>{escape(text, quote=False)}</text>")

    def lines(
        self, x: float, y: float, texts: Sequence[str], size: float = 16, kind: str = "", anchor: str = "start"
    ) -> None:
        for i, text in enumerate(texts):
            self.line(x, y + i * size * 1.35, text, size, kind, anchor)

    def box(self, x: float, y: float, width: float, height: float, kind: str, radius: float = 0) -> None:
        rounded = f' rx="{coordinate(radius)}"' if radius else ""
        size = f'x="{coordinate(x)}" y="{coordinate(y)}" width="{coordinate(width)}" height="{coordinate(height)}"'
        self.body.append(f'<rect {size}{rounded} class="{kind}"/>')

    def cells(
        self, x: float, y: float, array: np.ndarray, name: str = "", cell: float = 36, kind: Kind = "plain",
        wide: float = 1,
    ) -> None:  # fmt: skip
        """A matrix as cells with its numbers, ``wide`` times as wide as high.

        A ``name`` lets tests read the numbers back, and must be its own.
        """
        assert name not in self.names, name
        rows, columns = array.shape
        self.body.append(f'<g data-array="{name}" data-columns="{columns}">' if name else "<g>")
        self.names |= {name} - {""}
        size = cell * 0.45
        for row in range(rows):
            for column in range(columns):
                classes = kind if isinstance(kind, str) else kind(row, column)
                base, _, extra = classes.partition(" ")
                left, top, width = x + column * cell * wide, y + row * cell, cell * wide
                self.box(left, top, width, cell, base)
                if extra == "hatch":
                    self.box(left, top, width, cell, "hatched")
                text = number(array[row, column])
                style = ("mono soft" if base == "ghost" else "mono") + (" halo" if extra == "hatch" else "")
                small = min(size, 1.45 * width / len(text))
                self.line(left + width / 2, top + cell / 2 + small * 0.36, text, small, style, "middle")
        self.body.append("</g>")

    def frame(
        self, x: float, y: float, row: int, column: int, rows: int, columns: int, cell: float, kind: str = "frame",
        inset: float = 0, wide: float = 1,
    ) -> None:  # fmt: skip
        """A thick border around some cells of a matrix whose corner is at (x, y)."""
        left, top = x + column * cell * wide + inset, y + row * cell + inset
        self.box(left, top, columns * cell * wide - 2 * inset, rows * cell - 2 * inset, kind, radius=3)

    def arrow(self, *points: tuple[float, float], kind: str = "plain", dash: bool = False, tip: bool = True) -> None:
        """A line through the points, with a tip at the last one."""
        path = "M" + " L".join(f"{coordinate(x)} {coordinate(y)}" for x, y in points)
        self.path(path, kind, dash, tip)

    def path(self, path: str, kind: str = "plain", dash: bool = False, tip: bool = True) -> None:
        end = f' marker-end="url(#{kind}-tip)"' if tip else ""
        self.body.append(f'<path d="{path}" class="line {kind}-line{" dash" if dash else ""}"{end}/>')

    def svg(self, height: float) -> str:
        """The whole file."""
        tips = "".join(
            f'<marker id="{kind}-tip" viewBox="0 0 10 10" refX="8.5" refY="5" markerWidth="4.5" markerHeight="4.5" '
            f'orient="auto"><path d="M0 0 L10 5 L0 10 z" class="{kind}-tip"/></marker>'
            for kind in ("plain", "forward", "gradient")
        )
        hatch = (
            '<pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            '<line x1="0" y1="0" x2="0" y2="7" class="hatch-line"/></pattern>'
        )
        shown = f'width="{SHOWN_WIDTH}" height="{coordinate(height * SHOWN_WIDTH / WIDTH)}"'
        head = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {coordinate(height)}" {shown} role="img" '
            'aria-labelledby="title desc">',
            f'<title id="title">{escape(self.title, quote=False)}</title>',
            f'<desc id="desc">{escape(self.description, quote=False)}</desc>',
            f"<style>\n{STYLE}\n</style>",
            f"<defs>{tips}{hatch}</defs>",
            f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{coordinate(height - 1)}" rx="8" class="back"/>',
        ]
        return "\n".join([*head, *self.body, "</svg>"]) + "\n"


def read_arrays(svg: str) -> dict[str, list[list[str]]]:
    """The numbers in the cells of each named array of a picture, as they stand there."""
    found = {}
    for name, columns, body in re.findall(r'<g data-array="([^"]+)" data-columns="(\d+)">(.*?)</g>', svg, re.DOTALL):
        texts = re.findall(r"<text [^>]*>([^<]*)</text>", body)
        width = int(columns)
        found[name] = [texts[i : i + width] for i in range(0, len(texts), width)]
    return found
