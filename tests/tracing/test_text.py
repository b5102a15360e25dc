"""An explanation as text and as HTML."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tinyalexnet import Conv2d, Dense, Dropout, MaxPool2d, Sequential, explain, l2_loss, trace
from tinyalexnet.tracing.text import lines


def integers(*shape):
    return (np.arange(np.prod(shape)).reshape(shape) % 7 - 3).astype(np.float32)


@pytest.fixture
def found():
    conv = Conv2d(2, 2, 2, 2, 1, backend="reference", algorithm="gemm")
    conv.params["w"][...] = integers(2, 2, 2, 2)
    conv.params["b"][...] = 5, 6
    net = Sequential([("conv", conv), ("pool", MaxPool2d(2, 1, backend="reference"))])
    return trace(net, integers(1, 3, 3, 2), l2_loss)


def test_to_the_letter(found):
    assert (
        str(explain(found, "conv", "out", (0, 0, 1, 1)))
        == """\
conv out[0,0,1,1] = 6.0
  out[n,oh,ow,f] = b[f] + Σ x[n, oh*stride_h + kh - pad_top, ow*stride_w + kw - pad_left, c] w[kh,kw,c,f]
  out[0,0,1,1] = b[1] + Σ x[0, kh - 1, 1 + kw, c] w[kh,kw,c,1]
  2 of 4 kernel positions are over padding, which is 0

  5 terms:
    conv b[1] 6.0        * 1                    = 6.0   (the bias)
    conv x[0,0,1,0] -1.0 * conv w[1,0,0,1] -1.0 = 1.0   (the window)
    conv x[0,0,1,1] 0.0  * conv w[1,0,1,1] 1.0  = 0.0   (the window)
    conv x[0,0,2,0] 1.0  * conv w[1,1,0,1] 3.0  = 3.0   (the window)
    conv x[0,0,2,1] 2.0  * conv w[1,1,1,1] -2.0 = -4.0   (the window)

  the sum of the terms: 6.0
  stored as float32: 6.0
  exact"""
    )


def test_of_a_maximum_the_first_largest_is_marked(found):
    text = lines(explain(found, "pool", "out", (0, 0, 0, 0)))
    values = [float(line.split()[2]) for line in text[5:9]]
    winner = values.index(max(values))
    assert [line.endswith("   <- the first of the largest") for line in text[5:9]] == [i == winner for i in range(4)]
    few = lines(explain(found, "pool", "out", (0, 0, 0, 0)), most=2)
    assert few[4:7] == [
        "  4 terms, the 2 largest first:",
        f"    conv out[0,{winner // 2},{winner % 2},0] {max(values)}   <- the first of the largest",
        few[6],
    ]


def test_of_many_terms_the_largest_and_the_sums_by_index(rng):
    conv = Conv2d(16, 1, 3, backend="reference", algorithm="gemm", rng=1)
    x = rng.standard_normal((1, 3, 3, 16)).astype(np.float32)
    explanation = explain(trace(conv, x), "layer", "out", (0, 0, 0, 0))
    text = lines(explanation)
    assert text[4] == "  145 terms, the 12 largest first:"
    sizes = [abs(float(line.split(" = ")[1].split()[0])) for line in text[5:17]]
    assert sizes == sorted(sizes, reverse=True)
    products = x[0].astype(np.float64) * conv.params["w"][..., 0]
    assert sizes[0] == np.abs(products).max()
    assert text[17:19] == ["", "  summed for each c, the largest first:"]
    sums = products.sum(axis=(0, 1))
    largest = np.abs(sums).argmax()
    name, value, count = text[19].replace(" (", ": ").split(": ")
    assert (name, count) == (f"    c = {largest}", "9 terms)")
    assert float(value) == pytest.approx(sums[largest], rel=1e-12)
    assert text[31] == "    ... and 4 more"
    assert explanation.folds[0].sums[0][2] == 9


def test_up_to_the_most_all_terms_are_in_the_order_of_the_formula(rng):
    x = rng.standard_normal((1, 1, 1, 11)).astype(np.float32)
    explanation = explain(trace(Conv2d(11, 1, 1, backend="reference", rng=1), x), "layer", "out", (0, 0, 0, 0))
    text = str(explanation).splitlines()
    assert text[4] == "  12 terms:"
    assert text[5].startswith("    layer b[0] ")
    assert [line.split()[1] for line in text[6:17]] == [f"x[0,0,0,{c}]" for c in range(11)]
    assert text[17:19] == ["", f"  the sum of the terms: {explanation.value!r}"]  # no sums for each c
    assert text[5:17] != lines(explanation, 11)[5:17]
    assert "summed for each c" in "\n".join(lines(explanation, 11))
    assert "more" not in "\n".join(lines(explanation, 11))  # of 11 sums there is none left out
    assert "    ... and 1 more" in lines(explanation, 10)


def test_one_part_has_no_name_and_one_term_no_plural():
    found = trace(Dropout(0.5, False, backend="reference"), np.full((1, 2), 3, np.float32))
    assert lines(explain(found, "layer", "out", (0, 1)))[3:6] == ["", "  1 term:", "    layer x[0,1] 3.0"]
    text = lines(
        explain(trace(MaxPool2d(2, 2, backend="reference"), integers(1, 2, 2, 1)), "layer", "out", (0, 0, 0, 0))
    )
    assert text[5:9] == [
        "    layer x[0,0,0,0] -3.0",
        "    layer x[0,0,1,0] -2.0",
        "    layer x[0,1,0,0] -1.0",
        "    layer x[0,1,1,0] 0.0   <- the first of the largest",
    ]


def test_a_difference_stands_beside_what_rounding_allows(rng):
    x = rng.standard_normal((1, 3, 3, 5)).astype(np.float32)
    found = trace(Conv2d(5, 1, 3, backend="reference", algorithm="gemm", rng=1), x)
    stored = found.array("layer", "out")
    stored[...] = np.nextafter(stored, np.inf)
    assert ", rounding allows " in lines(explain(found, "layer", "out", (0, 0, 0, 0)))[-1]
    stored += 1
    wrong = explain(found, "layer", "out", (0, 0, 0, 0))
    assert not wrong.is_right
    assert ", more than rounding allows, which is " in lines(wrong)[-1]
    found.steps["layer"].arrays["out"] = np.full(stored.shape, wrong.value)
    assert lines(explain(found, "layer", "out", (0, 0, 0, 0)))[-1] == "  exact"


def test_a_nan_for_a_number_is_never_right(rng):
    found = trace(Dense(3, 2, "reference", rng=1), rng.standard_normal((1, 3)).astype(np.float32))
    found.array("layer", "out")[0, 0] = np.nan
    explanation = explain(found, "layer", "out", (0, 0))
    assert math.isfinite(explanation.value)
    assert not explanation.is_exact
    assert not explanation.is_right


def test_a_notebook_shows_48_terms_and_all_if_there_are_no_more(rng):
    for channels, rows in ((47, 48), (48, 48)):
        x = rng.standard_normal((1, 1, 1, channels)).astype(np.float32)
        found = trace(Conv2d(channels, 1, 1, backend="reference", algorithm="gemm", rng=1), x)
        html = explain(found, "layer", "out", (0, 0, 0, 0))._repr_html_()
        assert html.count("<tr>") == rows
        assert ("<caption>48 terms:<" in html) == (channels == 47)
        assert ("<caption>49 terms, the 48 largest first:<" in html) == (channels == 48)


def test_html_has_the_terms_and_no_markup_of_others(found):
    html = explain(found, "conv", "dx", (0, 1, 1, 1))._repr_html_()
    explanation = explain(found, "conv", "dx", (0, 1, 1, 1))
    assert html.count("<tr>") == explanation.count
    assert all(str(operand.element) in html for term in explanation.terms for operand in term.operands)
    found.steps["<script>"] = found.steps["conv"]
    assert "<script>" not in explain(found, "<script>", "out", (0, 0, 0, 0))._repr_html_()
    assert "&lt;script&gt; out[0,0,0,0]" in explain(found, "<script>", "out", (0, 0, 0, 0))._repr_html_()
