"""Numbers, arrays and lists as text: forms, and how much is printed."""

from __future__ import annotations

import numpy as np

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


def test_arrays_as_lines():
    assert array_lines("x", np.array([[1.0, -2], [30, 0.5]])) == ["x of shape (2, 2):", "      1  -2", "     30 0.5"]
    assert array_lines("b", np.array([1.0, -20])) == ["b of shape (2,): 1 -20"]
    assert array_lines("s", np.array(2.0)) == ["s of shape (): 2"]
    assert array_lines("x", np.zeros((0, 3))) == ["x of shape (0, 3)"]
    assert array_lines("x", np.zeros(49)) == ["x of shape (49,)"]
    lines = array_lines("x", np.arange(8.0).reshape(2, 2, 2, 1))
    assert lines == [
        "x of shape (2, 2, 2, 1):",
        "    x[0,:,:,0]:",
        "        0 1",
        "        2 3",
        "    x[1,:,:,0]:",
        "        4 5",
        "        6 7",
    ]
    assert array_lines("w", np.arange(4.0).reshape(1, 2, 1, 2))[1:] == ["    w[:,:,0,0]: 0 2", "    w[:,:,0,1]: 1 3"]
    assert grid(np.zeros((0, 0))) == []


def test_values_in_sentences():
    assert listed([]) == ""
    assert listed(["dx"]) == "dx"
    assert listed(["dx", "dw", "db"]) == "dx, dw and db"
    assert value_text(((1, 2), [3.5])) == "((1, 2), (3.5))"
    assert value_text(np.array([[1.0, 2]])) == "[[1 2]]"
    assert value_text(np.arange(2.0).reshape(1, 1, 2, 1)) == "[0 1] of shape (1, 1, 2, 1)"
    assert value_text(np.arange(2.0).reshape(1, 1, 2)) == "[0 1] of shape (1, 1, 2)"
    assert value_text(np.bool_(True)) == "True"
    assert value_text(None) == "None"
    assert value_text("x") == "a str"
    assert value_text(float("inf")) == "inf"
    assert numbers_text({"a": np.ones(2), "n": 3}) == "a = [1 1], n = 3"
    assert numbers_text({"a": np.ones(17), "n": 3}) == "a and n"
    assert pool_lines({"n": 3, "a": np.ones(1)}, ["n", "a"]) == ["a of shape (1,): 1", "n = 3"]
    assert pool_lines({"a": np.ones(2)}, ["a"], most=1) == ["a of shape (2,)"]


def test_lists_and_their_verbs():
    names = ["dx", "dw", "db"]
    assert [listed(names[:count]) for count in range(4)] == ["", "dx", "dx and dw", "dx, dw and db"]
    assert [are(names[:count]) for count in range(3)] == ["are", "is", "are"]


def test_as_many_elements_as_fit_are_written_and_more_only_named():
    half = np.ones(MOST_INLINE // 2)
    inline = numbers_text({"x": half, "w": half, "rate": 0.5})
    assert inline == f"x = {value_text(half)}, w = {value_text(half)}, rate = 0.5"
    assert numbers_text({"x": half, "w": np.ones(MOST_INLINE // 2 + 1), "rate": 0.5}) == "x, w and rate"
    assert elements({"x": np.ones((2, 3)), "w": np.ones(4), "stride": (1, 1)}) == 10
    assert array_lines("x", np.ones(MOST_PRINTED)) == [f"x of shape ({MOST_PRINTED},): {'1 ' * (MOST_PRINTED - 1)}1"]
    assert array_lines("x", np.ones(MOST_PRINTED + 1)) == [f"x of shape ({MOST_PRINTED + 1},)"]


def test_columns_stand_below_each_other_and_one_row_has_no_more_spaces_than_it_needs():
    assert grid(np.array([[1.0, -10], [0, 2]])) == ["  1 -10", "  0   2"]
    assert grid(np.array([[1.0, -10]])) == ["1 -10"]


def test_channels_may_come_before_rows_and_columns():
    images = np.arange(8.0).reshape(1, 2, 2, 2)
    assert array_lines("x", images, channels_first=True)[1:4] == ["    x[0,0,:,:]:", "        0 1", "        2 3"]
