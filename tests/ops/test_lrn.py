"""LRN (local response normalisation): the formula and its backward."""

from __future__ import annotations

import loops
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyalexnet.ops.lrn import lrn_backward, lrn_forward

# alpha is not small: at the usual 1e-4 the sum over the neighbours could be left out of the backward unnoticed.
OPTIONS = st.tuples(
    st.integers(0, 7), st.sampled_from([0.5, 1.0, 2.0]), st.floats(0.1, 1), st.sampled_from([0.0, 0.5, 0.75, 1.0, 1.3])
)
SHAPES = st.tuples(*(st.integers(1, most) for most in (2, 3, 3, 9)))


@given(shape=SHAPES, options=OPTIONS, seed=st.integers(0, 1000))
def test_it_is_the_formula(run, shape, options, seed):
    """Sums of 15 squares of one sign and a few roundings more: 40 units in the last place of float64, 2**-53."""
    rng = np.random.default_rng(seed)
    x, dout = rng.standard_normal(shape), rng.standard_normal(shape)
    radius, _, alpha, beta = options
    out, scale = run(lrn_forward, x, *options)
    dx = run(lrn_backward, dout, x, scale, radius, alpha, beta)
    expected, expected_scale, expected_dx = loops.lrn(x, dout, *options)
    np.testing.assert_allclose(scale, expected_scale, rtol=40 * 2**-53)
    np.testing.assert_allclose(out, expected, rtol=40 * 2**-53)
    # In dx terms of both signs add up: the error is relative to the terms.
    terms = np.abs(dout).max() * (1 + 30 * alpha * np.square(x).max())
    np.testing.assert_allclose(dx, expected_dx, rtol=0, atol=100 * 2**-53 * terms)


@given(shape=SHAPES, options=OPTIONS, seed=st.integers(0, 1000))
def test_float32_rounds_little(run, shape, options, seed):
    """Against float64: as above, 40 units in the last place, here 2**-24."""
    x = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    out, scale = run(lrn_forward, x, *options)
    exact, exact_scale = lrn_forward(x.astype(np.float64), *options, backend="reference")
    assert out.dtype == scale.dtype == np.float32
    np.testing.assert_allclose(scale, exact_scale, rtol=40 * 2**-24)
    np.testing.assert_allclose(out, exact, rtol=40 * 2**-24)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "radius", "beta"),
    [
        ((2, 5, 6, 20), 2, 0.75),
        ((2, 9, 8, 12), 5, 1.3),
        ((1, 7, 9, 20), 8, 0.5),
        ((1, 3, 2, 20), 9, 0.75),
        ((3, 1, 1, 4), 7, 0.75),
    ],
)
def test_channels_by_four(run, rng, dtype, shape, radius, beta):
    """Channels that are a multiple of four, and more elements than a block of threads has: the bounds are those above,
    for the larger windows in proportion."""
    x, dout = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    out, scale = run(lrn_forward, x, radius, 1.0, 0.5, beta)
    dx = run(lrn_backward, dout, x, scale, radius, 0.5, beta)
    wide = x.astype(np.float64)
    exact, exact_scale = lrn_forward(wide, radius, 1.0, 0.5, beta, backend="reference")
    exact_dx = lrn_backward(dout.astype(np.float64), wide, exact_scale, radius, 0.5, beta, backend="reference")
    unit = np.finfo(dtype).eps / 2
    np.testing.assert_allclose(scale, exact_scale, rtol=50 * unit)
    np.testing.assert_allclose(out, exact, rtol=50 * unit)
    np.testing.assert_allclose(dx, exact_dx, rtol=0, atol=128 * unit * np.abs(exact_dx).max())
    assert (dx.dtype, out.dtype, scale.dtype) == (dtype,) * 3


def test_on_integers_the_sums_are_exact(run, rng):
    x = rng.integers(-4, 5, (2, 3, 2, 11)).astype(np.float32)
    _, scale = run(lrn_forward, x, 2, 2.0, 1.0, 0.75)
    expected = loops.lrn(x, np.ones_like(x), 2, 2.0, 1.0, 0.75)[1]
    np.testing.assert_array_equal(scale, expected, strict=True)


def test_nan_and_infinity_reach_their_neighbours_and_no_others(run):
    x = np.ones((1, 1, 2, 9), np.float32)
    x[0, 0, 0, 4] = np.nan
    out, scale = run(lrn_forward, x, 2, 1.0, 1.0, 0.75)
    assert np.isnan(out[0, 0, 0, 2:7]).all()
    assert np.isfinite(out[0, 0, 0, [0, 1, 7, 8]]).all()
    assert np.isfinite(out[0, 0, 1]).all()
    dx = run(lrn_backward, np.ones_like(x), x, scale, 2, 1.0, 0.75)
    assert np.isnan(dx[0, 0, 0, 4])
    assert np.isfinite(dx[0, 0, 1]).all()
    x[0, 0, 0, 4] = np.inf
    with np.errstate(invalid="ignore"):
        out, _ = run(lrn_forward, x, 2, 1.0, 1.0, 0.75)
    assert np.isnan(out[0, 0, 0, 4])
    assert (out[0, 0, 0, [2, 3, 5, 6]] == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(shape=SHAPES, options=OPTIONS, seed=st.integers(0, 1000))
def test_backward_is_near_the_reference_in_float64(run, dtype, shape, options, seed):
    """64 units in the last place of the largest element: the order of the sums differs, and so does the power."""
    rng = np.random.default_rng(seed)
    x, dout = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    radius, _, alpha, beta = options
    _, scale = run(lrn_forward, x, *options)
    dx = run(lrn_backward, dout, x, scale, radius, alpha, beta)
    exact = [array.astype(np.float64) for array in (dout, x, scale)]
    expected = lrn_backward(*exact, radius, alpha, beta, backend="reference")
    assert dx.dtype == dtype
    np.testing.assert_allclose(dx, expected, rtol=0, atol=64 * np.finfo(dtype).eps * max(1, np.abs(expected).max()))


def test_strided_input(run, rng):
    run.skip_without_views()
    x = rng.standard_normal((2, 3, 4, 10))[..., ::2]
    out, scale = run(lrn_forward, x, 2, 1.0, 0.5, 0.75)
    np.testing.assert_array_equal(out, run(lrn_forward, x.copy(), 2, 1.0, 0.5, 0.75)[0])
    dx = run(lrn_backward, x, x, scale, 2, 0.5, 0.75)
    np.testing.assert_array_equal(dx, run(lrn_backward, x.copy(), x.copy(), scale, 2, 0.5, 0.75))
