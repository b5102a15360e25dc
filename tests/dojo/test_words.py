"""Numbers, arrays and lists as text: forms, and how much is printed."""

from __future__ import annotations

import numpy as np
import pytest

from tinyalexnet.dojo.words import (
    MOST_INLINE,
    MOST_PRINTED,
    are,
    array_lines,
    elements,
    grid,
    listed,
    numbers_text,
    pool_lines,
    value_text,
)


def test_lists_and_their_verbs():
    names = ["dx", "dw", "db"]
    assert [listed(names[:count]) for count in range(4)] == ["", "dx", "dx and dw", "dx, dw and db"]
    assert [are(names[:count]) for count in range(3)] == ["are", "is", "are"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (np.True_, "True"),
        (3, "3"),
        (np.float64(2.5), "2.5"),
        (-np.inf, "-inf"),
        ((1, (2, 3)), "(1, (2, 3))"),
        (np.array([2.0, -3]), "[2 -3]"),
        (np.array([[1, 2], [3, 4]]), "[[1 2] [3 4]]"),
        (np.arange(4.0).reshape(1, 2, 2), "[0 1 2 3] of shape (1, 2, 2)"),
        ({}, "a dict"),
    ],
)
def test_a_value_within_a_sentence(value, text):
    assert value_text(value) == text


def test_as_many_elements_as_fit_are_written_and_more_only_named():
    half = np.ones(MOST_INLINE // 2)
    inline = numbers_text({"x": half, "w": half, "rate": 0.5})
    assert inline == f"x = {value_text(half)}, w = {value_text(half)}, rate = 0.5"
    assert numbers_text({"x": half, "w": np.ones(MOST_INLINE // 2 + 1), "rate": 0.5}) == "x, w and rate"
    assert elements({"x": np.ones((2, 3)), "w": np.ones(4), "stride": (1, 1)}) == 10


def test_columns_stand_below_each_other_and_one_row_has_no_more_spaces_than_it_needs():
    assert grid(np.array([[1.0, -10], [0, 2]])) == ["  1 -10", "  0   2"]
    assert grid(np.array([[1.0, -10]])) == ["1 -10"]


def test_an_array_has_its_shape_and_its_elements_if_there_are_not_too_many():
    assert array_lines("b", np.array([1.0, 2])) == ["b of shape (2,): 1 2"]
    assert array_lines("w", np.array([[1.0, 2], [3, -4]])) == ["w of shape (2, 2):", "     1  2", "     3 -4"]
    assert array_lines("x", np.zeros((0, 3))) == ["x of shape (0, 3)"]
    assert array_lines("x", np.ones(MOST_PRINTED)) == [f"x of shape ({MOST_PRINTED},): {'1 ' * (MOST_PRINTED - 1)}1"]
    assert array_lines("x", np.ones(MOST_PRINTED + 1)) == [f"x of shape ({MOST_PRINTED + 1},)"]
    images = np.arange(8.0).reshape(1, 2, 2, 2)
    assert array_lines("x", images) == [
        "x of shape (1, 2, 2, 2):",
        *("    x[0,:,:,0]:", "        0 2", "        4 6", "    x[0,:,:,1]:", "        1 3", "        5 7"),
    ]
    assert array_lines("x", images[:, :1]) == ["x of shape (1, 1, 2, 2):", "    x[0,:,:,0]: 0 2", "    x[0,:,:,1]: 1 3"]
    assert array_lines("x", images, channels_first=True)[1:3] == ["    x[0,0,:,:]:", "        0 1"]


def test_arrays_come_before_the_other_arguments():
    pool = {"stride": (1, 2), "x": np.ones(2), "rate": 0.5}
    assert pool_lines(pool, ["stride", "x", "rate"]) == ["x of shape (2,): 1 1", "stride = (1, 2), rate = 0.5"]
    assert pool_lines(pool, ["x"], most=1) == ["x of shape (2,)"]
