"""The cells of ``--matrix``, one for each variant and batch size, as text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..console import printable
from .versus import Comparison

FIRST_COLUMNS = f"{'variant':<15} {'batch':>5}  {'pass':<16} {'s / step':>9}"


@dataclass
class Cell:
    """A variant at a batch size: when it was measured, this package's seconds of a step by pass, one for each round,
    and each other framework under the name of its ``Choice``."""

    variant: str
    batch_size: int
    date: str
    seconds: dict[str, list[float]]
    versus: dict[str, Comparison]

    def lines(self) -> list[str]:
        """A row of the table for each pass."""
        lines = []
        for name, seconds in self.seconds.items():
            ratios = "".join(f"  {_ratio(one, name):<{width(label)}}" for label, one in self.versus.items())
            line = f"{self.variant:<15} {self.batch_size:>5}  {name:<16} {np.median(seconds):9.4g}{ratios}"
            lines.append(line.rstrip())
        return lines

    def as_json(self) -> dict[str, Any]:
        """The cell as plain data, with the ratios."""
        return asdict(self) | {"versus": {name: one.as_json() for name, one in self.versus.items()}}

    @property
    def at(self) -> tuple[str, int]:
        """Its place in the matrix."""
        return self.variant, self.batch_size


def width(label: str) -> int:
    """Characters of a framework's column, which has a ratio and two quartiles."""
    return max(18, len(label))


def header(labels: list[str]) -> str:
    """The first line of the table."""
    return (FIRST_COLUMNS + "".join(f"  {label:<{width(label)}}" for label in labels)).rstrip()


def row_without(variant: str, batch_size: int, reason: str) -> str:
    """The row of a cell that is not measured."""
    return f"{variant:<15} {batch_size:>5}  left out: {reason}"


def summary(cells: list[Cell]) -> list[str]:
    """For each framework and pass: in how many cells this package is ahead, and where it is least so.

    It is ahead if the lower quartile of the ratios is above 1, and behind if the upper one is below 1.
    """
    lines = []
    for label in dict.fromkeys(label for cell in cells for label in cell.versus):
        found = [(cell, cell.versus[label]) for cell in cells if label in cell.versus]
        for name in dict.fromkeys(name for _, one in found for name in one.seconds):
            ratios = {cell.at: one.ratio(name) for cell, one in found}
            ahead = sum(low > 1 for low, _, _ in ratios.values())
            behind = sum(high < 1 for _, _, high in ratios.values())
            (variant, batch_size), (_, least, _) = min(ratios.items(), key=lambda pair: pair[1][1])
            version = printable(found[0][1].version)
            lines.append(
                f"{version}, {name}: ahead in {ahead} of {len(ratios)} cells, behind in {behind}; "
                f"least {least:.2f} times as fast ({variant}, batch {batch_size})"
            )
        lines.append(_differences(found))
    return lines


def _differences(found: list[tuple[Cell, Comparison]]) -> str:
    """The largest of all cells."""
    outputs = [(one.output_difference, cell) for cell, one in found]
    gradients = [(max(one.gradient_differences.values()), cell) for cell, one in found if one.gradient_differences]
    texts = []
    for name, differences in {"output": outputs, "gradients": gradients}.items():
        if differences:
            largest, cell = max(differences, key=lambda pair: pair[0])
            texts.append(f"of the {name} at most {largest:.1e} ({cell.variant}, batch {cell.batch_size})")
    return f"relative difference {', '.join(texts)}"


def _ratio(comparison: Comparison, name: str) -> str:
    if name not in comparison.seconds:
        return "-"
    low, median, high = comparison.ratio(name)
    return f"{median:.2f} ({low:.2f} {high:.2f})"
