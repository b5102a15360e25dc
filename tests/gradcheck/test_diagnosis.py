"""A wrong gradient is explained: the ratio, the map, the first wrong element and its terms."""

from __future__ import annotations

import numpy as np
import pytest
from test_slopes import Normalise, OverwritingPool, Sabotaged, conv, image

from tinyalexnet import Dense, ReLU
from tinyalexnet.gradcheck import assert_gradients, diagnose, diagnosis, numeric_gradient, separated_values


def test_one_line_for_each_argument(rng):
    report = diagnose(conv(), image(rng))
    assert report.passed
    assert [finding.argument for finding in report.findings] == ["x", "w", "b"]
    lines = str(report).splitlines()
    assert len(lines) == 4
    assert lines[0].endswith(": 3 of 3 right")
    assert all("allowed 1e-07 (3 directions)." in line for line in lines[1:])
    assert report.findings[0].directions == {"compared": 3, "vacuous": 0, "uneven": 0}
    assert "(1 direction)" in str(diagnose(conv(), image(rng), directions=1))


def test_the_numeric_gradient_is_the_gradient(rng):
    layer, x = Normalise(), rng.standard_normal((2, 3, 2, 4))
    dout = rng.standard_normal(x.shape)
    layer.forward(x)
    dx = layer.backward(dout)
    np.testing.assert_allclose(numeric_gradient(layer, x, dout, "x"), dx, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"change_db": lambda db: db / 2}, "0.5 = 1/2 times the right one: usually a mean over the batch"),
        ({"change_db": lambda db: db / 25}, "0.04 = 1/25 times the right one: usually a mean over the output pixels"),
        ({"change_dw": lambda dw: dw / 50}, "1/50 times the right one: usually a mean over the batch and the output"),
        ({"change_dx": lambda dx: -dx}, "-1 times the right one: usually the sign is turned."),
        ({"change_dw": lambda dw: 3 * dw}, "Each element is 3 times the right one."),
    ],
)
def test_a_constant_ratio_is_said_and_explained(change, sentence, rng):
    report = diagnose(Sabotaged(conv(), **change), image(rng))
    argument = next(iter(change)).removeprefix("change_d")
    wrong = [finding for finding in report.findings if finding.verdict == "wrong"]
    assert [finding.argument for finding in wrong] == [argument]
    assert sentence in wrong[0].explanation[0]


def test_a_few_wrong_elements_are_shown_on_a_map_with_the_terms_of_the_first():
    report = diagnose(OverwritingPool(3, 2, backend="reference"), separated_values((1, 9, 9, 1), rng=1))
    (finding,) = report.findings
    count, *rows, first, lacks = finding.explanation
    assert count.endswith(" of 81 elements are wrong (x). dx[0,:,:,0], X is the first:")
    assert len(rows) == 9
    assert sum(row.count("X") for row in rows) == 1
    element = first.split()[0]
    assert first.startswith(f"{element} is ")
    assert ", but should be " in first
    assert first.count("(dout[") > 1
    assert lacks.startswith("Yours lacks the terms of dout[0,")


@pytest.mark.parametrize(("rows", "more"), [(2, ""), (4, ""), (5, ", ...")])
def test_at_most_four_terms_are_named(rng, rows, more):
    layer = Sabotaged(Dense(3, 2, "reference", np.float64, rng=1), change_db=np.zeros_like)
    named = ", ".join(f"dout[{n},0]" for n in range(min(rows, 4)))
    assert f"Yours lacks the terms of {named}{more}.\n" in f"{diagnose(layer, rng.standard_normal((rows, 3)))}\n"


def test_terms_that_do_not_belong_are_named(rng):
    def spread(dx):
        return dx + np.roll(dx, 1, axis=2)

    report = diagnose(Sabotaged(conv(), change_dx=spread), image(rng))
    assert "Yours has terms that do not belong to it, of dout[" in str(report)


def test_a_shift_of_a_single_term_is_not_called_missing(rng):
    """With one term it is the value that is wrong."""

    class Cube:
        params = grads = {}  # noqa: RUF012

        def forward(self, x):
            self.x = x
            return x**3

        def backward(self, dout):
            return 2 * dout * self.x**2 + (self.x > 1)

    explanation = diagnose(Cube(), rng.standard_normal((3, 3))).findings[0].explanation
    assert "lacks" not in "".join(explanation)


def test_a_large_gradient_has_no_map(rng):
    layer = Dense(40, 30, "reference", np.float64, rng=1)
    report = diagnose(Sabotaged(layer, change_dw=lambda dw: dw + 1), rng.standard_normal((2, 40)))
    (explanation,) = [finding.explanation for finding in report.findings if finding.verdict == "wrong"]
    assert explanation == [
        "dw has 1,200 elements; for a map of the wrong ones, check a smaller layer with at most 1,000."
    ]


@pytest.mark.parametrize(("rows", "named"), [(25, True), (26, False)])
def test_more_than_1000_outputs_have_no_terms_of_ones_own(rows, named, rng):
    x = rng.standard_normal((rows, 40))
    report = diagnose(Sabotaged(Dense(40, 40, "reference", np.float64, rng=1), change_db=lambda db: db + 1), x)
    text = str(report)
    assert "db[0] is " in text
    assert ("terms that do not belong" in text) is named


def test_a_small_mistake_is_said_to_be_one(rng):
    report = diagnose(Sabotaged(conv(), change_db=lambda db: db * (1 + 5e-7)), image(rng))
    assert "No single element is off by more than the error of a difference" in str(report)


def test_a_gradient_that_is_not_a_number_has_no_ratio(rng):
    class Undefined(Normalise):
        def forward(self, x):
            self.x, self.scale = x, 1 / np.sqrt(1 + np.sum(x**2, axis=-1, keepdims=True))
            return np.where(np.abs(x - X0) < 1e-12, x, np.nan)

    X0 = rng.standard_normal((1, 2))  # noqa: N806
    report = diagnose(Undefined(), X0)
    assert not report.passed
    assert "elements of dx are wrong" in str(report)


def test_nothing_checked_fails_and_says_why():
    relu = ReLU(backend="reference")
    with pytest.raises(AssertionError, match=r"nothing was checked\nx: not checked. The gradient is 0, and the output"):
        assert_gradients(relu, np.full((2, 3), -1.0))
    with pytest.raises(AssertionError, match=r"x: not checked. The forward has a kink at this x.*separated_values"):
        assert_gradients(relu, np.zeros((2, 3)))


def test_one_argument_that_says_nothing_does_not_fail_the_others(rng):
    class OneUnused(Dense):
        def forward(self, x):
            return super().forward(x) - self.params["b"]

        def backward(self, dout):
            dx = super().backward(dout)
            self.grads["b"] = np.zeros_like(self.params["b"])
            return dx

    report = diagnose(OneUnused(3, 2, "reference", np.float64, rng=1), rng.standard_normal((4, 3)))
    assert report.passed
    assert [finding.verdict for finding in report.findings] == ["right", "right", "not checked"]


def test_the_same_seed_gives_the_same_report(rng):
    x = image(rng)
    assert diagnose(conv(), x, rng=5) == diagnose(conv(), x, rng=np.random.default_rng(5))


def test_a_report_has_the_repr_of_a_layer_if_it_is_one_line_of_its_own():
    class Lines(Normalise):
        def __repr__(self):
            return "Lines(\n)"

    names = [diagnosis._name(layer) for layer in (conv(), Normalise(), Lines())]
    assert names == [repr(conv()), "Normalise", "Lines"]


@pytest.mark.parametrize("size", [1e-3, 1.0, 1234.0])
def test_what_is_0_but_for_the_error_of_a_difference_is_0(size):
    """At least seven digits are kept, relative to the largest element."""
    found = diagnosis._rounded(np.array([-size, 1e-4 * size, 1e-10 * size, 0]))
    np.testing.assert_allclose(found, [-size, 1e-4 * size, 0, 0], rtol=0, atol=0.5e-7 * size)
    assert found[2] == 0
    assert diagnosis._rounded(np.zeros(2)).tolist() == [0, 0]


def test_what_is_an_integer_but_for_the_error_of_a_difference_is_one():
    found = [diagnosis._near(value) for value in (1234567.00000001, -2.99999999, 3.000001)]
    assert found == [1234567, -3, 3.000001]


def test_a_single_term_that_is_missing_is_not_named():
    """The sum of one term has said so."""

    def without_the_first(dx):
        dx[0, 0] = 0
        return dx

    layer = Sabotaged(ReLU(backend="reference"), change_dx=without_the_first)
    (finding,) = diagnose(layer, np.full((2, 3), 2.0)).findings
    assert finding.explanation[-1].startswith("dx[0,0] is 0, but should be ")


@pytest.mark.parametrize(("outputs", "shown"), [(25, True), (26, False)])
def test_a_gradient_of_1000_elements_is_compared_element_by_element(outputs, shown, rng):
    layer = Sabotaged(Dense(40, outputs, "reference", np.float64, rng=1), change_dw=lambda dw: dw + 1)
    assert ("All 1000 elements of dw are wrong." in str(diagnose(layer, rng.standard_normal((2, 40))))) is shown


class Forgetful(Dense):
    """It lets go of its input as soon as its backward has run."""

    def backward(self, dout):
        dx = super().backward(dout)
        self._saved = None
        return dx


def test_each_backward_has_a_forward_of_its_own(rng):
    right, forgetful = (kind(3, 2, "reference", np.float64, rng=1) for kind in (Dense, Forgetful))
    x = rng.standard_normal((4, 3))
    assert diagnose(forgetful, x, like=right).passed
    wrong = Sabotaged(forgetful, change_db=np.zeros_like)
    assert "Yours lacks the terms of dout[0,0], dout[1,0]" in str(diagnose(wrong, x))
    assert "db[0], yours: 0 = " in str(diagnose(wrong, x, like=right))
