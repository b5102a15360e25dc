"""Dropout: exact, and the bits of its mask."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tinyalexnet.ops.dropout import dropout, dropout_mask
from tinyalexnet.ops.dropout.philox import philox


@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    rate=st.sampled_from([0.0, 0.25, 0.5]),
    seed=st.integers(0, 99),
)
def test_it_chooses_and_scales(run, shape, rate, seed):
    assume(np.prod(shape) < 300)
    rng = np.random.default_rng(seed)
    x, kept = rng.standard_normal(shape).astype(np.float32), rng.random(shape) >= 0.5
    expected = np.zeros_like(x)
    for index in np.ndindex(*shape):
        if kept[index]:
            expected[index] = x[index] * np.float32(1 / (1 - rate))
    np.testing.assert_array_equal(run(dropout, x, kept, rate), expected, strict=True)


@pytest.mark.parametrize(
    ("index", "seed", "bits"),
    [(0, 0, 0xFF1DAE59), (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 0x2C3F628B), (0x243F6A88, 0x85A308D313198A2E, 0xDD7CE038)],
)
def test_random_bits_are_those_of_the_paper(index, seed, bits):
    """The known answers that its authors publish with Random123."""
    assert philox(index, seed) == bits


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.9999])
def test_a_mask_is_a_function_of_index_and_seed(run, rate):
    seed = 0x7123456789ABCDEF  # of 63 bits, so that both halves and the sign matter
    mask = run(dropout_mask, (3, 5, 67), rate, seed)
    expected = [(philox(i, seed) >> 8) / (1 << 24) >= rate for i in range(mask.size)]
    np.testing.assert_array_equal(mask, np.reshape(expected, (3, 5, 67)), strict=True)
    assert run(dropout_mask, (0, 3), rate, 1).shape == (0, 3)


def test_an_element_whose_random_number_is_the_rate_is_kept(run):
    bits = philox(5, 11) >> 8
    assert run(dropout_mask, (1,), bits / (1 << 24), 11, first=5).all()
    assert not run(dropout_mask, (1,), (bits + 1) / (1 << 24), 11, first=5).any()


@pytest.mark.parametrize("first", [0, 1, 6, 98])
def test_the_mask_of_a_part_is_a_part_of_the_mask(run, first):
    """Also if it begins between the four elements that a thread of a GPU draws, and for images of one element."""
    whole = run(dropout_mask, (2000,), 0.5, 11)
    at = 19 * first
    np.testing.assert_array_equal(run(dropout_mask, (7, 19), 0.5, 11, first=first).ravel(), whole[at : at + 133])
    np.testing.assert_array_equal(run(dropout_mask, (133,), 0.5, 11, first=at), whole[at : at + 133])


def test_what_is_dropped_cannot_leak(run):
    """0 times infinity is NaN: the element is chosen, not multiplied."""
    x = np.array([np.inf, np.nan, 2, np.nan], np.float32)
    out = run(dropout, x, np.array([False, False, True, True]), 0.5)
    np.testing.assert_array_equal(out, np.array([0, 0, 4, np.nan], np.float32))


@pytest.mark.parametrize(
    ("seed", "kind", "message"),
    [
        (1.5, ValueError, r"^seed is 1.5, but must be an int >= 0$"),
        (-1, ValueError, r"^seed is -1, but must be an int >= 0$"),
        ([3, 4], ValueError, r"^seed is \[3, 4\], but must be an int >= 0$"),
        (np.array([3, 4], np.int32), TypeError, r"^seed has dtype int32, but must have dtype int64$"),
        (np.array([3]), ValueError, r"^seed has shape \(1,\), but must have a seed and a first image, \(2,\)$"),
    ],
)
def test_a_seed_is_an_int_or_an_array_of_a_seed_and_a_first_image(backend, seed, kind, message):
    with pytest.raises(kind, match=message):
        dropout_mask((2, 3), 0.5, seed, backend=backend)


def test_a_seed_in_an_array_is_read_when_the_mask_is_made(backend):
    """As in a recorded step, which has the same array each time."""
    numbers = np.array([11, 4])
    for seed, first in ((11, 4), (5, 0), (1 << 62, 3)):
        numbers[...] = seed, first
        expected = dropout_mask((3, 50), 0.5, seed, backend=backend, first=first)
        np.testing.assert_array_equal(dropout_mask((3, 50), 0.5, numbers, backend=backend), expected)
        np.testing.assert_array_equal(dropout_mask((3, 50), 0.5, np.array([seed, 7, first])[::2], backend), expected)
