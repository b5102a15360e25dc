"""docs/bestiary.md has the beasts of the package."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest

from tinyalexnet.bestiary import SUBJECTS

DOCS = Path(__file__).parents[2] / "docs"
BEASTS = [beast for subject in SUBJECTS.values() for beast in subject.beasts]


@pytest.fixture
def writer(monkeypatch):
    """The script of the page."""
    monkeypatch.setattr(sys, "path", [str(DOCS), *sys.path])
    return import_module("bestiary_page")


def test_the_page_is_what_its_script_writes(writer):
    text = (DOCS / "bestiary.md").read_text(encoding="utf-8")
    assert text == writer.page(), "run python docs/bestiary_page.py"
    assert f"The package has {len(BEASTS)} of them" in text


def test_the_page_has_every_name_sentence_and_source(writer):
    rows = [line for line in writer.tables() if line.count(" | ") == 4]
    for beast in BEASTS:
        (row,) = (row for row in rows if row.startswith(f"| {beast.name} |"))
        assert f"| {beast.sentence} | {beast.shown_by}: " in row
        assert row.endswith(f"| {writer.linked(beast.source)} |")
    assert set(writer.HEADINGS) <= set(SUBJECTS)


def test_sources_are_linked(writer):
    assert writer.linked("related: apache/tvm #12; ai.stackexchange 34") == (
        "related: [apache/tvm #12](https://github.com/apache/tvm/issues/12); "
        "[ai.stackexchange 34](https://ai.stackexchange.com/q/34)"
    )
    assert writer.linked("Stack Overflow 56") == "[Stack Overflow 56](https://stackoverflow.com/q/56)"
    assert writer.linked("docs/checking.md, its average-pool") == "[checking.md](checking.md), its average-pool"
    assert writer.linked("no public sighting known") == "none known"
