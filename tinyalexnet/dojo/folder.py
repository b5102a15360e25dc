"""A learner's folder: a file for each exercise, and ``.dojo.json`` with what is solved and the hints that were read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ..files import replacing, write
from .exercise import Exercise
from .path import EXERCISES, PATH, file_name

STATE = ".dojo.json"


def home() -> Path:
    """The folder if none is named: this one if it is a learner's, else "dojo"."""
    return Path() if Path(STATE).is_file() else Path("dojo")


def exercise_of(path: Path) -> Exercise | None:
    """The exercise that a file is of, by its name, with a number in front of it or without."""
    match = re.fullmatch(r"(?:\d+_)?(\w+)\.py", path.name)
    return EXERCISES.get(match[1]) if match else None


class Folder:
    """The folder at ``path``, which need not be there yet."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def exists(self) -> bool:
        return (self.path / STATE).is_file()

    def write(self) -> list[Path]:
        """Writes the files that are missing, and returns them."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise ValueError(f"FOLDER is {str(self.path)!r}, but must not be a file") from None
        written = []
        for exercise in PATH:
            file = self.file(exercise)
            if not file.exists():
                write(file, exercise.stub.read_bytes())
                written.append(file)
        if not self.exists:
            self._save({})
        return written

    def file(self, exercise: Exercise) -> Path:
        """The file of an exercise. If the path has grown since it was written, its number may be another."""
        name = file_name(exercise)
        found = sorted(file for file in self.path.glob(f"*{exercise.name}.py") if exercise_of(file) == exercise)
        return self.path / name if self.path / name in found or not found else found[0]

    def untouched(self, exercise: Exercise) -> bool:
        """If the file is still as it was written."""
        return self.file(exercise).read_bytes() == exercise.stub.read_bytes()

    def solved(self) -> list[Exercise]:
        """The exercises that have passed a check, in the order of the path."""
        names = self._state()["solved"]
        return [exercise for exercise in PATH if exercise.name in names]

    def current(self) -> Exercise | None:
        """The first exercise that is not solved; None if all are."""
        solved = self.solved()
        return next((exercise for exercise in PATH if exercise not in solved), None)

    def note_solved(self, exercise: Exercise) -> None:
        state = self._state()
        if exercise.name not in state["solved"]:
            self._save({**state, "solved": [*state["solved"], exercise.name]})

    def next_hint(self, exercise: Exercise) -> int:
        """The number of the hint to show, from 1, and notes it: the next one each time, then the last one again."""
        state = self._state()
        number: int = min(state["hints"].get(exercise.name, 0) + 1, len(exercise.hints))
        self._save({**state, "hints": {**state["hints"], exercise.name: number}})
        return number

    def reset(self, exercise: Exercise) -> Path | None:
        """Writes the file of an exercise anew, and returns where the old one is kept; None if there was none."""
        file = self.file(exercise)
        kept = None
        if file.exists():
            names = (file.with_name(f"{file.stem}.old{number}.py") for number in range(1, 1000000))
            kept = next(name for name in names if not name.exists())
            file.rename(kept)
        write(file, exercise.stub.read_bytes())
        return kept

    def _state(self) -> dict[str, Any]:
        """The solved exercises, and the number of hints that were read of each."""
        file = self.path / STATE
        try:
            state = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
            solved, hints = list(map(str, state.get("solved", []))), dict(state.get("hints", {}))
            return {"solved": solved, "hints": {str(name): int(number) for name, number in hints.items()}}
        except (ValueError, TypeError, AttributeError):
            raise ValueError(
                f"{str(file)!r} cannot be read: delete it to go on. Your exercises stay, and each counts as solved "
                "once it is checked again"
            ) from None

    def _save(self, state: dict[str, Any]) -> None:
        with replacing(self.path / STATE) as temporary:
            temporary.write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
