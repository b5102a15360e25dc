"""The gates, each failed by a function that passes those before it, and what is then printed."""

from __future__ import annotations

import re
from dataclasses import replace
from textwrap import dedent

import numpy as np
import pytest

from tinyalexnet.bestiary import SUBJECTS
from tinyalexnet.bestiary.subject import Beast
from tinyalexnet.dojo import report
from tinyalexnet.dojo.check import Result, check_file, examine
from tinyalexnet.dojo.exercise import Exercise, Fill, Speed
from tinyalexnet.dojo.runner import Inside, Limits

GATES = ["contract", "example", "exact", "adjoint", "derivative", "bestiary"]
HINTS = ("Why?", "a\nb", "c")


def exercise_of(name):
    return Exercise(name, name, Fill(name), HINTS)


def judged(name, function):
    return examine(exercise_of(name), Inside({name: function}))


def words(text):
    return " ".join(text.split())


@pytest.fixture
def with_beasts(monkeypatch):
    """Gives a subject these wrong functions."""

    def give(name, *beasts):
        found = tuple(
            Beast(one, output, f"The {one} mistake, in many words, so that its line is broken.", "", "", run)
            for one, output, run in beasts
        )
        monkeypatch.setitem(SUBJECTS, name, replace(SUBJECTS[name], beasts=found))

    return give


def failed_at(result, gate):
    """The sentence of the gate that failed: those before it are passed, those after it not reached."""
    at = [one.name for one in result.gates].index(gate)
    states = [one.state for one in result.gates]
    assert set(states[:at]) <= {"ok", "skipped"}
    assert states[at] == "wrong"
    assert set(states[at + 1 :]) <= {"later"}
    assert not result.passed
    return result.gates[at].sentence


def relu_backward(dout, x):
    return np.where(x > 0, dout, 0.0)


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_right_answer_of_every_subject_passes_every_gate(name):
    result = judged(name, SUBJECTS[name].right)
    assert result.passed, result.text
    assert [gate.name for gate in result.gates] == GATES
    assert all(gate.sentence.endswith(".") for gate in result.gates)


BEASTS = [(name, beast) for name, subject in SUBJECTS.items() for beast in subject.beasts]


@pytest.mark.parametrize(("name", "beast"), BEASTS, ids=lambda value: getattr(value, "name", value))
def test_every_known_mistake_is_named_by_its_sentence_alone(name, beast):
    result = judged(name, beast.run)
    assert not result.passed
    assert result.mistake == beast.name
    text = words(result.text)
    named = [other.name for other in SUBJECTS[name].beasts if words(other.sentence) in text]
    assert named == [beast.name]
    assert "A clue" not in text


def test_a_result_is_plain_data_and_reads_well():
    result = judged("relu_backward", relu_backward)
    assert isinstance(result, Result)
    assert repr(result) == "<relu_backward: solved, 6 of 6 gates>"
    data = result.to_dict()
    assert data["gates"][0] == {
        "name": "contract",
        "state": "ok",
        "sentence": "relu_backward takes (dout, x) and returns dx of the right shape and dtype.",
    }
    assert (data["exercise"], data["kind"], data["passed"], data["points"]) == ("relu_backward", "fill", True, 1)
    assert data["mistake"] is None
    assert data["text"] == result.text
    wrong = judged("relu_backward", lambda dout, x: dout)
    assert repr(wrong) == "<relu_backward: not yet, 1 of 6 gates>"
    assert wrong.to_dict()["points"] == 0


def test_the_contract():
    assert (
        failed_at(judged("relu_backward", lambda x: x), "contract")
        == "relu_backward takes (x), but must take (dout, x)."
    )
    rng = np.random.default_rng(0)
    sentence = failed_at(judged("relu_backward", lambda dout, x: dout + rng.random(x.shape)), "contract")
    assert sentence == "Two calls with the same arguments give different results: leave out what is random."

    def in_place(dout, x):
        dout[x <= 0] = 0
        return dout

    sentence = failed_at(judged("relu_backward", in_place), "contract")
    assert sentence.startswith("Your code changes dout, which the caller still needs")
    assert "is a `return` missing" not in sentence
    sentence = failed_at(judged("relu_backward", lambda dout, x: None), "contract")
    assert sentence == "relu_backward returns None: a `return dx` is missing."


def test_the_example():
    result = judged("relu_backward", lambda dout, x: dout)
    assert failed_at(result, "example") == 'In the smallest case, "both-signs", dx is wrong.'
    assert result.case == "both-signs"
    assert result.text.startswith(
        dedent(
            """\
            relu_backward (fill the hole)

              ok     1 contract    relu_backward takes (dout, x) and returns dx of the right shape
                                   and dtype.
              WRONG  2 example     In the smallest case, "both-signs", dx is wrong.
              later  3 exact, 4 adjoint, 5 derivative, 6 bestiary

            The smallest case that shows it: "both-signs"
            """
        )
    )
    assert "\n    . right   x wrong   X the first wrong one\n        . X\n" in result.text


def test_exactness_shows_the_smallest_case_and_counts_the_others(with_beasts):
    def at_zero(dout, x):
        return np.where(x >= 0, dout, 0.0)

    with_beasts("relu_backward", ("at-zero", "dx", at_zero))
    result = judged("relu_backward", at_zero)
    sentence = failed_at(result, "exact")
    assert sentence.startswith("dx is wrong in ")
    assert sentence.endswith(" of 16 cases.")
    assert result.case == "zero"
    assert result.text.endswith(
        dedent(
            """
            The smallest case that shows it: "zero"
                dout of shape (1, 3): 3 2 4
                x of shape (1, 3): 0 2 -1

            dx: 1 of 3 elements is wrong
                . right   x wrong   X the first wrong one
                    X . .

            dx[0,0] is 3. It must be 0.
                yours: 3·1 (dout[0,0]) = 3
                right: 0, because no element of dout has a share

            The mistake
                The at-zero mistake, in many words, so that its line is broken.
            """
        )
    )


@pytest.mark.parametrize(("count", "where"), [(1, 'in the case "images"'), (2, "in 2 of 16 cases")])
def test_one_case_alone_has_its_name_and_more_are_counted(count, where):
    last = [case.pool["x"] for case in SUBJECTS["relu_backward"].cases[-count:]]

    def wrong(dout, x):
        dx = relu_backward(dout, x)
        if any(np.array_equal(x, one) for one in last):
            dx.flat[-1] += 1
        return dx

    assert failed_at(judged("relu_backward", wrong), "exact") == f"dx is wrong {where}."


def test_what_is_said_of_a_function_that_is_right():
    """Sums of integers are exact, a softmax rounds; a backward is compared with the forward, a forward with itself."""

    def said(name):
        return {gate.name: gate.sentence for gate in judged(name, SUBJECTS[name].right).gates}

    backward, forward, rounded = said("conv1d_backward"), said("conv1d_forward"), said("softmax_cross_entropy")
    count = len(SUBJECTS["conv1d_backward"].cases)
    assert backward["exact"] == f"Every element is right, in {count} chosen cases and 12 random ones."
    assert rounded["exact"].startswith("Every element is right up to rounding, in ")
    assert backward["adjoint"].startswith("With real numbers, F for the forward: ⟨dout, F(x) - F(0)⟩ = ⟨dx, x⟩ = ")
    assert forward["adjoint"].startswith("With real numbers, F for your function, and the right backward: ⟨dout, F(x)")
    assert forward["derivative"] == "out is right for real numbers too."


def test_a_random_geometry_alone():
    """The chosen cases are right: there is no case to show by its name."""
    shapes = [case.pool["x"].shape for case in SUBJECTS["relu_backward"].cases]
    result = judged("relu_backward", lambda dout, x: relu_backward(dout, x) + (x.shape not in shapes))
    assert "random 1" in result.text
    assert result.case is None


def test_an_exception_in_a_later_case_names_the_case():
    def fails(dout, x):
        print("rows", len(x))
        return relu_backward(dout, x) if len(x) < 3 else dout[7]

    result = judged("relu_backward", fails)
    sentence = failed_at(result, "exact")
    assert "raises IndexError: index 7 is out of bounds for axis 0 with size 3. " in sentence
    assert sentence.endswith('This is in the case "rows": dout of shape (3, 4), x of shape (3, 4).')
    assert result.text.endswith("\nYour code printed\n    rows 3\n")
    assert result.mistake is None


def test_an_exception_in_the_first_case_names_it_too():
    def fails(dout, x):
        print("here")
        return dout[7]

    result = judged("relu_backward", fails)
    sentence = failed_at(result, "contract")
    assert "raises IndexError: index 7 is out of bounds for axis 0 with size 1. " in sentence
    assert sentence.endswith('This is in the case "both-signs": dout of shape (1, 2), x of shape (1, 2).')
    assert result.text.endswith("\nYour code printed\n    here\n")

    def hole(dout, x):
        raise NotImplementedError

    assert "This is in the case" not in judged("relu_backward", hole).text


def test_a_wrong_number_counts_more_than_a_later_exception():
    def both(dout, x):
        if len(x) == 3:
            raise ValueError("not this one")
        return dout if (x == 0).any() else relu_backward(dout, x)

    assert failed_at(judged("relu_backward", both), "exact").startswith("dx is wrong in ")


def test_another_shape_in_a_later_case():
    sentence = failed_at(judged("relu_backward", lambda dout, x: relu_backward(dout, x)[:1]), "exact")
    assert sentence.startswith("dx has shape (1, 4), but must have (3, 4), the shape of x. ")


def rounded(function):
    """The function, but integers alone come out right."""
    return lambda **arguments: np.round(function(**arguments))


def test_the_adjoint_at_real_numbers():
    right = SUBJECTS["conv2d_backward_input"].right

    def wrong(dout, w, x_shape, stride, pads, groups):
        return np.round(right(dout, w, x_shape, stride, pads, groups))

    sentence = failed_at(judged("conv2d_backward_input", wrong), "adjoint")
    assert sentence.startswith("With real numbers, ⟨dout, F(x) - F(0)⟩ = ⟨dx, x⟩ must hold, but ")
    assert sentence.endswith("On integers all was right: is something rounded, or made an int, on the way?")


def test_the_slope_at_real_numbers():
    right = SUBJECTS["square_sum_backward"].right
    result = judged("square_sum_backward", lambda dout, x: np.round(right(dout, x)))
    assert result.gates[3].state == "skipped"
    sentence = failed_at(result, "derivative")
    assert sentence.startswith(
        "With real numbers, the slope of the forward along a direction v = ⟨dx, v⟩ must hold, but "
    )


def test_a_forward_at_real_numbers():
    result = judged("square_sum_forward", lambda x: float(np.round(np.sum(x * x))))
    assert failed_at(result, "derivative").startswith("With real numbers s is wrong by up to 0.")


def test_what_is_not_for_a_function_is_skipped():
    gates = judged("output_size", SUBJECTS["output_size"].right).gates
    assert [gate.state for gate in gates][:5] == ["ok", "ok", "ok", "skipped", "skipped"]
    assert gates[0].sentence == "output_size takes (size, kernel, stride, pads) and returns out_size in the right form."


# --- known mistakes ---------------------------------------------------------------------------------------------------


def test_a_known_mistake_is_the_only_explanation(with_beasts):
    def twice(dout, x):
        return 2 * relu_backward(dout, x)

    with_beasts("relu_backward", ("identity", "dx", lambda dout, x: dout), ("twice", "dx", twice))
    result = judged("relu_backward", twice)
    assert result.mistake == "twice"
    assert "\nThe mistake\n    The twice mistake" in result.text
    assert "identity mistake" not in result.text
    assert "A clue" not in result.text
    assert "It is none of the 2 known mistakes." in judged("relu_backward", relu_backward).text
    with_beasts("relu_backward")
    assert "there is no list of known mistakes" in judged("relu_backward", relu_backward).text
    with_beasts("relu_backward", ("twice", "dx", twice))
    assert "It is not the known mistake." in judged("relu_backward", relu_backward).text


def test_a_mistake_is_not_named_if_the_output_has_not_the_right_form(with_beasts):
    """First the sentence on the form: a learner mends one thing after the other."""
    with_beasts("relu_backward", ("identity", "dx", lambda dout, x: dout))
    result = judged("relu_backward", lambda dout, x: dout.astype(np.float32))
    assert failed_at(result, "contract").startswith("dx has dtype float32, but must have float64: ")
    assert result.mistake is None
    assert "The mistake" not in result.text


def test_a_transposed_square_matrix_is_a_clue():
    text = judged("dense_backward", lambda dout, x, w: (dout @ w.T, dout.T @ x, dout.sum(axis=0))).text
    clue = "Your matrix is the transpose of the right one: row and column are exchanged."
    assert text.endswith(f"\nA clue\n    {clue}\n")

    def dilated(kernel, dilation):
        halves = [((k - 1) // 2 * d, k // 2 * d) for k, d in zip(kernel, dilation, strict=True)]
        return tuple(halves)

    assert "transpose" not in judged("torch_same_pads", dilated).text  # pads are no matrix


def test_a_gradient_of_logits_without_its_mean_is_a_clue():
    right = SUBJECTS["softmax_cross_entropy"].right

    def summed(logits, labels):
        if np.abs(logits).max() > 100:
            raise ValueError("too large")
        loss, dlogits = right(logits, labels)
        return loss, dlogits * len(logits)

    clue = "Each element is 2 times the right one: usually a sum over the batch, where a mean belongs."
    assert clue in " ".join(judged("softmax_cross_entropy", summed).text.split())


def test_without_a_known_mistake_a_constant_ratio_is_a_clue(with_beasts):
    with_beasts("relu_backward")
    text = judged("relu_backward", lambda dout, x: 2 * relu_backward(dout, x)).text
    assert '\nA clue\n    In the case "rows", each element is 2 times the right one: usually' in text
    text = judged("relu_backward", lambda dout, x: 2 * relu_backward(dout, x) if len(x) < 3 else x[9]).text
    assert "A clue" not in text
    dense = SUBJECTS["dense_forward"].right
    text = judged("dense_forward", lambda x, w, b: -dense(x, w, b)).text
    assert "\nA clue\n    Each element is -1 times the right one: usually the sign is turned.\n" in text
    with_beasts("dense_backward")
    right = SUBJECTS["dense_backward"].right

    def mean(dout, x, w):
        dx, dw, db = right(dout, x, w)
        return dx, dw, db / len(dout)

    result = judged("dense_backward", mean)
    assert failed_at(result, "exact").startswith("db is wrong in ")
    assert "db: 2 of 2 elements are wrong (dx and dw are right)" in result.text
    assert "usually a mean over the batch, where a sum belongs" in words(result.text)
    two = judged(
        "dense_backward", lambda dout, x, w: (right(dout, x, w)[0], -right(dout, x, w)[1], np.zeros(w.shape[1]))
    )
    assert failed_at(two, "example") == 'In the smallest case, "one-vector", dw and db are wrong.'
    assert "(dx is right)" in two.text


def test_a_rounded_backward_is_written_as_sums_too(with_beasts):
    with_beasts("lrn_backward")
    right = SUBJECTS["lrn_backward"].right

    def own_output_alone(dout, x, radius, bias, alpha, beta):
        dx = np.zeros_like(x)
        for c in range(x.shape[3]):
            one = np.zeros_like(dout)
            one[..., c] = dout[..., c]
            dx[..., c] = right(one, x, radius, bias, alpha, beta)[..., c]
        return dx

    text = judged("lrn_backward", own_output_alone).text
    assert "\n    yours: 4·0.125 (dout[0,0,0,0]) = 0.5\n" in text
    assert "\n    right: 4·0.125 (dout[0,0,0,0]) + 8·0.125 (dout[0,0,0,1]) = 1.5\n" in text
    forward = SUBJECTS["lrn_forward"].right
    doubled = judged("lrn_forward", lambda x, radius, bias, alpha, beta: 2 * forward(x, radius, bias, alpha, beta))
    assert "out[0,0,0,0] is 0.5. It must be 0.25." in doubled.text
    assert "yours:" not in doubled.text


def test_an_empty_slice_is_explained():
    right = SUBJECTS["conv2d_transpose_forward"].right
    result = judged("conv2d_transpose_forward", lambda x, w, stride, pads: right(x, w, stride, pads)[:, 0:-0])
    words = (
        "out has shape (1, 0, 3, 1), but must have (1, 1, 3, 1). A slice that ends at -0, such as a[1:-0], is empty."
    )
    assert failed_at(result, "contract") == words


def test_two_cases_with_other_ratios_are_told_without_a_guess(with_beasts):
    with_beasts("avgpool_counted_backward")
    right = SUBJECTS["avgpool_counted_backward"].right

    def summed(dout, x_shape, kernel, stride, pads):
        return right(dout, x_shape, kernel, stride, pads) * kernel[0] * kernel[1]

    text = words(judged("avgpool_counted_backward", summed).text)
    assert 'Here each element is 2 times the right one, but in the case "overlap" 4 times: which argument' in text
    assert "usually" not in text

    def once(dout, x_shape, kernel, stride, pads):
        assert x_shape == (1, 1, 3, 1)
        return summed(dout, x_shape, kernel, stride, pads)

    assert "Each element is 2 times the right one: usually" in words(judged("avgpool_counted_backward", once).text)


def test_a_known_mistake_in_the_second_output_or_in_the_shape(with_beasts):
    right = SUBJECTS["dense_backward"].right

    def mean(dout, x, w):
        dx, dw, _ = right(dout, x, w)
        return dx, dw, dout.mean(axis=0)

    def turned(dout, x, w):
        dx, dw, db = right(dout, x, w)
        return dx, dw.T, db

    def both(dout, x, w):
        return turned(dout, x, w)[0], turned(dout, x, w)[1], dout.mean(axis=0)

    def cut(dout, x, w):
        dx, dw, db = right(dout, x, w)
        return dx, dw[:1], db

    with_beasts("dense_backward", ("mean", "db", mean), ("turned", "dw", turned), ("cut", "dw", cut))
    assert judged("dense_backward", mean).mistake == "mean"
    result = judged("dense_backward", turned)
    assert result.mistake == "turned"
    assert failed_at(result, "example") == 'In the smallest case, "one-vector", dw is wrong.'
    result = judged("dense_backward", cut)
    assert result.mistake == "cut"
    assert failed_at(result, "contract") == "dw has shape (1, 2), but must have (2, 2), the shape of w."
    assert result.text.endswith("\nThe mistake\n    The cut mistake, in many words, so that its line is broken.\n")
    assert judged("dense_backward", both).mistake == "turned"


def test_the_element_that_is_shown_is_of_the_output_with_the_known_mistake(with_beasts):
    """If it is wrong in that case: with one row the mean is right."""
    right = SUBJECTS["dense_backward"].right

    def mean(dout, x, w, rows=0):
        dx, dw, _ = right(dout, x, w)
        return (2 * dx if len(x) > rows else dx), dw, dout.mean(axis=0)

    with_beasts("dense_backward", ("mean", "db", mean))
    for rows, shown in ((0, "dx"), (1, "db")):
        result = judged("dense_backward", lambda dout, x, w, rows=rows: mean(dout, x, w, rows))
        assert result.mistake == "mean"
        assert re.findall(r"^(\w+): \d+ of \d+ elements", result.text, flags=re.MULTILINE) == [shown]


@pytest.mark.parametrize(
    "last",
    [
        lambda dx, dw, db: (None, dw, db),
        lambda dx, dw, db: (print, dw, db),
        lambda dx, dw, db: (dx, dw),
        lambda dx, dw, db: (dx, dw, db, db),
    ],
    ids=["none", "opaque", "too few", "too many"],
)
def test_outputs_of_another_form_on_some_case_are_not_compared(with_beasts, last):
    """Though those on all the others are a known mistake."""
    subject = SUBJECTS["dense_backward"]

    def mean(dout, x, w):
        dx, dw, _ = subject.right(dout, x, w)
        return dx, dw, dout.mean(axis=0)

    def learned(dout, x, w):
        return last(*mean(dout, x, w)) if np.array_equal(x, subject.cases[-1].pool["x"]) else mean(dout, x, w)

    with_beasts("dense_backward", ("mean", "db", mean))
    result = judged("dense_backward", learned)
    assert failed_at(result, "exact").startswith("db is wrong in ")
    assert result.mistake is None


@pytest.mark.parametrize(
    "returned",
    [
        lambda dout, x: relu_backward(dout, x) if len(x) < 3 else 1 / 0,
        lambda dout, x: relu_backward(dout, x) if len(x) < 3 else None,
        lambda dout, x: relu_backward(dout, x) if len(x) < 3 else "text" and object(),
    ],
)
def test_what_gives_no_numbers_on_some_case_is_not_compared(with_beasts, returned):
    with_beasts("relu_backward", ("identity", "dx", lambda dout, x: dout))
    result = judged("relu_backward", lambda dout, x: returned(dout, x) if len(x) != 1 or x[0, 0] else dout)
    assert not result.passed
    assert result.mistake is None


# --- the sums ---------------------------------------------------------------------------------------------------------


def test_a_number_that_is_no_sum_is_not_taken_apart():
    result = judged(
        "maxpool_forward",
        lambda x, kernel, stride, pads: 2 * SUBJECTS["maxpool_forward"].right(x, kernel, stride, pads),
    )
    assert "is 8. It must be 4." in result.text
    assert "yours:" not in result.text


def test_a_part_that_no_argument_varies_is_named():
    result = judged("dense_forward", lambda x, w, b: 2 * (x @ w) + b)
    assert "    yours: 1·6 (x[0,0]) + 2·4 (x[0,1]) + 1 (without x) = 15\n" in result.text
    assert "    right: 1·3 (x[0,0]) + 2·2 (x[0,1]) + 1 (without x) = 8\n" in result.text
    only = judged("dense_forward", lambda x, w, b: np.tile(b, (len(x), 1)))
    assert "    yours: 1 (without x) = 1\n" in only.text


def test_numbers_and_integers_are_shown_without_a_map():
    result = judged("inner", lambda a, b: float(np.sum(a)))
    assert "\ns is 1. It must be 2.\n" in result.text
    size = judged("output_size", lambda size, kernel, stride, pads: (size[0], size[1]))
    assert "\nout_size is (1, 4). It must be (1, 3).\n" in size.text
    assert "right   x wrong" not in size.text


def test_one_element_has_no_map():
    right = SUBJECTS["momentum_step"].right

    def step(w, v, dw, rate, momentum, decay):
        w, v = right(w, v, dw, rate, momentum, decay)
        return w + 1, v

    text = judged("momentum_step", step).text
    assert "\nw: 1 of 1 elements is wrong (v is right)\n\nw[0] is 3. It must be 2.\n" in text


@pytest.mark.parametrize(("most", "shown"), [(2, True), (1, False)])
def test_a_sum_is_taken_apart_if_its_terms_are_not_too_many(monkeypatch, most, shown):
    monkeypatch.setattr(report, "MOST_VARIED", most)
    text = judged("relu_backward", lambda dout, x: dout).text
    assert "dout of shape (1, 2)" in text
    assert ("yours:" in text) is shown


def test_a_sum_that_cannot_be_repeated_is_left_out():
    """The code fails on the arrays that take the sum apart."""

    def fails(dout, x):
        if not dout.any():
            raise ValueError("all are 0")
        return dout

    assert "yours:" not in judged("relu_backward", fails).text


# --- speed ------------------------------------------------------------------------------------------------------------


def loops(tmp_path, monkeypatch):
    file = tmp_path / "slow.py"
    file.write_text(
        "import time\nimport numpy as np\ndef relu_backward(dout, x):\n"
        "    time.sleep(0.02)\n    return np.where(x > 0, dout, 0.0)\n"
    )
    monkeypatch.setattr(Exercise, "stub", file)
    pool = {"dout": np.ones((3, 2)), "x": np.array([[1.0, -2], [0, 1], [3, -1]])}
    return Exercise("slow", "Slow", Speed("relu_backward", factor=3, large=lambda: pool), HINTS)


def test_speed(tmp_path, monkeypatch):
    exercise = loops(tmp_path, monkeypatch)
    result = examine(exercise, Inside({"relu_backward": relu_backward}))
    assert result.passed, result.text
    assert " times as fast as the loops, at least 3 times are asked: " in words(result.text)
    file = tmp_path / "own.py"
    file.write_text(exercise.stub.read_text())
    result = check_file(exercise, file)
    assert [gate.state for gate in result.gates] == ["ok", "ok", "ok", "wrong"]
    assert result.gates[-1].sentence.startswith("It is 1.0 times as fast as the loops, but must be 3 times: 20")


@pytest.mark.parametrize(
    ("new", "passed", "words"),
    [
        (0.25, True, "It is 4.0 times as fast as the loops, at least 3 times are asked: 250 ms instead of 1e+03 ms."),
        (1 / 3, True, "It is 3.0 times as fast as the loops, at least 3 times are asked: 333 ms instead of 1e+03 ms."),
        (0.5, False, "It is 2.0 times as fast as the loops, but must be 3 times: 500 ms instead of 1e+03 ms."),
        (0.1, True, "It is 10 times as fast as the loops, at least 3 times are asked: 100 ms instead of 1e+03 ms."),
        (0.04, True, "It is 25 times as fast as the loops, at least 3 times are asked: 40 ms instead of 1e+03 ms."),
    ],
)
def test_the_factor_is_that_of_the_medians_and_the_bound_is_enough(tmp_path, monkeypatch, new, passed, words):
    code = Inside({"relu_backward": relu_backward})
    monkeypatch.setattr(code, "race", lambda *_: ([0.9, 1.0, 5.0], [new, new, 9.0]))
    gate = examine(loops(tmp_path, monkeypatch), code).gates[-1]
    assert (gate.state, gate.sentence) == ("ok" if passed else "wrong", words)


def test_speed_must_be_right_with_large_arrays_too(tmp_path, monkeypatch):
    exercise = loops(tmp_path, monkeypatch)
    wrong = Inside({"relu_backward": lambda dout, x: relu_backward(dout, x) + (x.shape == (3, 2) and x[0, 1] == -2)})
    result = examine(exercise, wrong)
    assert failed_at(result, "speed") == "With large arrays dx is wrong."


# --- prints and broken files ------------------------------------------------------------------------------------------


def test_what_the_code_prints_is_shown_after_all_else(tmp_path):
    def prints(dout, x):
        print("\n".join(map(str, range(30))))
        return relu_backward(dout, x)

    text = judged("relu_backward", prints).text
    assert "\nYour code printed\n    0\n    1\n" in text
    assert text.endswith("    19\n    ... and 10 more lines\n")

    def just_enough(dout, x):
        print("\n".join(map(str, range(20))))
        return relu_backward(dout, x)

    assert judged("relu_backward", just_enough).text.endswith("    18\n    19\n")


def test_a_file_that_cannot_be_read_fails_the_first_gate(tmp_path):
    file = tmp_path / "relu_backward.py"
    file.write_text("print('hello')\ndef relu_backward(dout, x):\n    return (dout")
    result = check_file(exercise_of("relu_backward"), file)
    assert failed_at(result, "contract").startswith("Line 3, `return (dout`, cannot be read as Python: ")
    file.write_text("print('hello')\nwhile True:\n    pass")
    result = check_file(exercise_of("relu_backward"), file, Limits(seconds=0.3))
    assert "is there an endless loop?" in failed_at(result, "contract")
    assert result.text.endswith("\nYour code printed\n    hello\n")


def test_the_identities_are_not_tried_where_all_windows_lie_in_the_padding():
    """The first geometry that is drawn for this function has a gradient of 0: ⟨0, v⟩ = 0 would say nothing."""
    name = "dilated_conv2d_backward_input"
    states = {gate.name: gate.state for gate in judged(name, SUBJECTS[name].right).gates}
    assert states["adjoint"] == states["derivative"] == "ok"
