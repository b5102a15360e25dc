"""docs/notation.md: every letter in a formula of a page is in its tables, and each has one row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
OPERATIONS = sorted(path.parent.name for path in (DOCS.parent / "tinyalexnet" / "ops").glob("*/reference.py"))
PAGES = [*OPERATIONS, "winograd", "prologue", "questions", "checking", "own_layer", "benchmark"]

ROW = re.compile(r"^\| ([^|]+) \|", flags=re.MULTILINE)
WORD = re.compile(r"(?<!['\"/.])\w+")
LETTER = re.compile(r"([^\W\d_])\d*(?:_(\w+))?")
"""A letter as in x, x0, x_k or Σ_kh: the index is a letter or a name."""


def symbols():
    """The first cells of the tables, one symbol after the other."""
    cells = ROW.findall((DOCS / "notation.md").read_text(encoding="utf-8"))
    return [symbol for cell in cells if cell != "symbol" for symbol in re.split(r",(?! Y⟩) ", cell)]


def formulas(text):
    """The indented lines of a page and its blocks of LaTeX, without code and commands."""
    blocks = "".join(re.findall(r"^```math\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))
    outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for line in outside.splitlines() if line.startswith("    ") and "python " not in line]
    for name, letter in (("tau", "τ"), ("delta", "δ"), ("Sigma", "Σ"), ("sum", "Σ"), ("prod", "Π")):
        blocks = re.sub(rf"\\{name}\b", letter, blocks)
    blocks = re.sub(r"\\(?:text|mathrm|begin|end)\{([^}]*)\}", " ", blocks)
    blocks = re.sub(r"\\[a-zA-Z]+", " ", blocks)
    return re.sub("[ᵀᵏˡ]", " ", "\n".join([*lines, blocks]))


def letters(text):
    found = set()
    for word in WORD.findall(formulas(text)):
        match = LETTER.fullmatch(word)
        if match:
            found |= {part for part in match.groups() if part and len(part) == 1 and part.isalpha()}
    return found


def test_each_symbol_has_one_row():
    found = symbols()
    assert len(found) > 50
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("page", PAGES)
def test_the_letters_of_a_page_are_explained(page):
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    assert letters(text) <= set(symbols())


def test_each_letter_is_used():
    used = set().union(*(letters((DOCS / f"{page}.md").read_text(encoding="utf-8")) for page in PAGES))
    inline = " ".join((DOCS / f"{page}.md").read_text(encoding="utf-8") for page in PAGES)
    for symbol in symbols():
        if len(symbol) == 1:
            assert symbol in used or re.search(rf"(?<!\w){symbol}(?!\w)", inline), symbol


def test_a_letter_is_seen():
    """In indented lines and in LaTeX, but not in words, names, commands and code."""
    latex, code = "```math\n\\frac{g}{\\text{if} \\tau}\n```\n", "```python\n    e = 1\n```\n"
    text = f"A word\n\n    dx = Σ_k zeta qᵀ x0 [l] step_h v_t\n\n{latex}\n{code}"
    assert letters(text) == {"Σ", "k", "q", "x", "l", "v", "t", "g", "τ"}
