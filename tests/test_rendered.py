"""The pages as GitHub renders them: no star or sign of a formula is lost, and no line becomes what it should not be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
GITHUB = MarkdownIt("gfm-like", {"linkify": False})

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))

OPERATOR = {"em": re.compile(r"[=+*/^]|\w - \w|_\w"), "strong": re.compile(r"[=+*^]|\w - \w")}
"""Two stars of a formula make the text between them italic, and four make it bold. A bold fraction may be meant."""


def damages(text):
    """What a reader of the rendered text would miss, or read wrongly, one sentence each."""
    lines = text.splitlines()
    for token in GITHUB.parse(text):
        if token.type == "table_open" and token.map is not None:
            cells = [len(re.findall(r"(?<!\\)\|", line.strip())) - 1 for line in lines[slice(*token.map)]]
            if len(set(cells)) > 1:
                yield f"a table has rows of {sorted(set(cells))} cells"
        if token.type == "heading_open" and not token.markup.startswith("#"):
            yield f"a line of {token.markup} makes a heading of the line above"
        if token.type == "bullet_list_open" and token.markup != "-":
            yield f"a line that begins with {token.markup} is a list"
        if token.type == "ordered_list_open" and token.attrGet("start") is not None:
            yield f"a line that begins with {token.attrGet('start')} is a list"
        if token.type == "html_block" and not token.content.startswith("<!--"):
            yield f"{token.content!r} is taken as HTML"
        yield from damages_inside(token.children or [])


def damages_inside(tokens):
    opened = []
    for at, token in enumerate(tokens):
        if token.type == "html_inline":
            yield f"{token.content!r} is taken as HTML"
        if token.type == "text" and "$" in token.content:
            yield f"{token.content!r} may begin a formula of LaTeX"
        if token.type in ("em_open", "strong_open"):
            opened.append(at)
        if token.type in ("em_close", "strong_close"):
            inside = "".join(one.content for one in tokens[opened.pop() : at] if one.type == "text")
            if OPERATOR[token.tag].search(inside):
                yield f"{inside!r} lost its stars"


@by_page
def test_a_page_is_rendered_without_damage(page):
    assert list(damages(page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("text", "damage"),
    [
        ("if r = oh*stride_h + kh and q = ow*stride_w + kw for", "'stride_h + kh and q = ow' lost its stars"),
        ("x**2 + y**2", "'2 + y' lost its stars"),
        ("the loss by dout[0]\n+ dout[1]", "a line that begins with + is a list"),
        ("the sum is\n\n7. That is", "a line that begins with 7 is a list"),
        ("the sum\n---\n", "a line of - makes a heading of the line above"),
        ("a <b> c", "'<b>' is taken as HTML"),
        ("| a | b |\n|---|---|\n| `x|y` | c |\n", "a table has rows of [2, 3] cells"),
        ("$x and $y", "'$x and $y' may begin a formula of LaTeX"),
    ],
)
def test_a_damage_is_seen(text, damage):
    assert list(damages(text)) == [damage]


@pytest.mark.parametrize(
    "text", ["a *word* of **two words**", "oh\\*stride_h + ow\\*stride_w", "`a*b*c`", "- one\n- two"]
)
def test_what_is_right_is_left_alone(text):
    assert list(damages(text)) == []


# --- LaTeX ------------------------------------------------------------------------------------------------------------

LATEX = re.compile(r"^```math\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
COMMANDS = {
    *("aligned", "begin", "bigl", "bigr", "cases", "cdot", "end", "exp", "frac", "ge", "le", "left", "lceil", "lfloor"),
    *("log", "mathit", "max", "odot", "partial", "qquad", "rceil", "rfloor", "right", "substack", "sum", "text"),
}
FORMULAS = sorted(path.parent.name for path in ROOT.glob("tinyalexnet/ops/*/reference.py"))


@pytest.mark.parametrize("page", FORMULAS)
def test_formulas_are_balanced_and_have_known_commands(page):
    """With MathJax and KaTeX each of these commands was rendered; another one must be tried first."""
    blocks = LATEX.findall((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8"))
    assert blocks
    for block in blocks:
        bare = block.replace(r"\_", "")
        assert bare.count("{") == bare.count("}")
        assert set(re.findall(r"\\([a-zA-Z]+)", bare)) <= COMMANDS
        assert re.findall(r"\\begin\{(\w+)\}", bare) == re.findall(r"\\end\{(\w+)\}", bare)
        assert len(re.findall(r"\\left\b", bare)) == len(re.findall(r"\\right\b", bare))
