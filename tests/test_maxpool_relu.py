"""Max-pooling and ReLU, in every backend."""

from __future__ import annotations

import loops
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from strategies import Case, cases
from tinyalexnet.kernels import load

from tinyalexnet.geometry import Window
from tinyalexnet.gradcheck import separated_values

BACKENDS = pytest.mark.parametrize("kernels", [load("reference"), load("cpu")], ids=["reference", "cpu"])
ALEXNET_POOL = Case(Window(3, 2), (2, 13, 13, 5), 5, 1, 1)


@BACKENDS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(case=cases(pooling=True), span=st.sampled_from([1, 4]))
@example(case=ALEXNET_POOL, span=4)
def test_maxpool_equals_the_loops_and_the_first_of_equals_wins(kernels, dtype, case, span):
    """Integers from -1 to 1 tie in nearly every window."""
    rng = np.random.default_rng(case.seed)
    x = rng.integers(-span, span + 1, case.x_shape).astype(dtype)
    out, argmax = kernels.maxpool_forward(x, case.window)
    dout = rng.integers(-4, 5, out.shape).astype(dtype)
    dx = kernels.maxpool_backward(dout, argmax, x.shape, case.window)
    expected, expected_argmax, expected_dx = loops.maxpool(x, dout, case.window.kernel, case.window.stride, case.pads)
    np.testing.assert_array_equal(out, expected, strict=True)
    np.testing.assert_array_equal(argmax, expected_argmax)
    np.testing.assert_array_equal(dx, expected_dx, strict=True)


@BACKENDS
@given(case=cases(pooling=True))
def test_maxpool_backward_is_the_adjoint_of_the_selection(kernels, case):
    """⟨dout, pool(x)⟩ = ⟨x, dx⟩, and the gradient that goes in comes out: Σ dx = Σ dout."""
    x, _, _, dout = case.integers(np.float64)
    out, argmax = kernels.maxpool_forward(x, case.window)
    dx = kernels.maxpool_backward(dout, argmax, x.shape, case.window)
    assert np.sum(dout * out) == np.sum(x * dx)
    assert np.sum(dx) == np.sum(dout)


@BACKENDS
def test_maxpool_adds_where_windows_overlap(kernels):
    """The middle of a 3x3 peak belongs to all four 2x2 windows of stride 1."""
    x = np.zeros((1, 3, 3, 1), np.float32)
    x[0, 1, 1, 0] = 1
    _, argmax = kernels.maxpool_forward(x, Window(2, 1))
    dx = kernels.maxpool_backward(np.ones((1, 2, 2, 1), np.float32), argmax, x.shape, Window(2, 1))
    assert dx[0, 1, 1, 0] == 4
    assert dx.sum() == 4


@BACKENDS
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@given(case=cases(pooling=True))
def test_maxpool_passes_nan_and_infinity(kernels, value, case):
    rng = np.random.default_rng(case.seed)
    x = rng.standard_normal(case.x_shape).astype(np.float32)
    x[rng.random(case.x_shape) < 0.3] = value
    out, argmax = kernels.maxpool_forward(x, case.window)
    dout = rng.integers(-4, 5, out.shape).astype(np.float32)
    dx = kernels.maxpool_backward(dout, argmax, x.shape, case.window)
    expected, expected_argmax, expected_dx = loops.maxpool(x, dout, case.window.kernel, case.window.stride, case.pads)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(argmax, expected_argmax)
    np.testing.assert_array_equal(dx, expected_dx)


@BACKENDS
def test_a_pool_of_minus_infinities_points_inside_the_image(kernels):
    x = np.full((1, 2, 2, 1), -np.inf, np.float32)
    out, argmax = kernels.maxpool_forward(x, Window(2, 1, ((1, 0), (1, 0))))
    assert (out == -np.inf).all()
    dx = kernels.maxpool_backward(np.ones_like(out), argmax, x.shape, Window(2, 1, ((1, 0), (1, 0))))
    assert dx.sum() == out.size


@BACKENDS
def test_a_large_window_needs_more_than_a_byte(kernels):
    x = np.zeros((1, 17, 17, 1), np.float32)
    x[0, 16, 16, 0] = 1
    out, argmax = kernels.maxpool_forward(x, Window(17))
    assert out.item() == 1
    assert argmax.item() == 17 * 17 - 1
    assert argmax.dtype == np.int32
    dx = kernels.maxpool_backward(np.ones_like(out), argmax, x.shape, Window(17))
    assert dx[0, 16, 16, 0] == dx.sum() == 1


@BACKENDS
def test_maxpool_takes_strided_input(kernels, rng):
    x = rng.standard_normal((2, 9, 7, 6)).astype(np.float32)[..., ::2]
    out, argmax = kernels.maxpool_forward(x, Window(3, 2))
    expected, expected_argmax = kernels.maxpool_forward(x.copy(), Window(3, 2))
    np.testing.assert_array_equal(out, expected)
    dout = rng.standard_normal((*out.shape[:3], 6)).astype(np.float32)[..., ::2]
    dx = kernels.maxpool_backward(dout, np.repeat(argmax, 2, axis=3)[..., ::2], x.shape, Window(3, 2))
    np.testing.assert_array_equal(dx, kernels.maxpool_backward(dout.copy(), expected_argmax, x.shape, Window(3, 2)))


@BACKENDS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_relu_and_its_derivative_of_0_at_0(kernels, dtype):
    x = np.array([-np.inf, -1, -0.0, 0, 1e-40, 2, np.inf, np.nan], dtype)
    y = kernels.relu_forward(x)
    np.testing.assert_array_equal(y, np.array([0, 0, 0, 0, 1e-40, 2, np.inf, np.nan], dtype), strict=True)
    dx = kernels.relu_backward(np.arange(3, 11).astype(dtype), y)
    np.testing.assert_array_equal(dx, np.array([0, 0, 0, 0, 7, 8, 9, 10], dtype), strict=True)


@BACKENDS
def test_relu_does_not_let_a_dead_unit_leak_infinity(kernels):
    """0 times infinity is NaN: the gradient is chosen, not multiplied."""
    dx = kernels.relu_backward(np.array([np.inf, np.nan], np.float32), np.zeros(2, np.float32))
    np.testing.assert_array_equal(dx, np.zeros(2, np.float32))


@BACKENDS
@given(shape=st.lists(st.integers(0, 5), max_size=5), seed=st.integers(0, 1000))
def test_relu_of_any_shape_in_place_and_not(kernels, shape, seed):
    assume(np.prod(shape) < 500)
    rng = np.random.default_rng(seed)
    x, dout = (rng.integers(-4, 5, shape).astype(np.float32) for _ in range(2))
    before = x.copy()
    y = kernels.relu_forward(x)
    dx = kernels.relu_backward(dout, y)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(y, np.maximum(before, 0), strict=True)
    np.testing.assert_array_equal(dx, dout * (before > 0))
    assert kernels.relu_forward(x, x) is x
    assert kernels.relu_backward(dout, x, dout) is dout
    np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(dout, dx)


@BACKENDS
def test_relu_takes_strided_input(kernels, rng):
    x = rng.standard_normal((4, 6)).T
    np.testing.assert_array_equal(kernels.relu_forward(x), np.maximum(x, 0))
    y = kernels.relu_forward(x)
    np.testing.assert_array_equal(kernels.relu_backward(x, y), np.where(x > 0, x, 0))


@BACKENDS
def test_maxpool_follows_a_small_change(kernels):
    """On separated values the pool is locally linear, with dx as its slope."""
    x = separated_values((2, 7, 7, 3))
    out, argmax = kernels.maxpool_forward(x, Window(3, 2))
    rng = np.random.default_rng(0)
    dout, v = rng.standard_normal(out.shape), rng.standard_normal(x.shape)
    dx = kernels.maxpool_backward(dout, argmax, x.shape, Window(3, 2))
    change = (kernels.maxpool_forward(x + 1e-4 * v, Window(3, 2))[0] - out) / 1e-4
    np.testing.assert_allclose(np.sum(dout * change), np.sum(dx * v), rtol=1e-9)
