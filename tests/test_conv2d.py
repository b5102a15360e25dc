"""The convolution's three functions, in every backend: loops = reference = cpu, adjoint identities, rounding."""

from __future__ import annotations

import loops
import numpy as np
import pytest
from hypothesis import example, given
from strategies import Case, cases
from tinyalexnet.kernels import load

from tinyalexnet.geometry import Window

BACKENDS = pytest.mark.parametrize("kernels", [load("reference"), load("cpu")], ids=["reference", "cpu"])

# Two images of 23x23 outputs: more pixels than one block of the compiled kernels, and not a multiple of it.
SEVERAL_BLOCKS = Case(Window(3, 1, "SAME"), (2, 23, 23, 2), 3, 1, 1)
FIRST_LAYER = Case(Window(11, 4), (2, 35, 31, 3), 5, 1, 2)
NARROWER_THAN_ITS_PADDING = Case(Window((3, 2), 1, ((4, 3), (3, 3))), (1, 1, 1, 1), 1, 1, 3)


@BACKENDS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(case=cases())
@example(case=SEVERAL_BLOCKS)
@example(case=FIRST_LAYER)
@example(case=NARROWER_THAN_ITS_PADDING)
def test_equals_the_loops_to_the_last_bit_on_integers(kernels, dtype, case):
    x, w, b, dout = case.integers(dtype)
    window, groups = case.window, case.groups
    out = kernels.conv2d_forward(x, w, b, window, groups, "gemm")
    dx = kernels.conv2d_backward_input(dout, w, x.shape, window, groups, "gemm")
    dw, db = kernels.conv2d_backward_params(dout, x, window, groups, "gemm")

    expected = loops.conv2d_forward(x, w, b, window.stride, case.pads, groups, case.out_size)
    expected_dx, expected_dw, expected_db = loops.conv2d_backward(x, w, dout, window.stride, case.pads, groups)
    np.testing.assert_array_equal(out, expected, strict=True)
    np.testing.assert_array_equal(dx, expected_dx, strict=True)
    np.testing.assert_array_equal(dw, expected_dw, strict=True)
    np.testing.assert_array_equal(db, expected_db, strict=True)


def test_the_examples_are_not_vacuous():
    """Most outputs of a typical case are not 0, so equality says something."""
    seen = []

    @given(case=cases())
    def look(case):
        x, w, b, _ = case.integers()
        seen.append(np.mean(load("reference").conv2d_forward(x, w, b, case.window, case.groups) != 0))

    look()
    assert np.mean(seen) > 0.7


@BACKENDS
@given(case=cases())
def test_backward_is_the_adjoint_of_forward(kernels, case):
    """⟨dout, conv(x, w)⟩ = ⟨x, dx⟩ = ⟨w, dw⟩: exact on integers, because every sum stays below 2**53."""
    x, w, b, dout = case.integers(np.float64)
    out = kernels.conv2d_forward(x, w, np.zeros_like(b), case.window, case.groups)
    dx = kernels.conv2d_backward_input(dout, w, x.shape, case.window, case.groups)
    dw, db = kernels.conv2d_backward_params(dout, x, case.window, case.groups)
    assert np.sum(dout * out) == np.sum(x * dx) == np.sum(w * dw)
    assert np.sum(b * db) == np.sum(dout * b)


def rounding_bound(terms, magnitude):
    """γₙ Σ|x||w| with γₙ = n u / (1 - n u), u = 2⁻²⁴: Higham, Accuracy and Stability of Numerical Algorithms, 3.1."""
    u = 2.0**-24
    return terms * u / (1 - terms * u) * magnitude


@BACKENDS
@given(case=cases())
@example(case=SEVERAL_BLOCKS)
def test_float32_rounds_no_more_than_any_order_of_summation_may(kernels, case):
    arrays = case.normals(np.float32)
    x, w, b, dout = arrays
    exact = [a.astype(np.float64) for a in arrays]
    sizes = [np.abs(a) for a in exact]
    window, groups, reference = case.window, case.groups, load("reference")

    def compare(found, function, arguments, terms):
        magnitude = function(*(sizes[i] for i in arguments))
        error = np.abs(found - function(*(exact[i] for i in arguments)))
        assert (error <= rounding_bound(terms, magnitude)).all()

    taps = w[..., 0].size
    compare(
        kernels.conv2d_forward(x, w, b, window, groups, "gemm"),
        lambda x, w, b: reference.conv2d_forward(x, w, b, window, groups),
        (0, 1, 2),
        taps + 1,
    )
    compare(
        kernels.conv2d_backward_input(dout, w, x.shape, window, groups, "gemm"),
        lambda dout, w: reference.conv2d_backward_input(dout, w, case.x_shape, window, groups),
        (3, 1),
        w.shape[0] * w.shape[1] * w.shape[3] // groups,
    )
    pixels = dout[..., 0].size
    for part in (0, 1):
        compare(
            kernels.conv2d_backward_params(dout, x, window, groups, "gemm")[part],
            lambda dout, x, part=part: reference.conv2d_backward_params(dout, x, window, groups)[part],
            (3, 0),
            pixels,
        )


@BACKENDS
def test_strided_input_works_and_is_left_alone(kernels, rng):
    case = Case(Window(3, 2, "SAME"), (2, 7, 6, 4), 6, 2, 5)
    x, w, b, dout = case.integers()
    wide = {name: np.repeat(a, 2, axis=-1) for name, a in {"x": x, "w": w, "b": b, "dout": dout}.items()}
    strided = {name: a[..., ::2] for name, a in wide.items()}
    assert not strided["x"].flags.c_contiguous
    before = {name: a.copy() for name, a in wide.items()}
    window, groups = case.window, case.groups
    np.testing.assert_array_equal(
        kernels.conv2d_forward(strided["x"], strided["w"], strided["b"], window, groups),
        kernels.conv2d_forward(x, w, b, window, groups),
    )
    np.testing.assert_array_equal(
        kernels.conv2d_backward_input(strided["dout"], strided["w"], x.shape, window, groups),
        kernels.conv2d_backward_input(dout, w, x.shape, window, groups),
    )
    found = kernels.conv2d_backward_params(strided["dout"], strided["x"], window, groups)
    for got, expected in zip(found, kernels.conv2d_backward_params(dout, x, window, groups), strict=True):
        np.testing.assert_array_equal(got, expected)
    for name, a in wide.items():
        np.testing.assert_array_equal(a, before[name])


@BACKENDS
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_reach_the_windows_they_are_in_and_no_others(kernels, value):
    case = Case(Window(3, 1), (1, 6, 6, 2), 2, 1, 7)
    x, w, b, dout = case.normals(np.float32)
    w[w == 0] = 1
    poisoned = x.copy()
    poisoned[0, 0, 0, 0] = value
    with np.errstate(invalid="ignore"):
        out = kernels.conv2d_forward(poisoned, w, b, case.window)
        assert not np.isfinite(out[0, 0, 0]).any()
        assert np.isfinite(out[0, 1:]).all()
        dw, _ = kernels.conv2d_backward_params(dout, poisoned, case.window)
        assert not np.isfinite(dw[0, 0, 0]).any()
        assert np.isfinite(dw[1:]).all()
        dout[0, 0, 0, 0] = value
        dx = kernels.conv2d_backward_input(dout, w, x.shape, case.window)
        assert not np.isfinite(dx[0, :3, :3]).any()
        assert np.isfinite(dx[0, 3:]).all()


@BACKENDS
def test_an_input_of_0_gives_the_bias(kernels):
    b = np.array([1, -2], np.float32)
    zeros = np.zeros((1, 3, 3, 1), np.float32)
    out = kernels.conv2d_forward(zeros, np.ones((3, 3, 1, 2), np.float32), b, Window(3, 1, "SAME"))
    np.testing.assert_array_equal(out, np.broadcast_to(b, (1, 3, 3, 2)))
