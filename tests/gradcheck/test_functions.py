"""``assert_same_function``: every known mistake gets its own sentence, and right code passes."""

from __future__ import annotations

import numpy as np
import pytest

from tinyalexnet.bestiary import SUBJECTS
from tinyalexnet.gradcheck import assert_same_function

BEASTS = [(subject, beast) for subject in SUBJECTS.values() for beast in subject.beasts]


@pytest.mark.parametrize(("subject", "beast"), BEASTS, ids=[f"{s.name}-{b.name}" for s, b in BEASTS])
def test_a_known_mistake_gets_its_own_sentence_only(subject, beast):
    with pytest.raises(AssertionError) as caught:
        assert_same_function(beast.run, subject.name, examples=0)
    message = str(caught.value)
    assert message.startswith(f"{beast.output} of {subject.name} is wrong on the case ")
    assert [other.name for other in subject.beasts if other.sentence in message] == [beast.name]


@pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS.keys())
def test_the_right_function_passes(subject):
    assert_same_function(subject.right, subject.name, examples=20)


def conv2d(x, w, b, stride, pads, groups):
    return SUBJECTS["conv2d_forward"].right(x=x, w=w, b=b, stride=stride, pads=pads, groups=groups)


def test_a_mistake_that_has_no_name_is_shown_on_the_smallest_random_geometry():
    def wrong_beyond(x, w, b, stride, pads, groups):
        out = conv2d(x, w, b, stride, pads, groups)
        if stride == (3, 1):
            out[0, 0, 0, 0] += 1
        return out

    with pytest.raises(AssertionError) as caught:
        assert_same_function(wrong_beyond, "conv2d", seed=2)
    message = str(caught.value)
    assert message.startswith("out of conv2d_forward is wrong on the case 'random ")
    assert "stride (3, 1)" in message
    assert "out[0,0,0,0]" in message
    assert not any(beast.sentence in message for beast in SUBJECTS["conv2d_forward"].beasts)


def test_another_shape_and_a_ratio_are_said():
    with pytest.raises(AssertionError, match=r"out has shape \(1,\), but must have shape"):
        assert_same_function(lambda x: np.zeros(1), "relu")
    with pytest.raises(AssertionError, match="Each element is 3 times the right one"):
        assert_same_function(lambda x, w, b: 3 * (x @ w + b), "dense")


def test_both_sums_are_written_out_and_a_ratio_is_explained_by_the_batch():
    with pytest.raises(AssertionError) as caught:
        assert_same_function(lambda x, w, b: x @ w - b, "dense")
    assert str(caught.value).splitlines()[1:] == [
        "    All 2 elements of out are wrong.",
        "    out[0,0], yours: 6 = 1·3 (x[0,0]) + 2·2 (x[0,1]) + -1 (without x)",
        "              right: 8 = 1·3 (x[0,0]) + 2·2 (x[0,1]) + 1 (without x)",
    ]
    with pytest.raises(AssertionError) as caught:
        assert_same_function(lambda x, w, b: (x @ w + b) / len(x), "dense")
    assert str(caught.value).splitlines()[1] == (
        "    Each element is 0.5 = 1/2 times the right one: usually a mean over the batch, where a sum belongs."
    )


def test_a_function_that_is_not_linear_has_no_sums():
    def square(dout, x):
        return dout * dout.sum() ** 2

    def fragile(dout, x):
        if not dout.all():
            raise ZeroDivisionError
        return dout + 1

    for function in (square, fragile):
        with pytest.raises(AssertionError, match=r"dx\[0.*\] is .*, but should be"):
            assert_same_function(function, "relu_backward")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.sin, "conv9d"), ValueError, "name is 'conv9d', but must be one of inner, "),
        ((3, "relu"), TypeError, "function is 3, but must be a function"),
        ((np.sin, "relu", -1), ValueError, "examples is -1, but must be an int >= 0"),
    ],
)
def test_wrong_use_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        assert_same_function(*arguments)
