"""The pages: every link and every anchor leads somewhere, the map has no empty cell, and each page links its codes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tinyalexnet.dojo.path import EXERCISES

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
OPERATIONS = sorted(path.name for path in (ROOT / "tinyalexnet" / "ops").iterdir() if (path / "reference.py").exists())
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def without_code(text):
    """A page without its blocks of code, fenced or indented, and without code in a line."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(?<!`)`[^`\n]+`(?!\])", "", text)


def anchors(path):
    """The anchors of a page, by GitHub's rule: small letters, no punctuation, a hyphen for each space."""
    found = {}
    for heading in re.findall(r"^#+ +(.+?) *$", path.read_text(), flags=re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        number = found[slug] = found.get(slug, -1) + 1
        yield slug if number == 0 else f"{slug}-{number}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_and_anchor_resolves(page):
    links = LINK.findall(without_code(page.read_text()))
    for link in links:
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name} links {link}"
        if anchor and target.suffix == ".md":
            assert anchor in set(anchors(target)), f"{page.name} links {link}"


def rows(page, head):
    """The rows of the table with this first line, as lists of cells."""
    lines = page.read_text().splitlines()
    begin = lines.index(head) + 2
    for line in lines[begin:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


HEAD = "| operation | formula | derivation | reference | cpu | cuda | test |"


@pytest.mark.parametrize("name", ["README.md", "docs/map.md"])
def test_the_map_has_every_operation_and_no_empty_cell(name):
    table = list(rows(ROOT / name, HEAD))
    linked = set()
    for cells in table:
        assert len(cells) == 7
        assert cells[0]
        for cell in cells[1:]:
            links = LINK.findall(cell)
            assert links
            linked |= {link.partition("#")[0].removeprefix("../") for link in links}
    wanted = set()
    for operation in OPERATIONS:
        folder = f"tinyalexnet/ops/{operation}"
        wanted |= {f"{folder}/{file}.py" for file in ("__init__", "reference", "cpu", "cuda")}
        wanted |= {f"tests/ops/test_{operation}.py"}
    assert len(OPERATIONS) > 5
    assert wanted <= linked


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_derivation_links_its_codes_and_its_test_in_the_first_lines(operation):
    page = ROOT / "docs" / f"{operation}.md"
    first = "\n".join(page.read_text().splitlines()[:8])
    folder = f"../tinyalexnet/ops/{operation}"
    for file in ("__init__.py", "reference.py", "cpu.py", "cuda.py"):
        assert f"({folder}/{file})" in first
    assert f"(../tests/ops/test_{operation}.py)" in first


def way():
    """The pages of the prologue's order of reading, by name."""
    return [
        cells[0][1 : cells[0].index("]")] for cells in rows(ROOT / "docs" / "prologue.md", "| page | what is new |")
    ]


def test_the_order_of_reading_has_every_operation():
    assert set(way()) == {*OPERATIONS, "checking"}


@pytest.mark.parametrize("place", range(len(OPERATIONS) + 1))
def test_a_page_says_where_its_reader_is(place):
    before, page, after = ["prologue", *way(), "training"][place : place + 3]
    line = f"You are here: [{before}]({before}.md) → **{page}** → [{after}]({after}.md)."
    text = " ".join((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8").split())
    assert text.count(line) == 1
    assert "Exercise" in text.partition(line)[2].partition("##")[0]


QUESTION = re.compile(r"^## (\d+)\. [^\n]+\?\n\n(Asked: .+?\.\n\n.*?)(?=^## |\Z)", flags=re.MULTILINE | re.DOTALL)


def test_each_question_has_an_answer_its_derivation_and_its_exercise():
    answers = QUESTION.findall((ROOT / "docs" / "questions.md").read_text(encoding="utf-8"))
    assert [int(number) for number, _ in answers] == list(range(1, 31))
    for number, answer in answers:
        last = answer.split("\n\nDerived in ")[1]
        assert LINK.search(last), number
        exercises = re.findall(r"`(\w+)`", last.partition("Exercise")[2])
        assert exercises, number
        assert set(exercises) <= set(EXERCISES) | {"diagnose"}, number
        assert re.search(r"\d", answer.partition("\n\n")[2]), number
