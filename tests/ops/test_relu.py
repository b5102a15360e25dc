"""ReLU: exact, also in place, for zeros of both signs, NaN and infinity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tinyalexnet.ops.relu import relu_backward, relu_forward
from tinyalexnet.strategies import integer_arrays


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_formula_and_its_derivative_of_0_at_0(run, dtype):
    x = np.array([-np.inf, -1, -0.0, 0, 1e-40, 2, np.inf, np.nan], dtype)
    y = run(relu_forward, x)
    np.testing.assert_array_equal(y, np.array([0, 0, 0, 0, 1e-40, 2, np.inf, np.nan], dtype), strict=True)
    assert not np.signbit(y[:4]).any()
    dx = run(relu_backward, np.arange(3, 11).astype(dtype), y)
    np.testing.assert_array_equal(dx, np.array([0, 0, 0, 0, 7, 8, 9, 10], dtype), strict=True)


def test_a_dead_unit_does_not_leak_infinity(run):
    """0 times infinity is NaN: the gradient is chosen, not multiplied."""
    dx = run(relu_backward, np.array([np.inf, np.nan], np.float32), np.zeros(2, np.float32))
    np.testing.assert_array_equal(dx, np.zeros(2, np.float32))


@given(shape=st.lists(st.integers(0, 5), max_size=5), data=st.data())
def test_any_shape_in_place_and_not(run, shape, data):
    assume(np.prod(shape) < 500)
    x, dout = (data.draw(integer_arrays(tuple(shape))) for _ in range(2))
    before = x.copy()
    y = run(relu_forward, x)
    dx = run(relu_backward, dout, y)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(y, np.maximum(before, 0), strict=True)
    np.testing.assert_array_equal(dx, dout * (before > 0))
    x, dout = map(run.to_device, (x, dout))
    assert relu_forward(x, x, run.name) is x
    assert relu_backward(dout, x, dout, run.name) is dout
    np.testing.assert_array_equal(run.to_host(x), y)
    np.testing.assert_array_equal(run.to_host(dout), dx)


def test_strided_input(run, rng):
    run.skip_without_views()
    x = rng.standard_normal((4, 6)).T
    np.testing.assert_array_equal(run(relu_forward, x), np.maximum(x, 0))
    y = run(relu_forward, x)
    np.testing.assert_array_equal(run(relu_backward, x, y), np.where(x > 0, x, 0))
