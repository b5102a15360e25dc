"""docs/teaching.md and docs/for-learners.md name the exercises that there are."""

from __future__ import annotations

import re
from pathlib import Path

from tinyalexnet.dojo.path import PATH

DOCS = Path(__file__).parents[1] / "docs"
NAMES = [exercise.name for exercise in PATH]


def test_the_course_has_every_exercise_once():
    text = (DOCS / "teaching.md").read_text().split("## A course of four weeks")[1]
    rows = [line.split("|")[3] for line in text.splitlines() if line.startswith("|")][2:]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(NAMES)


def test_the_way_of_learners_ends_at_the_last_exercise_and_leaves_none_out():
    """Each row names exercises, or the first and the last of some; together they are the path."""
    text = (DOCS / "for-learners.md").read_text()
    rows = [line.split("|")[4] for line in text.splitlines() if line.startswith("|")][2:]
    covered = []
    for row in rows:
        names = [name for name in re.findall(r"`(\w+)`", row) if name in NAMES]
        if " to " in row:
            first, last = map(NAMES.index, names)
            names = NAMES[first : last + 1]
        covered += names
    assert covered == NAMES
