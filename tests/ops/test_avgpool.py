"""Average-pooling: equal to the loops, adjoint, and rounding."""

from __future__ import annotations

import loops
import numpy as np
import pytest
from hypothesis import given
from strategies import cases

from tinyalexnet.geometry import Window
from tinyalexnet.ops.avgpool import avgpool_backward, avgpool_forward


@given(case=cases(pooling=True))
def test_equals_the_loops(run, case):
    """Sums of small integers are exact, so forward differs by the rounding of one division: one unit in 2**53."""
    x, _, _, dout = case.integers(np.float64)
    out = run(avgpool_forward, x, case.window)
    dx = run(avgpool_backward, dout, x.shape, case.window)
    expected, expected_dx = loops.avgpool(x, dout, case.window.kernel, case.window.stride, case.pads)
    np.testing.assert_allclose(out, expected, rtol=2**-52, strict=True)
    np.testing.assert_allclose(dx, expected_dx, rtol=0, atol=25 * 4 * 2**-52, strict=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("window", "shape"),
    [(Window(2, 1, "SAME"), (2, 8, 9, 8)), (Window((2, 4), 3), (1, 8, 9, 4)), (Window(4), (3, 4, 4, 4))],
)
def test_channels_by_four(run, rng, dtype, window, shape):
    """Windows have 1, 2, 4, 8 or 16 pixels: of multiples of 16 all shares are integers, and nothing rounds."""
    x = 16 * rng.integers(-4, 5, shape).astype(dtype)
    dout = 16 * rng.integers(-4, 5, (shape[0], *window.output_size(shape[1:3]), shape[3])).astype(dtype)
    expected, expected_dx = loops.avgpool(x, dout, window.kernel, window.stride, window.pads(shape[1:3]))
    assert np.abs(expected_dx).max() > 1
    np.testing.assert_array_equal(run(avgpool_forward, x, window), expected.astype(dtype), strict=True)
    dx = run(avgpool_backward, dout, shape, window)
    np.testing.assert_array_equal(dx, expected_dx.astype(dtype), strict=True)


@given(case=cases(pooling=True))
def test_backward_is_the_adjoint(run, case):
    x, _, _, dout = case.integers(np.float64)
    out, dx = run(avgpool_forward, x, case.window), run(avgpool_backward, dout, x.shape, case.window)
    np.testing.assert_allclose(np.sum(dout * out), np.sum(x * dx), rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(np.sum(dx), np.sum(dout), rtol=1e-12, atol=1e-10)


def test_in_float32_of_strided_input(run, rng):
    run.skip_without_views()
    x = rng.integers(-4, 5, (2, 6, 6, 8)).astype(np.float32)[..., ::2]
    out = run(avgpool_forward, x, Window(2, 2))
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, x.reshape(2, 3, 2, 3, 2, 4).sum(axis=(2, 4)) / 4)
    dx = run(avgpool_backward, out[..., ::-1], x.shape, Window(2, 2))
    np.testing.assert_array_equal(dx, np.repeat(np.repeat(out[..., ::-1], 2, axis=1), 2, axis=2) / 4)


@given(case=cases(pooling=True))
def test_rounds_within_the_derived_bound(run, case):
    """In float32: |error| <= γ Σ |terms| with γ = n u / (1 - n u), u = 2⁻²⁴, for n additions and a division each."""
    x, _, _, dout = case.normals(np.float32)
    terms = np.prod(case.window.kernel) + 2
    gamma = terms * 2**-24 / (1 - terms * 2**-24)
    for found, function, values, rest in [
        (run(avgpool_forward, x, case.window), avgpool_forward, x, (case.window,)),
        (run(avgpool_backward, dout, x.shape, case.window), avgpool_backward, dout, (x.shape, case.window)),
    ]:
        exact, size = (
            function(a, *rest, backend="reference") for a in (values.astype(float), abs(values).astype(float))
        )
        assert found.dtype == np.float32
        assert (np.abs(found - exact) <= gamma * size).all()
