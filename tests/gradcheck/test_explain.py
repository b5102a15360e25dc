"""The words about a wrong array: ratio, map, terms."""

from __future__ import annotations

import numpy as np
import pytest

from tinyalexnet.gradcheck.explain import (
    constant_ratio,
    element_map,
    factors,
    index_text,
    map_title,
    number,
    ratio_sentence,
    sum_text,
    terms,
    wrong_elements,
    wrong_part,
)

RIGHT = np.array([[3.0, -2.0, 0.0], [1.0, 4.0, -5.0]])


@pytest.mark.parametrize("ratio", [-1, 2, 0.5, 0.25, 1 / 7, 4, 1.001])
def test_a_constant_ratio_is_found(ratio):
    assert constant_ratio(ratio * RIGHT, RIGHT) == pytest.approx(ratio, rel=1e-12)


def test_two_elements_have_a_ratio_and_one_alone_has_none():
    assert constant_ratio(np.array([6.0, 0, 3]), np.array([2.0, 0, 1])) == 3
    assert constant_ratio(np.array([6.0, 0]), np.array([2.0, 0])) is None


@pytest.mark.parametrize(
    ("found", "right"),
    [
        (RIGHT, RIGHT),
        (RIGHT + 1, RIGHT),
        (RIGHT + 10 * (RIGHT != 0), RIGHT),
        (np.zeros_like(RIGHT), RIGHT),
        (RIGHT, np.zeros_like(RIGHT)),
        (np.nan * RIGHT, RIGHT),
        (2 * RIGHT[:1, :1], RIGHT[:1, :1]),
    ],
    ids=["right", "shifted", "shifted but for zeros", "zeros", "of zeros", "nan", "one element"],
)
def test_without_one_there_is_no_sentence(found, right):
    assert constant_ratio(found, right) is None
    assert ratio_sentence(found, right) is None


def test_a_ratio_is_explained_by_the_sizes_and_else_in_general():
    sizes = factors((4, 5, 5, 2), (4, 3, 2, 6))
    assert ratio_sentence(RIGHT / 4, RIGHT, sizes) == (
        "Each element is 0.25 = 1/4 times the right one: usually a mean over the batch, where a sum belongs."
    )
    assert "a mean over the output pixels, where a sum belongs" in ratio_sentence(RIGHT / 6, RIGHT, sizes)
    assert "a mean over the batch and the output pixels" in ratio_sentence(RIGHT / 24, RIGHT, sizes)
    assert "a sum over the batch, where a mean belongs" in ratio_sentence(4 * RIGHT, RIGHT, sizes)
    assert ratio_sentence(-RIGHT, RIGHT) == "Each element is -1 times the right one: usually the sign is turned."
    assert ratio_sentence(3 * RIGHT, RIGHT) == "Each element is 3 times the right one."
    assert factors((1, 3), (1, 2)) == {}
    mean, total = "a mean over the batch, where a sum belongs", "a sum over the batch, where a mean belongs"
    assert factors((4, 3), (4, 2)) == factors((4, 2, 2, 1), (4, 1, 1, 1)) == {mean: 1 / 4, total: 4}
    assert factors((), ()) == {}


def test_a_map_shows_the_image_and_channel_of_the_first_wrong_element():
    wrong = np.zeros((2, 3, 4, 2), bool)
    wrong[1, 1, 2, 0] = wrong[1, 2, 0, 0] = wrong[0, 0, 0, 1] = True
    assert element_map(wrong, (1, 1, 2, 0), "dx") == [". . . .", ". . X .", "x . . ."]
    assert map_title("dx", (1, 1, 2, 0)) == "dx[1,:,:,0]"
    # Filters are (KH, KW, C, F).
    assert element_map(wrong, (0, 0, 0, 1), "conv1.dw") == ["X . .", ". . ."]
    assert map_title("dw", (0, 0, 0, 1)) == "dw[:,:,0,1]"
    for name in ("x", "w"):
        assert map_title(name, (1, 0, 1, 2), channels_first=True) == f"{name}[1,0,:,:]"
    channels = np.moveaxis(wrong, 3, 1)
    assert element_map(channels, (1, 0, 1, 2), "dx", channels_first=True) == element_map(wrong, (1, 1, 2, 0), "dx")
    assert element_map(np.array([False, True]), (1,), "db") == [". X"]
    assert element_map(np.array([[True, True]]), (0, 1)) == ["x X"]
    assert element_map(np.array(True), ()) == ["X"]
    assert map_title("loss", ()) == "loss"


def test_a_large_map_shows_the_part_around_the_element():
    lines = element_map(np.zeros((30, 40), bool), (15, 39))
    assert lines[-1] == "..."
    assert len(lines) == 13
    assert all(len(line.split()) == 24 for line in lines[:-1])
    assert [at for at, line in enumerate(lines) if "X" in line] == [6]
    assert [line.split().index("X") for line in lines if "X" in line] == [23]
    assert element_map(np.zeros((1, 40), bool), (0, 3))[0].endswith(" ...")
    assert element_map(np.zeros((30, 2), bool), (29, 0))[-1] == "X ."


def test_the_element_is_in_the_middle_of_a_part_and_a_map_that_fits_is_whole():
    (line,) = element_map(np.zeros((1, 40), bool), (0, 20))
    assert line.split().index("X") == 12
    whole = element_map(np.zeros((12, 24), bool), (11, 23))
    assert [len(line.split()) for line in whole] == [24] * 12
    assert whole[11] == f"{'. ' * 23}X"


def test_how_many_are_wrong():
    assert wrong_part("db", np.array([True]), (0,)) == ["db has one element."]
    assert wrong_part("db", np.array([True, True]), (0,)) == ["All 2 elements of db are wrong."]
    assert wrong_part("db", np.array([False, True]), (1,)) == [
        "1 of 2 elements are wrong (x). db[:], X is the first:",
        "  . X",
    ]


def test_a_nan_is_wrong():
    np.testing.assert_array_equal(
        wrong_elements(np.array([np.nan, 1.0, 2.1]), np.array([0, 1, 2])), [True, False, True]
    )
    assert not wrong_elements(np.array([2.1]), np.array([2.0]), 0.1).any()


def test_the_terms_of_one_element():
    w = np.array([[1.0, -2.0], [0.0, 3.0]])
    x = np.array([[2.0, 5.0]])
    shares = terms(lambda a: a @ w + 7, x, (0, 1))
    assert shares == [((0, 0), -4.0), ((0, 1), 15.0)]
    assert sum_text("x", shares, x) == "2·(-2) (x[0,0]) + 5·3 (x[0,1])"
    assert terms(lambda a: a @ w, x, (0, 0)) == [((0, 0), 2.0)]
    assert sum_text("x", [((0, 1), 2.5)], x) == "5·0.5 (x[0,1])"
    assert sum_text("x", [], x) == "0, a sum of nothing"
    many = np.ones(15)
    assert sum_text("x", terms(lambda a: a.sum(keepdims=True), many, (0,)), many).endswith(" + 3 (of 3 more)")
    twelve = sum_text("x", terms(lambda a: a.sum(keepdims=True), many[:12], (0,)), many[:12])
    assert twelve == " + ".join(f"1·1 (x[{at}])" for at in range(12))


def test_elements_and_numbers_are_written_as_in_python():
    assert index_text("dx", (0, 12)) == "dx[0,12]"
    assert index_text("loss", ()) == "loss"
    assert [number(value) for value in (3.0, -0.0, 0.1234567, 1e20, np.nan)] == ["3", "0", "0.123457", "1e+20", "nan"]
    assert [number(value) for value in (1e15 - 1, 1 - 1e15, 1e15)] == ["9" * 15, "-" + "9" * 15, "1e+15"]
