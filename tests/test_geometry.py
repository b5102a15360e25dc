"""Window: sizes, paddings, and what is refused."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyalexnet.geometry import Window, as_integer, as_number


@pytest.mark.parametrize(
    ("window", "size", "expected"),
    [
        (Window(11, 4), (227, 227), (55, 55)),
        (Window(3, 2), (55, 55), (27, 27)),
        (Window(5, 1, "SAME"), (27, 27), (27, 27)),
        (Window(11, 4, "SAME"), (224, 224), (56, 56)),
        (Window(11, 4, 2), (224, 224), (55, 55)),
        (Window((3, 2), (1, 3), ((0, 1), (2, 0))), (5, 7), (4, 3)),
        (Window(1, 5), (3, 3), (1, 1)),
    ],
)
def test_output_size(window, size, expected):
    assert window.output_size(size) == expected


def test_same_puts_the_odd_row_at_the_bottom_and_right():
    """TensorFlow's rule; 224 with an 11x11 kernel at stride 4 needs 7 rows, 3 above and 4 below."""
    assert Window(11, 4, "SAME").pads((224, 224)) == ((3, 4), (3, 4))
    assert Window((2, 3), 1, "SAME").pads((5, 5)) == ((0, 1), (1, 1))
    assert Window(1, 3, "SAME").pads((5, 5)) == ((0, 0), (0, 0))


def test_rows_and_columns_have_pads_of_their_own():
    window = Window(3, 2, "SAME")
    assert window.before((4, 5)) == (0, 1)
    assert Window(3, 1, 0).pads((4, 5)) == ((0, 0), (0, 0))
    assert window.description((4, 5)) == {
        "kernel": (3, 3),
        "stride": (2, 2),
        "pads": ((0, 1), (1, 1)),
        "padding": "SAME",
    }
    assert Window(3, 2, ((0, 1), (1, 1))).description((4, 5)) == {**window.description((4, 5)), "padding": None}


@given(
    length=st.integers(1, 40),
    kernel=st.integers(1, 9),
    stride=st.integers(1, 9),
    before=st.integers(0, 5),
    after=st.integers(0, 5),
)
def test_output_size_counts_the_places_where_the_kernel_fits(length, kernel, stride, before, after):
    places = len(range(0, length + before + after - kernel + 1, stride))
    window = Window((kernel, 1), (stride, 1), ((before, after), (0, 0)))
    if places:
        assert window.output_size((length, 1)) == (places, 1)
    else:
        with pytest.raises(ValueError, match="fits nowhere"):
            window.output_size((length, 1))
    assert Window(kernel, stride, "SAME").output_size((length, length))[0] == -(-length // stride)


@given(size=st.tuples(st.integers(3, 9), st.integers(3, 9)), stride=st.integers(1, 3))
def test_positions_visit_each_pixel_of_each_window_once(size, stride):
    window = Window((2, 3), stride)
    out_size = window.output_size(size)
    image = np.arange(size[0] * size[1]).reshape(size)
    seen = {(kh, kw): image[rows, columns] for kh, kw, rows, columns in window.positions(out_size)}
    assert list(seen) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    for oh, ow in np.ndindex(*out_size):
        found = [seen[position][oh, ow] for position in seen]
        expected = image[oh * stride : oh * stride + 2, ow * stride : ow * stride + 3]
        assert found == expected.ravel().tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "kernel_size is 0, but must be an int >= 1 or a pair of them"),
        ((3.0,), r"kernel_size is 3\.0, but must"),
        ((True,), "kernel_size is True, but must"),
        (((3, 3, 3),), r"kernel_size is \(3, 3, 3\), but must"),
        ((3, -1), "stride is -1, but must be an int >= 1"),
        ((3, (1, 0)), r"stride is \(1, 0\), but must"),
        ((3, 1, "same"), "padding is 'same', but must be 'SAME', 'VALID'"),
        ((3, 1, -1), "padding is -1, but must"),
        ((3, 1, (1, 1)), r"padding is \(1, 1\), but must"),
        ((3, 1, ((1, 1), (1, -1))), r"padding is \(\(1, 1\), \(1, -1\)\), but must"),
        ((3, 1, ((0, 1), 2)), r"padding is \(\(0, 1\), 2\), but must"),
        ((3, 1, (2, (0, 1))), r"padding is \(2, \(0, 1\)\), but must"),
        ((3, 1, (1, 1, 1)), r"padding is \(1, 1, 1\), but must"),
        ((3, 1, None), "padding is None, but must"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Window(*arguments)


def test_numpy_integers_are_integers():
    assert Window(np.int64(3), np.uint8(2)) == Window(3, 2)


@pytest.mark.parametrize(
    "value", [0, 0.0, 1, 2.5, 1e308, np.float32(0.1), np.float64(0.1), np.int8(3), np.uint64(2**63), Fraction(1, 3)]
)
def test_numbers(value):
    found = as_number("std", value)
    assert type(found) is float
    assert found == float(value)


@pytest.mark.parametrize(
    "value",
    [
        *("1e-4", "", b"1", None, True, np.True_, math.nan, math.inf, -math.inf, np.float32("nan"), -1, -1e-9, 10**400),
        *(1j, [1], np.ones(1), Decimal(1)),
    ],
)
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(ValueError, match=r"^std is .*, but must be a finite number >= 0$") as caught:
        as_number("std", value)
    assert repr(value) in str(caught.value)


def test_a_number_has_other_limits_if_they_are_given():
    assert as_number("x", -3, "below 0", lambda number: number < 0) == -3
    with pytest.raises(ValueError, match="x is 0, but must be below 0"):
        as_number("x", 0, "below 0", lambda number: number < 0)


@pytest.mark.parametrize("value", [2, 3, np.int8(5), np.uint64(7), 2**63 - 1])
def test_an_int_is_taken_up_to_what_64_bits_hold(value):
    found = as_integer("n", value, 2)
    assert (found, type(found)) == (value, int)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1, "n is 1, but must be an int >= 2"),
        (True, "n is True, but must be an int >= 2"),
        (3.0, r"n is 3\.0, but must be an int >= 2"),
        (2**63, "n is 9223372036854775808, but must be an int from 2 to 9223372036854775807"),
    ],
)
def test_what_is_no_such_int_is_refused(value, words):
    with pytest.raises(ValueError, match=f"^{words}$"):
        as_integer("n", value, 2)
