"""The update of momentum: exact on integers, in place, and the same bits on every processor."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyalexnet.ops.momentum import momentum_step


def step(run, w, v, dw, *factors):
    """w and v after the step."""
    w, v, dw = (run.to_device(array.copy()) for array in (w, v, dw))
    assert momentum_step(w, v, dw, *factors, backend=run.name) is None
    return run.to_host(w), run.to_host(v)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(
    shape=st.lists(st.integers(0, 9), max_size=3),
    halves=st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)),
    seed=st.integers(0, 1000),
)
def test_exact_on_integers(run, dtype, shape, halves, seed):
    """Small integers times powers of ½: nothing rounds, fused or not."""
    rng = np.random.default_rng(seed)
    w, v, dw = (rng.integers(-8, 9, shape).astype(dtype) for _ in range(3))
    rate, momentum, decay = (0.5**power for power in halves)
    moved, velocity = step(run, w, v, dw, rate, momentum, decay)
    for index in np.ndindex(*shape):
        expected = momentum * float(v[index]) - rate * (decay * float(w[index]) + float(dw[index]))
        assert velocity[index] == expected
        assert moved[index] == float(w[index]) + expected
    assert (moved.dtype, velocity.dtype) == (dtype, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_backends_round_alike(run, rng, dtype):
    """On a processor to the last bit: no operation is fused. A GPU fuses, and so rounds less: two units in all."""
    w, v, dw = (rng.standard_normal((1000, 7)).astype(dtype) for _ in range(3))
    factors = 0.01, 0.9, 5e-4
    change = (factors[2] * w + dw) * factors[0]
    velocity = factors[1] * v - change
    for found, expected in zip(step(run, w, v, dw, *factors), (w + velocity, velocity), strict=True):
        assert found.dtype == dtype
        if run.device.on_host:
            np.testing.assert_array_equal(found, expected, strict=True)
        np.testing.assert_allclose(found, expected, rtol=0, atol=2 * np.finfo(dtype).eps * np.abs(expected).max())
        assert (found != (w if expected is not velocity else v)).any()


def test_a_strided_gradient(run, rng):
    run.skip_without_views()
    w, v, dw = (rng.standard_normal((4, 5)) for _ in range(3))
    expected = step(run, w, v, dw, 0.1, 0.9, 0.01)
    momentum_step(w, v, np.asfortranarray(dw), 0.1, 0.9, 0.01, backend=run.name)
    np.testing.assert_array_equal(w, expected[0])
    np.testing.assert_array_equal(v, expected[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rate_and_momentum_may_be_where_a_captured_step_reads_them(run, rng, dtype):
    """The same bits, also after other numbers were written there."""
    w, v, dw = (rng.standard_normal((3, 7)).astype(dtype) for _ in range(3))
    rate, momentum = (run.device.number(0.5, np.dtype(dtype)) for _ in range(2))
    for numbers in ((0.01, 0.9), (0.3, 0.7)):
        rate, momentum = (
            run.device.number(value, np.dtype(dtype), held)
            for value, held in zip(numbers, (rate, momentum), strict=True)
        )
        found, expected = step(run, w, v, dw, rate, momentum, 0.25), step(run, w, v, dw, *numbers, 0.25)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other, strict=True)
        assert (found[0] != w).all()


@pytest.mark.parametrize("loss", [0.0, np.nan, np.inf, -np.inf])
def test_nothing_moves_if_the_loss_is_not_finite(run, loss):
    w, v, dw = (run.to_device(np.full(3, value)) for value in (1.0, 2.0, 4.0))
    held = run.device.number(loss, np.dtype(np.float64))
    momentum_step(w, v, dw, 0.5, 0.25, 0.0, backend=run.name, loss=held)
    moves = loss == 0
    np.testing.assert_array_equal(run.to_host(v), np.full(3, -1.5 if moves else 2.0))
    np.testing.assert_array_equal(run.to_host(w), np.full(3, -0.5 if moves else 1.0))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_stay_in_their_element(run, value):
    ones = np.ones(3, np.float32)
    moved, velocity = step(run, ones, ones, np.array([0, value, 0], np.float32), 0.5, 0.5, 0.0)
    np.testing.assert_array_equal(velocity, np.array([0.5, -value, 0.5], np.float32))
    np.testing.assert_array_equal(moved, np.array([1.5, -value, 1.5], np.float32))
