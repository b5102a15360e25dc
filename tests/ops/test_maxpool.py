"""Max-pooling: equal to the loops, with ties, NaN and windows that overlap."""

from __future__ import annotations

import loops
import numpy as np
import pytest
from backends import JIT
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import Case, cases

from tinyalexnet.geometry import Window
from tinyalexnet.gradcheck import separated_values
from tinyalexnet.ops.maxpool import argmax_dtype, cpu, maxpool_backward, maxpool_forward

ALEXNET_POOL = Case(Window(3, 2), (2, 13, 13, 5), 5, 1, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(case=cases(pooling=True), span=st.sampled_from([1, 4]))
@example(case=ALEXNET_POOL, span=4)
def test_equals_the_loops_and_the_first_of_equals_wins(run, dtype, case, span):
    """Integers from -1 to 1 tie in nearly every window."""
    rng = np.random.default_rng(case.seed)
    x = rng.integers(-span, span + 1, case.x_shape).astype(dtype)
    out, argmax = run(maxpool_forward, x, case.window)
    dout = rng.integers(-4, 5, out.shape).astype(dtype)
    dx = run(maxpool_backward, dout, argmax, x.shape, case.window)
    expected, expected_argmax, expected_dx = loops.maxpool(x, dout, case.window.kernel, case.window.stride, case.pads)
    np.testing.assert_array_equal(out, expected, strict=True)
    np.testing.assert_array_equal(argmax, expected_argmax)
    np.testing.assert_array_equal(dx, expected_dx, strict=True)


@pytest.mark.parametrize("window", [Window(3, 2), Window(2, 3), Window(2, 1, "SAME")], ids=str)
def test_of_large_images_rows_are_fetched_and_the_result_is_the_same(rng, monkeypatch, window):
    """Compiled, a constant is what it was: so there the images are large."""
    monkeypatch.setattr(cpu, "NEAR_BYTES", 0)
    shape = (3, 75, 75, 64) if JIT else (2, 7, 8, 3)
    x = rng.integers(-9, 10, shape).astype(np.float32)
    assert not JIT or x.nbytes > 4 << 20
    expected = maxpool_forward(x, window, "reference")
    for found, each in zip(maxpool_forward(x, window, "cpu"), expected, strict=True):
        np.testing.assert_array_equal(found, each, strict=True)


@given(case=cases(pooling=True))
def test_backward_is_the_adjoint_of_the_selection(run, case):
    """⟨dout, pool(x)⟩ = ⟨x, dx⟩, and the gradient that goes in comes out: Σ dx = Σ dout."""
    x, _, _, dout = case.integers(np.float64)
    out, argmax = run(maxpool_forward, x, case.window)
    dx = run(maxpool_backward, dout, argmax, x.shape, case.window)
    assert np.sum(dout * out) == np.sum(x * dx)
    assert np.sum(dx) == np.sum(dout)


def test_overlapping_windows_add(run):
    """The middle of a 3x3 peak belongs to all four 2x2 windows of stride 1."""
    x = np.zeros((1, 3, 3, 1), np.float32)
    x[0, 1, 1, 0] = 1
    _, argmax = run(maxpool_forward, x, Window(2, 1))
    dx = run(maxpool_backward, np.ones((1, 2, 2, 1), np.float32), argmax, x.shape, Window(2, 1))
    assert dx[0, 1, 1, 0] == 4
    assert dx.sum() == 4


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@given(case=cases(pooling=True))
def test_passes_nan_and_infinity(run, value, case):
    rng = np.random.default_rng(case.seed)
    x = rng.standard_normal(case.x_shape).astype(np.float32)
    x[rng.random(case.x_shape) < 0.3] = value
    out, argmax = run(maxpool_forward, x, case.window)
    dout = rng.integers(-4, 5, out.shape).astype(np.float32)
    dx = run(maxpool_backward, dout, argmax, x.shape, case.window)
    expected, expected_argmax, expected_dx = loops.maxpool(x, dout, case.window.kernel, case.window.stride, case.pads)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(argmax, expected_argmax)
    np.testing.assert_array_equal(dx, expected_dx)


def test_a_pool_of_minus_infinities_points_inside_the_image(run):
    x = np.full((1, 2, 2, 1), -np.inf, np.float32)
    out, argmax = run(maxpool_forward, x, Window(2, 1, ((1, 0), (1, 0))))
    assert (out == -np.inf).all()
    dx = run(maxpool_backward, np.ones_like(out), argmax, x.shape, Window(2, 1, ((1, 0), (1, 0))))
    assert dx.sum() == out.size


def test_nan_and_infinity_win_the_windows_they_are_in(run):
    x = np.full((1, 4, 4, 2), -np.inf, np.float32)
    x[0, 1, 2, 0] = np.nan
    x[0, 3, 0, 1] = np.inf
    window = Window(3, 1, "SAME")
    out, argmax = run(maxpool_forward, x, window)
    expected, expected_argmax, _ = loops.maxpool(x, np.zeros_like(x), (3, 3), (1, 1), window.pads((4, 4)))
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(argmax, expected_argmax)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("window", "shape"),
    [
        (Window(3, 2), (2, 13, 11, 8)),
        (Window(3, 2, "SAME"), (2, 8, 9, 4)),
        (Window(2, 3), (1, 8, 9, 4)),
        (Window(3, 1, "SAME"), (1, 5, 6, 8)),
        (Window((2, 3), (2, 1), ((1, 0), (2, 1))), (2, 5, 6, 8)),
        (Window(5, 2, 2), (1, 9, 9, 4)),
        (Window(4, 4), (3, 4, 4, 4)),
    ],
)
def test_channels_by_four(run, rng, dtype, window, shape):
    """Channels that are a multiple of four, with ties, NaN and windows of -inf alone: the same bits as the loops'."""
    x = rng.integers(-2, 3, shape).astype(dtype)
    x[rng.random(shape) < 0.3] = -np.inf
    x[rng.random(shape) < 0.03] = np.nan
    x[0, :3, :3] = -np.inf
    out, argmax = run(maxpool_forward, x, window)
    dout = rng.integers(-4, 5, out.shape).astype(dtype)
    dx = run(maxpool_backward, dout, argmax, shape, window)
    expected, expected_argmax, expected_dx = loops.maxpool(
        x, dout, window.kernel, window.stride, window.pads(shape[1:3])
    )
    np.testing.assert_array_equal(out, expected, strict=True)
    np.testing.assert_array_equal(argmax, expected_argmax)
    np.testing.assert_array_equal(dx, expected_dx, strict=True)
    assert np.isnan(out).any()
    assert np.isfinite(out).any()


@pytest.mark.cuda
@pytest.mark.parametrize("window", [Window(3, 2), Window(3, 2, "SAME"), Window(2, 1)])
def test_kernels_for_four_channels_round_as_the_others(run, rng, window):
    """Each group of three channels, alone, takes the kernels for one channel."""
    x = rng.standard_normal((2, 7, 8, 12)).astype(np.float32)
    out, argmax = run(maxpool_forward, x, window)
    dout = rng.standard_normal(out.shape).astype(np.float32)
    dx = run(maxpool_backward, dout, argmax, x.shape, window)
    for first in range(0, 12, 3):
        some = slice(first, first + 3)
        alone, alone_argmax = run(maxpool_forward, x[..., some], window)
        alone_dx = run(maxpool_backward, dout[..., some], alone_argmax, (2, 7, 8, 3), window)
        assert alone.tobytes() == out[..., some].tobytes()
        assert alone_argmax.tobytes() == argmax[..., some].tobytes()
        assert alone_dx.tobytes() == dx[..., some].tobytes()


def test_a_large_window_needs_more_than_a_byte(run):
    x = np.zeros((1, 17, 17, 1), np.float32)
    x[0, 16, 16, 0] = 1
    out, argmax = run(maxpool_forward, x, Window(17))
    assert out.item() == 1
    assert argmax.item() == 17 * 17 - 1
    assert argmax.dtype == np.int32
    dx = run(maxpool_backward, np.ones_like(out), argmax, x.shape, Window(17))
    assert dx[0, 16, 16, 0] == dx.sum() == 1


@pytest.mark.parametrize(("kernel", "dtype"), [((1, 256), np.uint8), ((256, 1), np.uint8), ((257, 1), np.int32)])
def test_one_byte_holds_256_positions(kernel, dtype):
    assert argmax_dtype(Window(kernel)) == dtype


@pytest.mark.parametrize("sign", [1, -1])
def test_no_position_beyond_a_window_is_taken_for_one_of_its_256(run, rng, sign):
    """The winners are in the last row of each window, or in its first: a byte counts on from 255 to 0."""
    x = sign * np.arange(22 * 18, dtype=np.float32).reshape(1, 22, 18, 1)
    window = Window(16, (2, 1))
    out, argmax = run(maxpool_forward, x, window)
    dout = rng.integers(1, 5, out.shape).astype(np.float32)
    expected, expected_argmax, expected_dx = loops.maxpool(x, dout, (16, 16), (2, 1), ((0, 0), (0, 0)))
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(argmax, expected_argmax)
    np.testing.assert_array_equal(run(maxpool_backward, dout, argmax, x.shape, window), expected_dx)


def test_strided_input(run, rng):
    run.skip_without_views()
    x = rng.standard_normal((2, 9, 7, 6)).astype(np.float32)[..., ::2]
    out, argmax = run(maxpool_forward, x, Window(3, 2))
    expected, expected_argmax = run(maxpool_forward, x.copy(), Window(3, 2))
    np.testing.assert_array_equal(out, expected)
    dout = rng.standard_normal((*out.shape[:3], 6)).astype(np.float32)[..., ::2]
    dx = run(maxpool_backward, dout, np.repeat(argmax, 2, axis=3)[..., ::2], x.shape, Window(3, 2))
    np.testing.assert_array_equal(dx, run(maxpool_backward, dout.copy(), expected_argmax, x.shape, Window(3, 2)))


def test_follows_a_small_change(run):
    """On separated values the pool is locally linear, with dx as its slope."""
    x = separated_values((2, 7, 7, 3))
    out, argmax = run(maxpool_forward, x, Window(3, 2))
    rng = np.random.default_rng(0)
    dout, v = rng.standard_normal(out.shape), rng.standard_normal(x.shape)
    dx = run(maxpool_backward, dout, argmax, x.shape, Window(3, 2))
    change = (run(maxpool_forward, x + 1e-4 * v, Window(3, 2))[0] - out) / 1e-4
    np.testing.assert_allclose(np.sum(dout * change), np.sum(dx * v), rtol=1e-9)
