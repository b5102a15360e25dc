"""The schedules of the learning rate against their formulas."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyalexnet.training.schedules import constant, exponential, parse_schedule, stepped


@given(step=st.integers(0, 10**6), every=st.integers(1, 10**4))
def test_schedules_are_their_formulas(step, every):
    assert constant(0.01)(step) == 0.01
    # Powers of ½ are exact, down to the smallest of float64.
    assert stepped(1.0, every, 0.5)(step) == float(Fraction(1, 2 ** min(step // every, 1100)))
    assert exponential(1.0, 0.5, every)(step) == pytest.approx(2.0 ** -min(step / every, 1100), rel=1e-14)
    assert exponential(0.01, 0.3, every)(every) == stepped(0.01, every, 0.3)(every) == 0.01 * 0.3


def test_schedules_step_by_step():
    assert [stepped(8, 2, 0.5)(step) for step in range(6)] == [8, 8, 4, 4, 2, 2]
    slope = [exponential(8, 0.25, 2)(step) for step in range(5)]
    assert slope == [8, 4, 2, 1, 0.5]
    assert [constant(3)(step) for step in (0, 10**9, np.int64(7))] == [3, 3, 3]
    assert isinstance(stepped(np.float32(0.5), 2, np.float64(0.5))(np.int64(3)), float)


def test_parse_schedule():
    for text, expected in {
        "constant": constant(0.04),
        "step:3:0.1": stepped(0.04, 3, 0.1),
        "exponential:5:1e-1": exponential(0.04, 0.1, 5),
    }.items():
        schedule = parse_schedule(text, 0.04)
        assert [schedule(step) for step in range(12)] == [expected(step) for step in range(12)]


@pytest.mark.parametrize("kind", ["step", "exponential"])
@pytest.mark.parametrize("form", ["", ":", ":10", ":10:", "::0.1", ":10:0.1:2"])
def test_a_schedule_with_more_or_fewer_numbers_is_refused(kind, form):
    with pytest.raises(ValueError, match=f"schedule is '{kind}{form}', but must be 'constant', 'step:EVERY"):
        parse_schedule(kind + form, 0.01)


@pytest.mark.parametrize("kind", ["step", "exponential"])
@pytest.mark.parametrize(
    "numbers", [":0:0.1", ":-1:0.1", ":1.5:0.1", ":x:0.1", ":9:0", ":9:2", ":9:nan", ":9:inf", ":9:-0.5", ":9:x"]
)
def test_a_schedule_with_numbers_out_of_range_is_refused(kind, numbers):
    with pytest.raises(ValueError, match=f"schedule is '{kind}{numbers}', but must be 'constant', 'step:EVERY"):
        parse_schedule(kind + numbers, 0.01)


@pytest.mark.parametrize("text", ["", "constant:1", "constant:", "Constant", "cosine", "cosine:10:0.1", ":10:0.1"])
def test_a_text_that_names_no_schedule_is_refused_in_one_sentence(text):
    message = (
        f"schedule is {text!r}, but must be 'constant', 'step:EVERY:FACTOR' or 'exponential:EVERY:FACTOR' with an int "
        "EVERY >= 1 and 0 < FACTOR <= 1"
    )
    with pytest.raises(ValueError, match="schedule is") as caught:
        parse_schedule(text, 0.01)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: constant(-1), "rate is -1, but must be a finite number >= 0"),
        (lambda: stepped(1, 0, 0.5), "every is 0, but must be an int >= 1"),
        (lambda: stepped(1, 10, 0), "factor is 0, but must be a number above 0 and at most 1"),
        (lambda: exponential(1, 1.5, 10), r"factor is 1\.5, but must be a number above 0 and at most 1"),
        (lambda: exponential(1, "x", 10), "factor is 'x', but must be"),
        (lambda: exponential(1, 0.5, 2.5), r"every is 2\.5, but must be an int >= 1"),
        (lambda: exponential(math.nan, 0.5, 2), "rate is nan, but must be"),
        (lambda: parse_schedule("constant", -1), "rate is -1, but must be a finite number >= 0"),
        (lambda: constant(1)(-1), "step is -1, but must be an int >= 0"),
        (lambda: stepped(1, 2, 0.5)(-1), "step is -1, but must be an int >= 0"),
        (lambda: exponential(1, 0.5, 2)(0.5), r"step is 0\.5, but must be an int >= 0"),
    ],
)
def test_bad_numbers_are_refused_in_one_sentence(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
