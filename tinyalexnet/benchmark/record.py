"""The file of ``--matrix``: all its cells, and what they were measured with. A run goes on from it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from ..files import open_regular
from .cells import Cell
from .options import Options
from .report import circumstances, write_json
from .versus import Choice, Comparison

SHARED = ("backend", "algorithm", "precision", "threads", "seed", "no_graph", "rounds", "passes")
"""The options that all cells of a file have in common."""


class Record:
    """The cells, and the file that has them if there is one.

    Errors
        OSError if the file cannot be read or written; ValueError if it is none of a matrix, or one that was measured
        with other options, versions, processors or frameworks.
    """

    def __init__(self, options: Options, threads: int, resume: bool) -> None:
        self.path = options.json
        self._choices = {choice.name: choice for choice in options.versus}
        own = asdict(options) | {"threads": threads}
        self._options = {name: own[name] for name in SHARED} | {"versus": list(self._choices)}
        self.cells: dict[tuple[str, int], Cell] = {}
        self.left_out: dict[tuple[str, int], str] = {}
        if resume and self.path is not None:
            self._read(self.path)

    def add(self, cell: Cell) -> None:
        """Keeps a cell, and writes the file, all of it or nothing."""
        self.cells[cell.variant, cell.batch_size] = cell
        self._write()

    def leave_out(self, variant: str, batch_size: int, reason: str) -> None:
        """Keeps why a cell is not measured, and writes the file."""
        self.left_out[variant, batch_size] = reason
        self._write()

    def check_version(self, label: str, version: str) -> None:
        """ValueError if a cell was measured with another version of a framework."""
        for cell in self.cells.values():
            known = cell.versus[label].version
            if known != version:
                raise ValueError(
                    f"json is {self.path!r}, whose cells have {known:.200}, but now it is {version}: give another file"
                )

    def _as_json(self) -> dict[str, Any]:
        left_out = [
            {"variant": variant, "batch_size": batch_size, "reason": reason}
            for (variant, batch_size), reason in self.left_out.items()
        ]
        cells = [cell.as_json() for cell in self.cells.values()]
        return {"options": self._options, **circumstances(), "cells": cells, "left_out": left_out}

    def _write(self) -> None:
        if self.path is not None:
            write_json(self.path, self._as_json())

    def _read(self, path: str) -> None:
        try:
            with open_regular(path) as file:
                stored = json.load(file)
        except FileNotFoundError:
            return
        except (ValueError, RecursionError):
            stored = None
        no_matrix = f"json is {path!r}, but must be a file of --matrix to go on from"
        now = json.loads(json.dumps(self._as_json()))
        for part, names in {
            "options": self._options,
            "versions": now["versions"],
            "cpu": ("name", "model", "cores"),
        }.items():
            before = stored.get(part) if isinstance(stored, dict) else None
            if not isinstance(before, dict):
                raise ValueError(no_matrix)
            for name in names:
                if before.get(name) != now[part][name]:
                    raise ValueError(
                        f"json is {path!r}, where {name} of {part} is {before.get(name)!r:.200}, but now it is "
                        f"{now[part][name]!r}: give another file"
                    )
        cells = stored.get("cells")
        if not isinstance(cells, list) or not all(map(self._is_cell, cells)):
            raise ValueError(no_matrix)
        self.cells = {(found["variant"], found["batch_size"]): _cell(found) for found in cells}

    def _is_cell(self, stored: Any) -> bool:
        match stored:
            case {"variant": str(), "batch_size": int(), "date": str(), "seconds": seconds, "versus": versus}:
                return (
                    self._is_timed(seconds, None, _is_seconds)
                    and isinstance(versus, dict)
                    and list(versus) == list(self._choices)
                    and all(self._is_comparison(versus[name], choice) for name, choice in self._choices.items())
                )
        return False

    def _is_comparison(self, stored: Any, choice: Choice) -> bool:
        match stored:
            case {
                "framework": choice.framework,
                "version": str(),
                "seconds": seconds,
                "output_difference": float(),
                "gradient_differences": dict() as differences,
                "has_dropout": bool(),
            }:
                return self._is_timed(seconds, choice, _is_pair) and all(
                    isinstance(value, float) for value in differences.values()
                )
        return False

    def _is_timed(self, stored: Any, choice: Choice | None, is_one: Any) -> bool:
        """If ``stored`` has for each pass, of those that ``choice`` computes, a time for each round."""
        passes = [name for name in self._options["passes"] if choice is None or choice.computes(name)]
        return (
            isinstance(stored, dict)
            and list(stored) == passes
            and all(
                isinstance(times, list) and len(times) == self._options["rounds"] and all(map(is_one, times))
                for times in stored.values()
            )
        )


def _is_seconds(stored: Any) -> bool:
    return isinstance(stored, float) and 0 < stored < math.inf


def _is_pair(stored: Any) -> bool:
    return isinstance(stored, list) and len(stored) == 2 and all(map(_is_seconds, stored))


def _cell(stored: dict[str, Any]) -> Cell:
    """The cell that ``Cell.as_json`` has made plain."""
    versus = {}
    for label, one in stored["versus"].items():
        fields = {name: value for name, value in one.items() if name in Comparison.__dataclass_fields__}
        seconds = {name: [(ours, theirs) for ours, theirs in pairs] for name, pairs in one["seconds"].items()}
        versus[label] = Comparison(**fields | {"seconds": seconds})
    return Cell(stored["variant"], stored["batch_size"], stored["date"], stored["seconds"], versus)
