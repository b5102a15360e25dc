"""What the terms of an operation say: the formula with its values, what it leaves out, how often a term rounds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tinyalexnet import (
    AvgPool2d,
    Conv2d,
    CrossEntropyLoss,
    Dense,
    Dropout,
    Flatten,
    L2Loss,
    LocalResponseNorm,
    MaxPool2d,
    OneOutput,
    ReLU,
    explain,
    l2_loss,
    trace,
)
from tinyalexnet.ops.terms import LARGEST, QUOTIENT, Terms, constant, product

UNEVEN = (3, 2), (2, 3), ((2, 1), (1, 0))
"""A kernel, strides and paddings that differ along every axis, so that no axis can stand for the other."""


@pytest.fixture(scope="module")
def traces():
    """Of one layer each: (2, 5, 6, 4) -> (2, 3, 2, ...), but for the last ones."""
    rng = np.random.default_rng(7)
    x = rng.standard_normal((2, 5, 6, 4)).astype(np.float32)
    reference = {"backend": "reference"}
    layers = {
        "conv": Conv2d(4, 6, *UNEVEN, groups=2, **reference, algorithm="gemm", rng=rng),
        "step 1": Conv2d(4, 6, 2, 1, **reference, algorithm="gemm", rng=rng),
        "max": MaxPool2d(*UNEVEN, **reference),
        "avg": AvgPool2d(*UNEVEN, **reference),
        "norm": LocalResponseNorm(1, 2.0, 0.3, 0.75, **reference),
        "relu": ReLU(**reference),
        "flat": Flatten(),
        "drop": Dropout(0.4, rng=3, **reference),
        "test": Dropout(0.4, False, **reference),
    }
    found = {name: trace(layer, x, l2_loss) for name, layer in layers.items()}
    found["fc"] = trace(Dense(3, 5, **reference, rng=rng), x[:, 0, 0, :3], l2_loss)
    return found


def terms_of(found, array, index):
    step = found.steps["layer"]
    return step.computes.terms(array, index, step.arrays)


@pytest.mark.parametrize(
    ("name", "array", "index", "filled"),
    [
        ("conv", "out", (1, 0, 1, 4), "b[4] + Σ x[1, kh - 2, 2 + kw, 2 + c] w[kh,kw,c,4]"),
        ("conv", "out", (1, 1, 0, 1), "b[1] + Σ x[1, kh, kw - 1, c] w[kh,kw,c,1]"),
        (
            *("conv", "dx", (1, 3, 2, 3)),
            "Σ dout[1,oh,ow,f] w[kh,kw,1,f] over all oh, kh with 2 oh + kh = 5, and all ow, kw with 3 ow + kw = 3",
        ),
        ("conv", "dw", (2, 0, 1, 4), "Σ x[n, 2 oh, 3 ow - 1, 3] dout[n,oh,ow,4]"),
        ("conv", "db", (4,), "Σ dout[n,oh,ow,4]"),
        (
            *("step 1", "dx", (1, 3, 2, 3)),
            "Σ dout[1,oh,ow,f] w[kh,kw,3,f] over all oh, kh with oh + kh = 3, and all ow, kw with ow + kw = 2",
        ),
        ("step 1", "dw", (0, 1, 3, 4), "Σ x[n, oh, 1 + ow, 3] dout[n,oh,ow,4]"),
        ("max", "out", (1, 0, 1, 3), "max x[1, kh - 2, 2 + kw, 3]"),
        ("conv", "out", (1, 2, 1, 1), "b[1] + Σ x[1, 2 + kh, 2 + kw, c] w[kh,kw,c,1]"),
        ("max", "out", (1, 2, 1, 3), "max x[1, 2 + kh, 2 + kw, 3]"),
        ("avg", "out", (1, 2, 1, 3), "Σ x[1, 2 + kh, 2 + kw, 3] / 6"),
        ("max", "dx", (1, 0, 1, 3), "Σ dout[1,oh,ow,3] over the outputs whose maximum is x[1,0,1,3]"),
        ("avg", "out", (1, 0, 1, 3), "Σ x[1, kh - 2, 2 + kw, 3] / 2"),
        ("avg", "dx", (1, 0, 1, 3), "Σ dout[1,oh,ow,3] / count[oh,ow] over the outputs whose window has (0, 1)"),
        ("norm", "scale", (1, 0, 2, 0), "2 + 0.3 Σ x[1,0,2,0 ... 1]²"),
        ("norm", "out", (1, 0, 2, 3), "x[1,0,2,3] scale[1,0,2,3]^-0.75"),
        (
            *("norm", "dx", (1, 0, 2, 2)),
            "dout[1,0,2,2] scale[1,0,2,2]^-0.75 - 2 0.3 0.75 x[1,0,2,2] Σ_c' dout x scale^-1.75 at [1,0,2,1 ... 3]",
        ),
        ("relu", "out", (1, 0, 2, 3), "max(x[1,0,2,3], 0)"),
        ("relu", "dx", (1, 0, 2, 3), "dout[1,0,2,3] if out[1,0,2,3] > 0, else 0"),
        ("flat", "out", (1, 33), "x[1,1,2,1]"),
        ("flat", "dx", (1, 1, 2, 1), "dout[1,33]"),
        ("drop", "out", (1, 0, 2, 3), "x[1,0,2,3] / (1 - 0.4) if kept, else 0"),
        ("drop", "dx", (1, 0, 2, 3), "dout[1,0,2,3] / (1 - 0.4) if kept, else 0"),
        ("test", "dx", (1, 0, 2, 3), "dout[1,0,2,3]"),
        ("fc", "out", (1, 4), "b[4] + Σ x[1,c] w[c,4]"),
        ("fc", "dx", (1, 2), "Σ dout[1,f] w[2,f]"),
        ("fc", "dw", (2, 4), "Σ x[n,2] dout[n,4]"),
        ("fc", "db", (4,), "Σ dout[n,4]"),
    ],
)
def test_the_formula_with_its_values(traces, name, array, index, filled):
    element = f"{array}[{','.join(map(str, index))}]"
    assert terms_of(traces[name], array, index).filled == f"{element} = {filled}"


def test_what_is_left_out_is_counted(traces):
    for name, array, index, note in (
        ("conv", "out", (1, 0, 1, 4), "4 of 6 kernel positions are over padding, which is 0"),
        ("conv", "dx", (1, 3, 2, 3), "5 of 6 kernel positions do not meet this pixel, for any output"),
        ("max", "out", (1, 0, 1, 3), "4 pixels of the window are padding, which never wins"),
    ):
        assert terms_of(traces[name], array, index).notes == (note,)
        assert terms_of(traces["step 1"], array, index).notes == ()
    assert terms_of(traces["max"], "out", (1, 1, 1, 3)).notes == ()


def test_many_terms_are_added_up_by_the_index_that_the_docs_name(traces):
    """Channels of the group of a forward, filters of the group of a dx, images of a dw and a db."""
    for array, index, name, keys in (
        ("out", (1, 0, 1, 4), "c", {2, 3}),
        ("dx", (1, 3, 2, 3), "f", {3, 4, 5}),
        ("dw", (2, 0, 1, 4), "n", {0, 1}),
        ("db", (4,), "n", {0, 1}),
    ):
        (fold,) = explain(traces["conv"], "layer", array, index).folds
        assert (fold.name, {key for key, _, _ in fold.sums}) == (name, keys)


def test_how_often_a_term_rounds(traces):
    """A share of a window: its division. Dropout: 1 - rate, and the division. A scale: the square, alpha, the bias."""
    for name, array, index, roundings in (
        *(("conv", "out", (1, 0, 1, 4), 0), ("fc", "dw", (2, 4), 0), ("max", "dx", (1, 0, 1, 3), 0)),
        *(("avg", "out", (1, 0, 1, 3), 1), ("avg", "dx", (1, 0, 1, 3), 1)),
        *(("drop", "out", (1, 0, 2, 3), 2), ("test", "out", (1, 0, 2, 3), 0), ("norm", "scale", (1, 0, 2, 3), 3)),
    ):
        assert terms_of(traces[name], array, index).roundings == roundings, (name, array)
    assert L2Loss("reference").term_functions({"x": np.ones((1, 2))})["loss"](()).roundings == 1


def test_a_power_rounds_more_often_the_larger_its_logarithm(traces):
    """12 times and, for the exponent, beta log(scale) times: of the largest scale that takes part."""
    norm = traces["norm"].steps["layer"].computes
    scale = np.full((1, 1, 1, 4), math.exp(2))
    scale[..., 0], scale[..., 3] = math.exp(10), math.exp(-20)
    arrays = {"x": np.ones(scale.shape), "scale": scale, "dout": np.ones(scale.shape)}
    assert [norm.terms("out", (0, 0, 0, c), arrays).roundings for c in (0, 1, 3)] == [12 + 8, 12 + 2, 12 + 15]
    # 1.75 times 10 and, without channel 0 beside it, times 2.
    assert [norm.terms("dx", (0, 0, 0, c), arrays).roundings for c in (1, 2)] == [12 + 18, 12 + 4]
    scale[...] = 1
    assert norm.terms("out", (0, 0, 0, 0), arrays).roundings == 12
    scale[...] = math.inf
    assert norm.terms("out", (0, 0, 0, 0), arrays).roundings == 12


def test_each_pixel_has_the_gradients_of_the_windows_that_it_won(traces):
    dx = traces["max"].steps["layer"].arrays["dx"]
    assert (dx != 0).any()
    for index in np.ndindex(dx.shape):
        assert terms_of(traces["max"], "dx", index).value() == pytest.approx(dx[index], abs=1e-6), index


def test_a_relu_has_two_terms(traces):
    assert terms_of(traces["relu"], "out", (1, 0, 2, 3)).count == 2


def test_probabilities_round_with_the_spread_of_the_logits():
    """For each class, 12 times for an exponential, and once for each unit between the largest and the smallest."""
    logits = np.array([[1, 3.5, -1], [0, 0, 0]], np.float32)
    loss = CrossEntropyLoss([1, 2], "reference")
    functions = loss.term_functions({"x": logits, "p": np.full((2, 3), 1 / 3), "labels": np.array([1, 2])})
    assert [functions["p"]((n, 0)).roundings for n in (0, 1)] == [3 + 12 + 5, 3 + 12]
    assert [functions["dx"]((n, 0)).roundings for n in (0, 1)] == [3 + 12 + 5 + 2, 3 + 12 + 2]
    assert functions["loss"](()).absolute_roundings == 2 * (3 + 12 + 5)
    assert functions["loss"](()).computed_in == np.float32
    logits[0, 0] = np.inf
    assert functions["p"]((0, 0)).roundings == 3 + 12


def test_the_largest_logit_is_subtracted_so_that_no_exponential_is_too_large():
    logits = np.array([[1000, 999, -1000]], np.float32)
    functions = CrossEntropyLoss([0], "reference").term_functions({"x": logits, "p": logits, "labels": np.array([0])})
    own, row = (part.products for part in functions["p"]((0, 1)).parts)
    np.testing.assert_allclose(own, [math.exp(-1)])
    np.testing.assert_allclose(row, [1, math.exp(-1), 0])
    assert functions["p"]((0, 1)).value() == pytest.approx(1 / (1 + math.e))


def test_what_the_losses_say():
    logits = np.array([[1, 3.5, -1], [0, 0, 0]], np.float32)
    loss = CrossEntropyLoss([1, 2], "reference")
    functions = loss.term_functions({"x": logits, "p": np.full((2, 3), 1 / 3), "labels": np.array([1, 2])})
    assert functions["p"]((0, 2)).filled == "p[0,2] = exp(logits[0,2]) / Σ_j exp(logits[0,j]), all less 3.5"
    assert functions["loss"](()).filled == "loss = -1/2 Σ_n log p[n,labels[n]]"
    assert functions["dx"]((1, 2)).filled == "dlogits[1,2] = (p[1,2] - 1) / 2"
    assert functions["dx"]((1, 1)).filled == "dlogits[1,1] = (p[1,1]) / 2"
    half = L2Loss("reference").term_functions({"x": logits})
    assert half["loss"](()).filled == "loss = 1/2 Σ y² of 6 elements"
    assert half["dx"]((1, 2)).filled == "dx[1,2] = y[1,2]"
    found = trace(Flatten(), logits, OneOutput((0, 1)))
    assert [explain(found, "loss", "dx", (0, k)).value for k in range(3)] == [0, 1, 0]


def numbers(*values):
    return product([constant("a number", value, 1) for value in values])


def test_the_bound_is_that_of_its_formula():
    """gamma_n Σ |term| + n times the smallest normal number, and a unit for each absolute rounding."""
    parts = numbers(3.0), numbers(-5.0)
    unit, smallest = 2.0**-24, 2.0**-126
    gamma = 5 * unit / (1 - 5 * unit)
    assert Terms("", "", parts, roundings=3).bound(np.dtype(np.float32)) == gamma * 8 + 5 * smallest
    absolute = Terms("", "", parts, roundings=3, absolute_roundings=7).bound(np.dtype(np.float32))
    assert absolute == gamma * 8 + 5 * smallest + 7 * unit
    quotient = Terms("", "", parts, QUOTIENT, roundings=3)
    assert quotient.bound(np.dtype(np.float32)) == gamma * (3 / 5) + 5 * smallest
    assert Terms("", "", parts, LARGEST, roundings=3).bound(np.dtype(np.float32)) == 0
    half = Terms("", "", parts, roundings=2**11 - 2)
    assert half.bound(np.dtype(np.float16)) == math.inf  # n u is 1: gamma_n divides by 0


def test_the_bound_of_an_explanation_has_the_rounding_of_its_own_value(traces):
    for name in ("conv", "avg"):
        explanation = explain(traces[name], "layer", "out", (1, 0, 1, 3))
        own = abs(explanation.value) * 2.0**-53
        assert own > 0
        assert explanation.bound == explanation.made.bound(np.dtype(np.float32)) + own
