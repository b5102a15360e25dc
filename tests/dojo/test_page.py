"""Paragraphs, and what a line is not broken in."""

from __future__ import annotations

from tinyalexnet.dojo.page import WIDTH, Page


def test_a_paragraph_is_wrapped_and_code_is_not():
    fill = "word " * 15
    for whole in ("`dx = np.zeros(x.shape)`", "⟨dout, F(x) - F(0)⟩", "(1, 2, 3, 40)", "[1 -2 3.5 400]"):
        text = Page().say(f"{fill}{whole} end", 4, first="ok").text
        lines = text.splitlines()
        assert lines[0].startswith("ok  word")
        assert lines[1] == f"    {whole} end"
        assert max(map(len, lines)) <= WIDTH
        assert " ".join(text.split()) == f"ok {fill}{whole} end"


def test_long_code_does_not_take_the_words_after_it_along():
    text = f"Line 1, `{'x + ' * 20}x()`, raises IndexError: only slices (`:`) and `None`\nare valid indices."
    lines = Page().say(text).text.splitlines()
    assert " ".join(lines) == " ".join(text.split())
    assert max(map(len, lines)) <= WIDTH


def test_words_are_whole_even_long_ones_and_those_with_hyphens():
    long = "x" * (WIDTH + 1)
    assert Page().say(f"a {long} b").text.splitlines() == ["a", long, "b"]
    hyphens = "half-" * 6 + "word"
    lines = Page().say(f"{'word ' * 16}{hyphens}").text.splitlines()
    assert lines == [("word " * 16).rstrip(), hyphens]


def test_pages_are_lines_with_styles():
    page = Page().line("head", "head").line().block(["a", "", "b"], 2, "code").add(Page().line("end  "))
    assert page.text == "head\n\n  a\n\n  b\nend\n"
    assert [style for style, _ in page.lines] == ["head", "", "code", "code", "code", ""]
