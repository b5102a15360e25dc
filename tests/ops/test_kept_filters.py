"""Filters that do not change are transformed once, and the bits are those of filters that are transformed each time."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from tinyalexnet.geometry import Window
from tinyalexnet.ops.conv2d import conv2d_backward_input, conv2d_forward
from tinyalexnet.ops.conv2d.winograd import kept
from tinyalexnet.ops.conv2d.winograd.kept import unchanged_filters


@pytest.fixture
def count(monkeypatch):
    """How many times filters were transformed."""
    from tinyalexnet.ops.conv2d.winograd import cpu

    calls, transform = [], cpu.filters_to_points

    def counted(*args):
        calls.append(args)
        return transform(*args)

    monkeypatch.setattr(cpu, "filters_to_points", counted)
    return lambda: len(calls)


def filters(seed, shape=(3, 3, 4, 6)):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def passes(w, window, groups=1, algorithm="winograd"):
    """Forward and the gradient of x, of random images."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 9, 8, w.shape[2] * groups), dtype=np.float32)
    out = conv2d_forward(x, w, np.zeros(w.shape[3], np.float32), window, groups, algorithm)
    dout = rng.standard_normal(out.shape, dtype=np.float32)
    return out, conv2d_backward_input(dout, w, x.shape, window, groups, algorithm)


@pytest.mark.parametrize(
    ("window", "shape", "groups"),
    [
        (Window(3, 1, "SAME"), (3, 3, 4, 6), 1),
        (Window(3, 1, "VALID"), (3, 3, 4, 6), 3),
        (Window(5, 2, ((1, 2), (0, 3))), (5, 5, 3, 4), 2),
        (Window((3, 1), (1, 2), 1), (3, 1, 3, 4), 1),
    ],
    ids=["one group", "three groups", "stride", "two sides"],
)
def test_filters_are_transformed_once_for_each_pass_and_group(count, window, shape, groups):
    w = filters(1, shape)
    right = passes(w, window, groups)
    each = count()
    assert each == 2 * groups
    with unchanged_filters():
        for _ in range(3):
            for array, other in zip(passes(w, window, groups), right, strict=True):
                np.testing.assert_array_equal(array, other)
    assert count() == 2 * each


@pytest.mark.compiled
def test_many_filters_are_transformed_once_too_and_have_the_bits_of_those_that_never_are_in_memory(count):
    w, window = filters(6, (3, 3, 192, 320)), Window(3, 1, "SAME")
    right = passes(w, window)
    assert count() == 0
    with unchanged_filters():
        for _ in range(2):
            for array, other in zip(passes(w, window), right, strict=True):
                np.testing.assert_array_equal(array, other)
    assert count() == 2


@pytest.mark.parametrize(
    "other",
    [lambda w: w[:2], lambda w: w[:, :, :2], lambda w: w[..., ::2], lambda w: w.copy(), lambda w: w[..., ::-1]],
    ids=["rows", "channels", "strides", "copy", "turned"],
)
def test_other_filters_are_not_taken_for_them(other):
    w = filters(2)
    window = Window(3, 1, "SAME")
    right = passes(np.ascontiguousarray(other(w)), Window(other(w).shape[:2], 1, "SAME"))
    with unchanged_filters():
        passes(w, window)
        found = passes(other(w), Window(other(w).shape[:2], 1, "SAME"))
    for array, expected in zip(found, right, strict=True):
        np.testing.assert_array_equal(array, expected)


def test_a_stride_is_part_of_what_was_transformed():
    w = filters(3)
    right = passes(w, Window(3, 2))
    with unchanged_filters():
        passes(w, Window(3, 1))
        for array, other in zip(passes(w, Window(3, 2)), right, strict=True):
            np.testing.assert_array_equal(array, other)


def test_outside_filters_may_change_at_any_time(count):
    w, window = filters(4), Window(3, 1, "SAME")
    with unchanged_filters():
        before = passes(w, window)
    w *= 2
    with unchanged_filters():
        after = passes(w, window)
    w *= 2
    for first, second, third in zip(before, after, passes(w, window), strict=True):
        np.testing.assert_array_equal(2 * first, second)
        np.testing.assert_array_equal(2 * second, third)
    assert count() == 6


def test_filters_that_are_gone_are_not_taken_for_new_ones_at_their_address(count):
    with unchanged_filters():
        for seed in range(5):
            passes(filters(seed), Window(3, 1))
    assert count() == 10


def test_an_error_ends_it():
    with pytest.raises(ZeroDivisionError), unchanged_filters():
        raise ZeroDivisionError
    assert kept.kept.transformed is None


def test_it_is_of_one_thread_and_ends_with_the_outermost(count):
    w, window = filters(5), Window(3, 1)
    with unchanged_filters():
        passes(w, window)
        other = threading.Thread(target=passes, args=(w, window))
        other.start()
        other.join()
        assert count() == 4
        with unchanged_filters():
            passes(w, window)
        assert count() == 4, "inside a second one what the first has kept is still right"
        passes(w, window)
        assert count() == 4
