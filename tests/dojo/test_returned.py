"""What a function returns: lists, integers, float32, a wrong number or shape have one sentence each."""

from __future__ import annotations

import numpy as np
import pytest

from tinyalexnet.bestiary.subject import Case, Subject
from tinyalexnet.dojo.child import decode, encode
from tinyalexnet.dojo.contract import RefusedError, WrongArrayError, changed, outputs


def subject(*names, **gradients):
    return Subject("f", ("x", "w"), names, lambda x, w: x, (Case("only", {}),), lambda rng: {}, gradients=gradients)


ONE, TWO = subject("dx", dx="x"), subject("dx", "s")
RIGHT = {"dx": np.zeros((2, 3)), "s": 1.5}


def refusal(judged, returned, right=RIGHT):
    with pytest.raises(RefusedError) as caught:
        outputs(judged, decode(encode(returned)), right)
    return str(caught.value)


def array(dtype=np.float64, shape=(2, 3)):
    return np.ones(shape, dtype)


def test_the_right_form_is_taken():
    assert outputs(ONE, array(), RIGHT)["dx"].sum() == 6
    for number in (2, 2.0, np.float64(2), np.array(2.0), np.int64(2)):
        found = outputs(TWO, (array(), number), RIGHT)
        assert found["s"] == 2
        assert type(found["s"]) is float
    assert list(outputs(TWO, [array(), 1.0], RIGHT)) == ["dx", "s"]


SENTENCES = [
    (ONE, None, "f returns None: a `return dx` is missing."),
    (TWO, None, "f returns None: a `return dx, s` is missing."),
    (ONE, (array(),), "f returns a tuple, but must return dx alone: leave out the comma."),
    (TWO, array(), "f returns an array of shape (2, 3), but must return 2 values: dx, s."),
    (TWO, (array(),), "f returns 1 value, but must return 2 values: dx, s."),
    (TWO, (array(), 1, 2), "f returns 3 values, but must return 2 values: dx, s."),
    (
        ONE,
        [[1.0, 2, 3], [4, 5, 6]],
        "dx is a list, but must be a NumPy array: begin with `dx = np.zeros(...)`, or end with `np.array(dx)`.",
    ),
    (ONE, 3.0, "dx is the float 3.0, but must be a NumPy array of shape (2, 3)."),
    (ONE, "text", "dx is a str, but must be a NumPy array of shape (2, 3)."),
    (
        ONE,
        array(np.float32),
        "dx has dtype float32, but must have float64: float32 keeps too few digits, and the arguments are float64.",
    ),
    (
        ONE,
        array(np.int64),
        "dx has dtype int64, but must have float64: integers drop what comes after the point. `np.zeros(shape)` makes "
        "dx of float64.",
    ),
    (
        ONE,
        array(bool),
        "dx has dtype bool, but must have float64: multiply the True and False by numbers, or use np.where.",
    ),
    (ONE, array(complex), "dx has dtype complex128, but must have float64: the numbers here are real."),
    (ONE, array(shape=(3, 2)), "dx has shape (3, 2), but must have (2, 3), the shape of x."),
    (
        ONE,
        np.where(np.arange(6) == 4, np.nan, 1.0).reshape(2, 3),
        "dx[1,1] is nan, but every element must be a finite number.",
    ),
    (
        ONE,
        np.where(np.arange(6) == 0, np.inf, 1.0).reshape(2, 3),
        "dx[0,0] is inf, but every element must be a finite number.",
    ),
    (TWO, (array(), np.ones(2)), "s is an array of shape (2,), but must be one number: is a sum missing?"),
    (TWO, (array(), None), "s is None, but must be a number."),
    (TWO, (array(), True), "s is the bool True, but must be a number."),
    (TWO, (array(), 1j), "s is a complex, but must be a number."),
    (TWO, (array(), "1"), "s is a str, but must be a number."),
    (TWO, (array(), float("nan")), "s is nan, but must be a finite number."),
    (
        TWO,
        (array(), np.float32(1)),
        "s has dtype float32, but must have float64: float32 keeps too few digits, and the arguments are float64.",
    ),
]


@pytest.mark.parametrize(("judged", "returned", "sentence"), SENTENCES)
def test_another_form_is_refused_in_one_sentence(judged, returned, sentence):
    assert refusal(judged, returned) == sentence


def test_integers_may_be_in_tuples_lists_or_arrays():
    pads = subject("pads")
    right = {"pads": ((0, 1), (2, 0))}
    for value in (((0, 1), (2, 0)), [[0, 1], [2, 0]], np.array([[0, 1], [2, 0]])):
        assert np.array_equal(outputs(pads, value, right)["pads"], right["pads"])
    size = subject("size")
    assert outputs(size, np.int64(3), {"size": 4}) == {"size": 3}
    assert (
        refusal(size, 3.0, {"size": 4})
        == "size is 3.0, a float, but must be made of ints: divide with // and not with /."
    )
    assert refusal(size, "3", {"size": 4}) == "size is a str, but must be an int."
    assert refusal(pads, ((0, 1), 2), right) == "pads is a tuple, but must look like ((int, int), (int, int))."
    assert refusal(pads, (0, 1), right) == "pads is (0, 1), but must look like ((int, int), (int, int))."


def test_arrays_of_integers_keep_their_dtype():
    kept = subject("kept")
    right = {"kept": np.zeros(2, np.uint8)}
    assert refusal(kept, np.zeros(2), right) == "kept has dtype float64, but must have uint8."


def test_a_wrong_shape_is_told_apart():
    with pytest.raises(WrongArrayError):
        outputs(ONE, array(shape=(3, 2)), RIGHT)


def test_changed_arguments():
    assert changed(("x",)) == "Your code changes x, which the caller still needs: work on a copy, such as x.copy()."
    assert changed(("x", "w")).startswith("Your code changes x and w, which")
