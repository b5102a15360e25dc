"""The two checks: they must pass what is right and reject every bug that people really write."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tinyalexnet import Conv2d, MaxPool2d, ReLU
from tinyalexnet.gradcheck import (
    Check,
    adjoint_identities,
    assert_gradients,
    directional_derivatives,
    separated_values,
    slopes,
)
from tinyalexnet.gradcheck.slopes import STEPS, Differences, Slope, draw_dout


class Sabotaged:
    """A layer whose gradients are changed before anyone sees them."""

    def __init__(self, layer, change_dx=lambda dx: dx, change_dw=lambda dw: dw, change_db=lambda db: db):
        self.layer = layer
        self.change_dx, self.change_dw, self.change_db = change_dx, change_dw, change_db
        self.params = layer.params

    def forward(self, x):
        return self.layer.forward(x)

    def backward(self, dout):
        dx = self.layer.backward(dout)
        changes = {"w": self.change_dw, "b": self.change_db}
        self.grads = {name: changes[name](grad) for name, grad in self.layer.grads.items()}
        return self.change_dx(dx)


def conv(dtype=np.float64):
    layer = Conv2d(2, 3, 3, 1, "SAME", backend="reference", dtype=dtype, rng=1)
    layer.params["b"][...] = 1, -2, 3
    return layer


def image(rng):
    return rng.standard_normal((2, 5, 5, 2))


WRONG = {
    "scaled": lambda gradient: 1.001 * gradient,
    "flipped": lambda gradient: -gradient,
    "zero": np.zeros_like,
    "shifted": lambda gradient: np.roll(gradient, 1, axis=-1),
    "one entry": lambda gradient: gradient + 0.01 * (np.arange(gradient.size) == 1).reshape(gradient.shape),
    "not a number": lambda gradient: gradient * np.nan,
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("argument", ["dx", "dw", "db"])
def test_a_wrong_gradient_is_rejected_and_named(wrong, argument, rng):
    layer = Sabotaged(conv(), **{f"change_{argument}": wrong})
    checks = directional_derivatives(layer, image(rng), step=1, tolerance=1e-11)
    assert {check.argument: check.passed for check in checks} == {
        name: name != argument[1:] for name in ("x", "w", "b")
    }
    assert f"gradient of {argument[1:]}: WRONG" in "".join(map(str, checks))
    identities = {check.argument: check.passed for check in adjoint_identities(layer, image(rng), tolerance=1e-11)}
    assert identities == {name: name != argument[1:] for name in ("x", "w", "b")}


@pytest.mark.parametrize(
    "change",
    [{"change_dx": lambda dx: dx.swapaxes(1, 2)}, {"change_dw": lambda dw: dw.swapaxes(0, 1)}],
    ids=["dx", "dw"],
)
def test_swapped_spatial_axes_are_rejected(change, rng):
    assert_gradients(Sabotaged(conv()), image(rng), step=1, tolerance=1e-11)
    with pytest.raises(AssertionError, match=": wrong"):
        assert_gradients(Sabotaged(conv(), **change), image(rng), step=1, tolerance=1e-11)


class OverwritingPool(MaxPool2d):
    """The bug of published course solutions: if windows overlap, the last one overwrites instead of adding."""

    def forward(self, x):
        self.x_shape = x.shape
        return super().forward(x)

    def backward(self, dout):
        (argmax,) = self.cache
        dx = np.zeros(self.x_shape)
        for n, oh, ow, c in np.ndindex(*dout.shape):
            kh, kw = divmod(int(argmax[n, oh, ow, c]), self.window.kernel[1])
            dx[n, oh * self.window.stride[0] + kh, ow * self.window.stride[1] + kw, c] = dout[n, oh, ow, c]
        return dx


def test_an_overwritten_overlap_is_rejected_and_only_there():
    x = separated_values((1, 9, 9, 2))
    with pytest.raises(AssertionError, match="x: wrong"):
        assert_gradients(OverwritingPool(3, 2, backend="reference"), x)
    assert not all(check.passed for check in adjoint_identities(OverwritingPool(3, 2, backend="reference"), x))
    assert_gradients(MaxPool2d(3, 2, backend="reference"), x)
    # Window = stride hides it, which is why such a test proves nothing.
    assert_gradients(OverwritingPool(3, 3, backend="reference"), x)


class Normalise:
    """y = x / √(1 + Σ x²) over the channels: smooth, and every output depends on every channel."""

    def __init__(self, cross_term=True):
        self.cross_term = cross_term
        self.params = self.grads = {}

    def forward(self, x):
        self.x, self.scale = x, 1 / np.sqrt(1 + np.sum(x**2, axis=-1, keepdims=True))
        return x * self.scale

    def backward(self, dout):
        cross = self.scale**3 * self.x * np.sum(dout * self.x, axis=-1, keepdims=True)
        return dout * self.scale - cross * self.cross_term


def test_a_dropped_cross_term_is_rejected(rng):
    x = rng.standard_normal((2, 3, 3, 5))
    assert_gradients(Normalise(), x)
    with pytest.raises(AssertionError, match="x: wrong"):
        assert_gradients(Normalise(cross_term=False), x)


class Constant(Normalise):
    def forward(self, x):
        return np.ones_like(x)

    def backward(self, dout):
        return np.zeros_like(dout)


def test_a_check_that_says_nothing_does_not_pass():
    (check,) = directional_derivatives(Constant(), np.ones((1, 2, 2, 1)))
    assert (check.compared, check.vacuous, check.passed, check.wrong) == (0, 3, False, False)
    assert str(check) == "gradient of x: not checked (3 with 0 on both sides)"
    (check,) = adjoint_identities(Constant(), np.ones((1, 2, 2, 1)))
    assert (check.compared, check.vacuous, check.passed) == (0, 1, False)


def test_a_gradient_of_zeros_is_wrong_if_the_output_depends_on_the_argument(rng):
    layer = Sabotaged(conv(), change_db=np.zeros_like)
    checks = {check.argument: check for check in directional_derivatives(layer, image(rng))}
    assert checks["b"].wrong
    assert checks["b"].error == 1


@pytest.mark.parametrize("step", [None, 6e-6, 1e-3])
def test_a_kink_is_left_out_and_counted(step):
    """At a kink there is no derivative, so a right ReLU is not called wrong there."""
    relu = ReLU(backend="reference")
    (check,) = directional_derivatives(relu, np.zeros((1, 4)), step=step)
    assert (check.compared, check.uneven) == (0, 3)
    assert str(check) == "gradient of x: not checked (3 across a kink)"
    # Beside the kink, but closer than the step.
    (check,) = directional_derivatives(relu, np.full((1, 4), 1e-7), step=1e-5)
    assert check.uneven == 3
    (check,) = directional_derivatives(relu, separated_values((1, 4)))
    assert (check.compared, check.uneven, check.passed) == (3, 0, True)


def test_a_smaller_step_is_taken_between_kinks():
    (check,) = directional_derivatives(ReLU(backend="reference"), separated_values((1, 40), gap=1e-5))
    assert check.compared == 3
    assert check.passed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": 0}, "step is 0, but must be a number other than 0, or None"),
        ({"step": np.inf}, "step is inf, but must be a number other than 0"),
        ({"tolerance": 0}, "tolerance is 0, but must be above 0"),
        ({"tolerance": np.nan}, "tolerance is nan, but must be above 0"),
        ({"directions": 0}, "directions is 0, but must be an int >= 1"),
        (
            {"needs_dx": False},
            "needs_dx is False, but must be True for a layer without params: else nothing is checked",
        ),
    ],
)
def test_a_request_that_checks_nothing_is_refused(options, message):
    for check in (directional_derivatives, assert_gradients):
        with pytest.raises(ValueError, match=message):
            check(Normalise(), np.ones((1, 2)), **options)
    with pytest.raises(ValueError, match="needs_dx is False, but must be True"):
        adjoint_identities(Normalise(), np.ones((1, 2)), needs_dx=False)


def test_parameters_and_input_are_left_as_they_were(rng):
    layer, x = conv(), image(rng)
    before = {name: value.copy() for name, value in layer.params.items()} | {"x": x.copy()}
    directional_derivatives(layer, x)
    adjoint_identities(layer, x)
    for name, value in {**layer.params, "x": x}.items():
        np.testing.assert_array_equal(value, before[name])


def test_single_precision_is_refused(rng):
    with pytest.raises(TypeError, match="x has dtype float32, but must have dtype float64"):
        directional_derivatives(conv(np.float32), image(rng).astype(np.float32))
    with pytest.raises(TypeError, match="w has dtype float32, but must have dtype float64"):
        directional_derivatives(conv(np.float32), image(rng))


def test_a_list_is_no_input():
    for check in (directional_derivatives, assert_gradients):
        with pytest.raises(TypeError, match="x is a list, but must be a NumPy array"):
            check(Normalise(), [[1.0, 2.0]])


def test_the_result_can_be_read():
    check = Check("w", 1.0, 1.5, 2.0, 0.1, compared=2, vacuous=1, uneven=1)
    assert check.error == 0.25
    assert str(check) == (
        "gradient of w: WRONG (backward says 1, forward says 1.5, relative error 2.5e-01, allowed 1.0e-01; "
        "directions: 2 compared, 1 with 0 on both sides, 1 across a kink)"
    )
    assert str(Check("b", 1.5, 1.5, 2.0, 0.1, 1)).startswith("gradient of b: right ")
    assert Check("b", 0.0, 0.0, 0.0, 0.1).error == 0
    assert Check("b", 1.0, 1.5, 1.0, 0.5, 1).passed
    assert not Check("b", 1.0, 1.5, 1.0, 0.25, 1).passed


def test_the_same_seed_gives_the_same_checks(rng):
    x = image(rng)
    assert directional_derivatives(conv(), x, 5) == directional_derivatives(conv(), x, np.random.default_rng(5))


def test_a_layer_without_dx_is_checked_without_it(rng):
    layer = conv()
    layer.needs_dx = False
    arguments = [check.argument for check in directional_derivatives(layer, image(rng), directions=1, needs_dx=False)]
    assert arguments == ["w", "b"]
    assert_gradients(layer, image(rng), needs_dx=False)
    for check in (directional_derivatives, adjoint_identities):
        with pytest.raises(ValueError, match=r"gradient of x is missing, but backward must give it"):
            check(layer, image(rng))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"change_db": lambda db: db.sum()}, r"gradient of b has shape \(\), but must have shape \(3,\)"),
        (
            {"change_dx": lambda dx: dx.sum(0)},
            r"gradient of x has shape \(5, 5, 2\), but must have shape \(2, 5, 5, 2\)",
        ),
        ({"change_dw": lambda dw: None}, "gradient of w is missing"),
    ],
)
def test_a_gradient_of_another_shape_does_not_pass_by_broadcasting(change, message, rng):
    with pytest.raises(ValueError, match=message):
        directional_derivatives(Sabotaged(conv(), **change), image(rng))


def test_a_forward_that_is_not_a_number_is_wrong_and_not_vacuous():
    class Undefined(Normalise):
        def forward(self, x):
            return x * np.nan

        def backward(self, dout):
            return np.zeros_like(dout)

    (check,) = directional_derivatives(Undefined(), np.ones((1, 2, 2, 1)))
    assert check.wrong
    assert np.isnan(check.error)


def test_an_identity_is_relative_to_the_sizes_of_the_gradient_and_of_its_argument():
    """⟨da, a⟩ is at most ‖da‖ ‖a‖."""
    (check,) = adjoint_identities(ReLU(backend="reference"), np.array([[3.0, 4, 12]]), rng=7)
    dout = draw_dout(np.random.default_rng(7), (1, 3))
    assert check.analytic == check.numeric == dout[0] @ [3, 4, 12]
    assert check.scale == pytest.approx(13 * np.linalg.norm(dout))


def test_a_dout_has_the_integers_from_1_to_4_with_both_signs(rng):
    dout = draw_dout(rng, (40, 10))
    assert set(dout.ravel()) == {-4, -3, -2, -1, 1, 2, 3, 4}


@pytest.mark.parametrize("count", [1, 2, 5])
def test_separated_values_lie_on_both_sides_of_0(count):
    values = np.sort(separated_values((count,), gap=2))
    np.testing.assert_array_equal(values, 2 * np.arange(count) - 2 * (count // 2) + 1)


def test_separated_values():
    values = separated_values((3, 4, 5), rng=2, gap=0.1)
    ordered = np.sort(values.ravel())
    assert np.diff(ordered).min() > 0.0999
    assert np.abs(values).min() > 0.0499
    assert values.shape == (3, 4, 5)


@pytest.mark.parametrize("gap", [0, -1, np.inf, np.nan])
def test_a_gap_is_above_0(gap):
    with pytest.raises(ValueError, match=r"gap is .*, but must be a finite number above 0"):
        separated_values((2, 3), gap=gap)


@pytest.mark.parametrize("seed", range(6))
def test_of_several_directions_the_worst_is_kept(seed, rng):
    """Whichever of them it is."""
    x = rng.standard_normal((2, 3, 3, 5))
    differences = Differences(Normalise(), x, draw_dout(rng, x.shape), None, 1e-7)
    wrong, generator = rng.standard_normal(x.shape), np.random.default_rng(seed)
    single = [differences.check("x", wrong, generator, 1) for _ in range(3)]
    found = differences.check("x", wrong, np.random.default_rng(seed), 3)
    assert found == replace(max(single, key=lambda check: check.error), compared=3)


@pytest.mark.parametrize(("uncertainty", "compared"), [(2.0**-11, 1), (1.01 * 2.0**-11, 0)])
def test_a_slope_is_certain_to_a_quarter_of_the_tolerance(uncertainty, compared, monkeypatch):
    """Of the gradient's size, or of the slope if that is larger, as 2 here. Else all steps are tried."""
    asked = []

    def slope(along, middle, dout, h):
        asked.append(h)
        return Slope(-2.0, uncertainty, 0.0)

    monkeypatch.setattr(slopes, "_slope", slope)
    one = np.ones((1, 1))
    check = Differences(Normalise(), one, one, None, 2.0**-10).check("x", one, np.random.default_rng(0), 1)
    assert (check.compared, check.uneven) == (compared, 1 - compared)
    assert asked == list(STEPS[:1] if compared else STEPS)


@pytest.mark.parametrize(
    ("wide", "near", "uncertainty"),
    [(4.0, 1.5, 0.0), (4.0, 1.625, 6.5), (0.0, 2.0**-16, 0.0), (0.0, 2.0**-15, 2.0**-13)],
)
def test_what_bends_no_less_with_half_the_step_is_a_kink(wide, near, uncertainty):
    """By hand: 5 + t, but for what is added on both sides of 0. A bend of 1e-4 of the slope may be rounding."""
    values = {1.0: 6 + wide, -1.0: 4 + wide, 0.5: 5.5 + near, -0.5: 4.5 + near}
    found = slopes._slope(lambda t: np.array([values[t]]), np.array([5.0]), np.array([1.0]), 1.0)
    assert found == Slope(1.0, uncertainty, 2 * 2.0**-52 * (10 + 2 * wide))
