"""The update of momentum: exact on integers, in place, and the same bits on every processor."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyalexnet.ops.momentum import Move, momentum_step, momentum_steps


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


def moves_of(run, rng, shapes):
    """Parameters of these shapes and dtypes, each with numbers of its own."""
    return [
        Move(
            *(run.to_device(rng.standard_normal(shape).astype(dtype)) for _ in range(3)),
            *rng.uniform(0.1, 0.9, 3).tolist(),
        )
        for shape, dtype in shapes
    ]


@pytest.mark.parametrize("loss", [None, np.nan])
def test_several_at_once_move_as_one_by_one(run, rng, loss):
    """Of both dtypes, of no elements too, and so large that a slice ends inside a parameter."""
    shapes = [((9,), "f4"), ((0, 3), "f4"), ((), "f8"), ((130, 7), "f4"), ((5, 5, 3, 4), "f8"), ((70000,), "f4")]
    if not run.device.on_host:
        loss = None if loss is None else run.to_device(np.array([loss]))
        shapes = [(shape, dtype) for shape, dtype in shapes if shape and 0 not in shape]
    together = moves_of(run, rng, shapes)
    expected = [[run.to_host(array).copy() for array in move[:3]] for move in together]
    if loss is None:
        for move, (w, v, dw) in zip(together, expected, strict=True):
            own = [run.to_device(array) for array in (w, v, dw)]
            momentum_step(*own, *move[3:], backend=run.name)
            w[...], v[...] = run.to_host(own[0]), run.to_host(own[1])
    momentum_steps(together, run.name, loss=loss)
    for move, arrays in zip(together, expected, strict=True):
        for found, array in zip(move[:3], arrays, strict=True):
            np.testing.assert_array_equal(run.to_host(found), array, strict=True)


def test_none_moves_if_one_does_not_fit(run, rng):
    good, bad = moves_of(run, rng, [((3,), "f4"), ((4,), "f4")])
    before = run.to_host(good.w).copy()
    for wrong in (bad._replace(dw=good.dw), bad._replace(rate=np.inf), bad._replace(decay="much")):
        with pytest.raises((ValueError, TypeError), match=r"^(dw has shape|rate is inf|decay is 'much')"):
            momentum_steps([good, wrong], run.name)
    np.testing.assert_array_equal(run.to_host(good.w), before)
    momentum_steps([], run.name)


def test_a_gradient_that_is_a_view_or_read_only(run, rng):
    run.skip_without_views()
    (move,) = moves_of(run, rng, [((6, 5), "f4")])
    views = [np.asfortranarray(move.dw), np.repeat(move.dw, 2, axis=1)[:, ::2], move.dw.copy()]
    views[2].flags.writeable = False
    expected = step(run, *move)
    for view in views:
        w, v = move.w.copy(), move.v.copy()
        momentum_steps([move._replace(w=w, v=v, dw=view)], run.name)
        np.testing.assert_array_equal(w, expected[0])
        np.testing.assert_array_equal(v, expected[1])
