"""Half the sum of squares: exact on integers, summed in float64."""

from __future__ import annotations

import numpy as np
import pytest
from backends import scalar
from hypothesis import given
from hypothesis import strategies as st

from tinyalexnet.ops.l2_loss import l2_loss


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1,), (3, 2, 5, 7), (255,), (256,), (257,), (1000,), (5381,)])
def test_exact_on_integers(run, rng, shape, dtype):
    y = rng.integers(-9, 10, shape).astype(dtype)
    loss, dout = run(l2_loss, y)
    assert 2 * scalar(loss) == sum(int(value) ** 2 for value in y.ravel())
    np.testing.assert_array_equal(dout, y, strict=True)
    assert not np.shares_memory(dout, y)


def test_the_sum_is_in_float64(run):
    y = np.full((3, 1000), 1e4, np.float32)
    y[1] = 1
    loss, dout = run(l2_loss, y)
    assert 2 * scalar(loss) == 2000 * 1e8 + 1000  # float32 would lose the 1000
    np.testing.assert_array_equal(dout, y)


def test_strided_input(run):
    run.skip_without_views()
    y = np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2]
    loss, dout = run(l2_loss, y)
    assert 2 * loss == np.sum(y * y)
    np.testing.assert_array_equal(dout, y)


@given(seed=st.integers(0, 1000))
def test_the_gradient_is_the_slope(run, seed):
    """Quadratic, so the central difference is exact for any step."""
    y, v = np.random.default_rng(seed).standard_normal((2, 5, 3))
    _, dout = run(l2_loss, y)
    up, down = (scalar(run(l2_loss, y + step * v)[0]) for step in (1, -1))
    np.testing.assert_allclose((up - down) / 2, np.sum(dout * v), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_pass(run, value):
    y = np.array([1, value], np.float32)
    loss, dout = run(l2_loss, y)
    np.testing.assert_array_equal(scalar(loss), value)
    np.testing.assert_array_equal(dout, y)
