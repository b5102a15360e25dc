"""The schedules of the learning rate against their formulas, and those of large batches."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tinyalexnet.training import Settings
from tinyalexnet.training.schedules import (
    constant,
    exponential,
    parse_schedule,
    scaled_rate,
    schedule_of,
    stepped,
    warmed_up,
)


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


RATES = st.floats(0, 10)
TEXTS = st.sampled_from(["constant", "step:3:0.5", "step:100:0.1", "exponential:50:0.1"])


def test_a_batch_k_times_as_large_has_k_times_the_rate_by_hand():
    """That of the paper: 0.1 for 256 images, so 3.2 for 8192; and half of it for half a batch."""
    assert scaled_rate(0.1, 8192, 256) == 0.1 * 32 == 3.2
    assert [scaled_rate(0.5, batch, 4) for batch in (2, 4, 6, 8)] == [0.25, 0.5, 0.75, 1]


@given(rate=RATES, batch=st.integers(1, 10**6), k=st.integers(1, 1000))
def test_a_batch_k_times_as_large_has_k_times_the_rate(rate, batch, k):
    assert scaled_rate(rate, k * batch, batch) == k * rate
    assert scaled_rate(rate, batch, batch) == rate
    # A division and a product round, unless the result is too small for a float of full precision.
    found, exact = scaled_rate(rate, batch, 7), Fraction(rate) * Fraction(batch, 7)
    assert abs(Fraction(found) - exact) <= exact * 3 * Fraction(1, 2**53) + Fraction(1, 2**1074)


def test_a_warm_up_by_hand():
    assert [warmed_up(constant(4), 3)(step) for step in range(6)] == [1, 2, 3, 4, 4, 4]
    assert [warmed_up(constant(4), 3, start=1)(step) for step in range(6)] == [1, 2, 3, 4, 4, 4]
    assert [warmed_up(constant(4), 4, start=2)(step) for step in range(6)] == [2, 2.5, 3, 3.5, 4, 4]
    assert [warmed_up(constant(4), 1, start=0)(step) for step in range(3)] == [0, 4, 4]
    # A start above the schedule is none: the rate does not fall.
    assert [warmed_up(constant(4), 3, start=5)(step) for step in range(4)] == [4, 4, 4, 4]
    # The line goes to the rate that the schedule has when the warm-up ends.
    assert [warmed_up(stepped(8, 2, 0.5), 3)(step) for step in range(6)] == [1, 2, 3, 4, 2, 2]
    assert isinstance(warmed_up(constant(np.float32(4)), 3, np.float32(1))(np.int64(2)), float)


@given(text=TEXTS, rate=RATES, warmup=st.integers(0, 200), start=st.none() | RATES)
def test_a_warm_up_never_falls_and_ends_in_the_schedule(text, rate, warmup, start):
    schedule = parse_schedule(text, rate)
    warmed = warmed_up(schedule, warmup, start)
    assert [warmed(step) for step in range(warmup, warmup + 50)] == [
        schedule(step) for step in range(warmup, warmup + 50)
    ]
    rising = [warmed(step) for step in range(warmup + 1)]
    assert rising == sorted(rising)
    assert rising[0] == (schedule(0) if not warmup else min(start, rising[-1]) if start is not None else rising[0])


@given(rate=st.floats(1e-3, 10), start=st.none() | st.floats(0, 1e-3), warmup=st.integers(1, 200))
def test_a_warm_up_is_a_straight_line(rate, start, warmup):
    """In exact fractions: each step adds the same amount; without a start the first rate is that amount too."""
    first = Fraction(rate) / (warmup + 1) if start is None else Fraction(start)
    for step in range(warmup + 1):
        exact = first + (Fraction(rate) - first) * Fraction(step, warmup)
        # Six roundings at most, of values no larger than the rate.
        assert abs(Fraction(warmed_up(constant(rate), warmup, start)(step)) - exact) <= 6 * Fraction(rate) / 2**53


@given(text=TEXTS, rate=RATES, batch=st.integers(1, 10**4))
def test_without_the_settings_of_large_batches_nothing_changes_to_the_last_bit(text, rate, batch):
    plain = parse_schedule(text, rate)
    for same in ({}, {"reference_batch": batch}):
        found = schedule_of(Settings(learning_rate=rate, schedule=text, batch_size=batch, **same))
        assert [found(step) for step in range(250)] == [plain(step) for step in range(250)]


@given(text=TEXTS, rate=RATES, batch=st.integers(1, 100), k=st.integers(2, 64), warmup=st.integers(0, 60))
def test_a_run_of_a_large_batch_begins_at_the_given_rate_and_goes_on_at_k_times_it(text, rate, batch, k, warmup):
    assume(rate == 0 or rate > 1e-300)
    large = schedule_of(
        Settings(learning_rate=rate, schedule=text, batch_size=k * batch, reference_batch=batch, warmup=warmup)
    )
    scaled = parse_schedule(text, k * rate)
    assert large(0) == (min(rate, scaled(warmup)) if warmup else k * rate)
    assert [large(step) for step in range(warmup, 200)] == [scaled(step) for step in range(warmup, 200)]


def test_the_warm_up_of_the_paper():
    """Section 5.2: from 0.1 to 3.2 for 8192 images, over 5 epochs of 1.28 million: 5 x 156 steps."""
    settings = Settings(learning_rate=0.1, batch_size=8192, reference_batch=256, warmup=780)
    rates = [schedule_of(settings)(step) for step in (0, 390, 780, 10**6)]
    assert rates == pytest.approx([0.1, 1.65, 3.2, 3.2], rel=6 * 2**-53, abs=0)
    # Without a reference the line begins near 0.
    near_zero = schedule_of(Settings(learning_rate=3.2, batch_size=8192, warmup=31))
    assert [near_zero(step) for step in (0, 15, 31)] == pytest.approx([0.1, 1.6, 3.2], rel=6 * 2**-53, abs=0)


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
        (lambda: scaled_rate(-1, 2, 2), "learning_rate is -1, but must be a finite number >= 0"),
        (lambda: scaled_rate(1, 0, 2), "batch_size is 0, but must be an int >= 1"),
        (lambda: scaled_rate(1, 2, 0), "reference_batch is 0, but must be an int >= 1"),
        (
            lambda: scaled_rate(1e308, 2, 1),
            r"learning_rate \* batch_size / reference_batch is inf, but must be a finite number >= 0",
        ),
        (lambda: warmed_up(constant(1), -1), "warmup is -1, but must be an int >= 0"),
        (lambda: warmed_up(constant(1), 2, -1), "start is -1, but must be a finite number >= 0"),
        (lambda: warmed_up(constant(1), 2)(-1), "step is -1, but must be an int >= 0"),
    ],
)
def test_bad_numbers_are_refused_in_one_sentence(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
