"""Numbers to predict, a case that catches a mistake, and a formula: each refusal is one sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tinyalexnet.bestiary import SUBJECTS
from tinyalexnet.bestiary.subject import Beast
from tinyalexnet.dojo.check import check, examine
from tinyalexnet.dojo.exercise import Catch, Derive, Exercise, Predict, Question
from tinyalexnet.dojo.runner import Inside

HINTS = ("Why?", "a\nb", "c")


def exercise_of(task):
    return Exercise("exercise", "An exercise", task, HINTS)


# --- predict ----------------------------------------------------------------------------------------------------------

NUMBERS = exercise_of(
    Predict(
        (Question("s", "It asks for the sum."), Question("third", "It asks for a third of 2.")), lambda: (5.0, 2 / 3)
    )
)


def predicted(answers):
    return examine(NUMBERS, Inside({"answers": answers}))


def sentences(result):
    return [gate.sentence for gate in result.gates]


def test_right_numbers_pass_in_any_form():
    for answers in ({"s": 5, "third": 2 / 3}, {"s": np.float32(5), "third": 0.6666667, "more": None}):
        result = predicted(answers)
        assert result.passed
        assert sentences(result) == ["You are asked for 2 numbers.", "5 is right.", "0.666667 is right."]


def test_each_wrong_number_is_told_alone_and_the_right_one_is_not():
    result = predicted({"s": 4, "third": 2 / 3})
    assert [gate.state for gate in result.gates] == ["ok", "wrong", "ok"]
    assert result.gates[1].sentence == "4 is not right. It asks for the sum."
    assert "5" not in result.text
    result = predicted({"s": None, "third": 0.66})
    assert [gate.state for gate in result.gates] == ["ok", "wrong", "wrong"]
    assert result.gates[1].sentence == "It has no number yet: write one in place of None."


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("five", "a str"),
        ([5], "a list"),
        (np.ones(2), "an array of shape (2,)"),
        (print, "a builtin_function_or_method"),
        (True, "the bool True"),
        (1j, "a complex"),
    ],
)
def test_what_is_no_number_is_said(value, words):
    assert predicted({"s": value, "third": 1}).gates[1].sentence == f"It is {words}, but must be a number."


def test_nan_is_not_right():
    assert not predicted({"s": float("nan"), "third": 2 / 3}).passed


def test_the_dict_must_stay():
    result = predicted([5, 2 / 3])
    assert [gate.state for gate in result.gates] == ["wrong", "later", "later"]
    assert result.gates[0].sentence == "answers is a list, but must be the dict that was there."
    assert predicted({"s": 5}).gates[0].sentence == "answers has no third: keep the names that were there."
    missing = examine(NUMBERS, Inside({}))
    assert missing.gates[0].sentence.startswith("There is no `answers` in what was handed over")


# --- catch ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def trap(monkeypatch):
    """Catch a ReLU that lets 0 pass, with one element."""
    subject = SUBJECTS["relu_backward"]
    beast = Beast("at-zero", "dx", "At 0 too.", "", "", lambda dout, x: np.where(x >= 0, dout, 0.0))
    monkeypatch.setitem(SUBJECTS, "relu_backward", replace(subject, beasts=(beast,)))
    return exercise_of(Catch("relu_backward", "at-zero", counted="x", limit=1))


def caught(exercise, value):
    def case():
        print("called")
        return value

    return examine(exercise, Inside({"case": case}))


def test_the_smallest_case_is_taken(trap):
    result = caught(trap, {"dout": np.array([[3.0]]), "x": [[0]]})
    assert result.passed
    assert sentences(result) == [
        "case() returns dout and x, and they fit together.",
        "The wrong function gives dx = [[3]], the right one [[0]].",
        "x has 1 element: no smaller one shows it.",
    ]
    assert result.text.endswith("\nYour code printed\n    called\n")


def refused(result, gate):
    assert [one.name for one in result.gates if one.state == "wrong"] == [gate]
    return next(one.sentence for one in result.gates if one.state == "wrong")


def test_a_case_that_does_not_show_it_or_is_too_large(trap):
    sentence = refused(caught(trap, {"dout": [2.0, 1.0], "x": [1, -1]}), "caught")
    assert sentence == "Both functions give dx = [2 0]: the mistake does not show here."
    sentence = refused(caught(trap, {"dout": [2.0, 1.0], "x": [0, -1]}), "smallest")
    assert sentence == "x has 2 elements, but 1 is enough: make it smaller."


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (None, "case() returns None, but must return a dict of dout and x."),
        ({}, "case() returns an empty dict, but must return a dict of dout and x."),
        ({"x": 1, "y": 2}, "case() returns a dict of x and y, but must return a dict of dout and x."),
        ({"x": 1, "dout": "text"}, "dout is a str, but must be an array of numbers."),
        ({"x": 1, "dout": [[1], [1, 2]]}, "dout is a list, but must be an array of numbers."),
        ({"x": 1, "dout": print}, "dout is a builtin_function_or_method, but must be an array of numbers."),
        (
            {"x": 1, "dout": np.ones(101)},
            "dout must have at most 100 elements, all of them finite: the smallest is asked for.",
        ),
        ({"x": np.nan, "dout": 1}, "x must have at most 100 elements, all of them finite: the smallest is asked for."),
        (
            {"x": [1, 2], "dout": [1, 2, 3]},
            "These arguments do not fit together: dout has shape (3,), but must have the output's shape, (2,).",
        ),
    ],
)
def test_arguments_that_will_not_do(trap, value, sentence):
    assert refused(caught(trap, value), "arguments") == sentence


def test_without_the_function_its_name_is_asked_for(trap):
    sentence = refused(examine(trap, Inside({"cases": print})), "arguments")
    assert sentence.startswith("There is no function case: keep its name as it was in the exercise")


def test_a_hundred_elements_are_not_too_many_for_a_case(trap):
    assert caught(trap, {"x": np.ones(100), "dout": np.ones(100)}).gates[0].state == "ok"


@pytest.mark.parametrize("kernel", [(1,), 2, ((1, 2), 1), (1.0, 2), (1, True), (1, 101), "12", None])
def test_sizes_must_look_like_those_of_other_cases(monkeypatch, kernel):
    subject = SUBJECTS["maxpool_forward"]
    beast = Beast("zero", "out", "0.", "", "", lambda x, kernel, stride, pads: np.zeros(1))
    monkeypatch.setitem(SUBJECTS, "maxpool_forward", replace(subject, beasts=(beast,)))
    fixed = {"pads": ((0, 0), (0, 0))}
    exercise = exercise_of(Catch("maxpool_forward", "zero", "x", 9, fixed))
    pool = {"x": np.ones((1, 1, 2, 1)), "kernel": (1, 2), "stride": [1, np.int64(1)]}
    assert caught(exercise, pool).passed
    sentence = refused(caught(exercise, {**pool, "kernel": kernel}), "arguments")
    assert sentence.startswith("kernel is ")
    assert sentence.endswith(", but must look like (1, 2), with small numbers.")
    sentence = refused(caught(exercise, {**pool, "kernel": (1, 100)}), "arguments")
    assert sentence.startswith("These arguments do not fit together: ")


def test_numbers_and_masks_of_a_case(monkeypatch):
    subject = SUBJECTS["dropout_forward"]
    beast = Beast("zero", "out", "0.", "", "", lambda x, kept, rate: np.zeros_like(x))
    monkeypatch.setitem(SUBJECTS, "dropout_forward", replace(subject, beasts=(beast,)))
    exercise = exercise_of(Catch("dropout_forward", "zero", "x", 1))
    assert caught(exercise, {"x": [[1.0]], "kept": [[True]], "rate": 0.5}).passed
    assert caught(exercise, {"x": [[1.0]], "kept": [[1]], "rate": 0}).passed
    assert not caught(exercise, {"x": [[1.0]], "kept": [[True]], "rate": "half"}).passed


# --- derive -----------------------------------------------------------------------------------------------------------


def divisors(n):
    return [k for k in range(1, n + 1) if n % k == 0]


def pairs(n):
    return [(k, n // k) for k in divisors(n)]


def formula(definition, ordered, returns="a list"):
    cases = [{"n": n} for n in (4, 6, 7)]
    return exercise_of(Derive("f", ("n",), definition, lambda: cases, returns, ordered))


def derived(definition, f, ordered=False):
    return examine(formula(definition, ordered), Inside({"f": f}))


def test_several_things_in_any_order():
    assert derived(divisors, divisors).passed
    assert derived(divisors, lambda n: np.array(divisors(n))[::-1]).passed
    result = derived(pairs, lambda n: set(pairs(n)))
    assert result.passed
    assert sentences(result) == [
        "f takes (n) and returns a list.",
        "f(n=4) is [(1, 4), (2, 2), (4, 1)].",
        "It is right for all 3 arguments that were tried.",
    ]


@pytest.mark.parametrize(
    ("f", "gate", "sentence"),
    [
        (lambda n: None, "contract", "f(n=4) returns None, but must return a list: is a `return` missing?"),
        (lambda n: 3, "contract", "f(n=4) returns the int 3, but must return a list."),
        (lambda n: {"a": 1}, "contract", "f(n=4) returns a dict, but must return a list."),
        (lambda n: [print], "contract", "f(n=4) returns a list, but must return a list."),
        (lambda m: [], "contract", "f takes (m), but must take (n)."),
        (lambda n: [], "example", "f(n=4) is []: (1, 4) is missing."),
        (lambda n: pairs(n)[:2], "example", "f(n=4) is [(1, 4), (2, 2)]: (4, 1) is missing."),
        (
            lambda n: pairs(4) + pairs(n)[: n % 2],
            "all",
            "f(n=6) is [(1, 4), (2, 2), (4, 1)]: (1, 4) must not be there.",
        ),
        (
            lambda n: pairs(n) + pairs(n)[:1],
            "example",
            "f(n=4) is [(1, 4), (2, 2), (4, 1), (1, 4)]: (1, 4) is there twice.",
        ),
    ],
)
def test_several_things_that_are_wrong(f, gate, sentence):
    assert refused(derived(pairs, f), gate) == sentence


def test_one_thing():
    def half(n):
        return None if n % 2 else n / 2

    assert derived(half, lambda n: None if n % 2 else np.float64(n) * 0.5, ordered=True).passed
    assert refused(derived(half, lambda n: n / 2, ordered=True), "all") == "f(n=7) is 3.5, but must be None."
    assert refused(derived(half, lambda n: (n / 2,), ordered=True), "example") == "f(n=4) is (2), but must be 2."
    assert refused(derived(pairs, lambda n: pairs(n)[::-1], ordered=True), "example").startswith("f(n=4) is ((4, 1), ")
    assert derived(pairs, pairs, ordered=True).passed
    assert not derived(pairs, lambda n: [*pairs(n), (1, 1)], ordered=True).passed
    assert not derived(pairs, lambda n: 2, ordered=True).passed
    sentence = refused(derived(half, lambda n: None, ordered=True), "example")  # None is the answer to others
    assert sentence == "f(n=4) is None, but must be 2. Is a `return` missing?"
    sentence = refused(derived(lambda n: n / 2, lambda n: None, ordered=True), "contract")
    assert sentence == "f(n=4) returns None, but must return a list: is a `return` missing?"


def test_what_the_first_call_of_a_formula_prints_is_shown():
    def f(n):
        print(f"called with {n}")
        return divisors(n)

    text = derived(divisors, f).text
    assert "called with 4" in text
    assert "called with 7" not in text


# --- a notebook -------------------------------------------------------------------------------------------------------


def test_check_prints_the_text_and_returns_the_result(capsys):
    result = check("relu_backward", lambda dout, x: np.where(x > 0, dout, 0.0))
    assert result.passed
    assert capsys.readouterr().out == result.text
    result = check("relu_backward", lambda dout, x: dout)
    out = capsys.readouterr().out
    assert out == result.text
    assert out.endswith(
        "\nNext\n    Change it, and check it again.\n"
        "    A hint: !python -m tinyalexnet dojo hint relu_backward 1   (then 2, then 3)\n"
    )
    assert not check("inner_product", {"s": None}).passed
    with pytest.raises(ValueError, match=r"^name is 'relu', but must be an exercise: inner_product, .*relu_backward, "):
        check("relu", None)
