"""The bestiary: right answers, cases, and a matrix that proves that the cases tell all beasts apart."""

from __future__ import annotations

import inspect
import itertools

import naive
import numpy as np
import pytest

from tinyalexnet.bestiary import SUBJECTS
from tinyalexnet.bestiary.subject import Case, Subject, wrong
from tinyalexnet.gradcheck import separated_values

BEASTS = [(subject, beast) for subject in SUBJECTS.values() for beast in subject.beasts]

by_subject = pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS)
by_beast = pytest.mark.parametrize(("subject", "beast"), BEASTS, ids=[beast.name for _, beast in BEASTS])

WITH_FORWARD = [subject for subject in SUBJECTS.values() if subject.forward]
by_backward = pytest.mark.parametrize("subject", WITH_FORWARD, ids=[subject.name for subject in WITH_FORWARD])


def arrays_of(pool):
    return {name: value for name, value in pool.items() if isinstance(value, np.ndarray)}


def pools_of(subject, draws=20):
    """The cases of a subject, and random geometries."""
    rng = np.random.default_rng(2012)
    return [*(case.pool for case in subject.cases), *(subject.draw(rng) for _ in range(draws))]


def outputs_on_cases(subject, function):
    return {case.name: subject.outputs_of(function, case.pool) for case in subject.cases}


def distance(first, second):
    """The largest difference relative to the largest element; infinite if only one of the two is NaN."""
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if not np.array_equal(np.isnan(first), np.isnan(second)):
        return np.inf
    largest = max(np.nanmax(np.abs(first)), np.nanmax(np.abs(second)))
    return 0.0 if largest == 0 else np.nanmax(np.abs(first - second)) / largest


# --- the subjects -----------------------------------------------------------------------------------------------------


def test_the_subjects_are_in_the_order_of_the_exercises():
    assert list(SUBJECTS)[:8] == [
        *("inner", "square_sum_forward", "square_sum_backward", "scale_forward", "scale_backward"),
        *("dense_forward", "dense_backward", "relu_forward"),
    ]
    assert list(SUBJECTS)[-1] == "winograd_f23"
    assert all(name == subject.name for name, subject in SUBJECTS.items())
    assert len(SUBJECTS) == 42


@by_subject
def test_parameters_are_those_of_the_functions(subject):
    for function in (subject.right, *(beast.run for beast in subject.beasts)):
        assert tuple(inspect.signature(function).parameters) == subject.parameters


@by_subject
def test_cases_are_small_in_order_of_size_and_of_integers(subject):
    names = [case.name for case in subject.cases]
    assert 3 <= len(names) == len(set(names)) <= 8
    sizes = [sum(array.size for array in arrays_of(case.pool).values()) for case in subject.cases]
    assert sizes == sorted(sizes)
    for case in subject.cases:
        assert set(subject.parameters) <= set(case.pool)
        for name, array in arrays_of(case.pool).items():
            assert array.size <= 200
            assert array.flags.c_contiguous
            assert array.dtype == {"kept": np.bool_, "labels": np.int64}.get(name, np.float64)
            assert np.array_equal(array, np.round(array))
            assert np.abs(array).max() <= (1001 if case.name == "large-logits" else 16)


@by_subject
def test_right_answers_are_not_vacuous(subject):
    for output in subject.outputs:
        values = np.concatenate([np.ravel(answer[output]) for answer in subject.answers.values()])
        assert np.mean(values != 0) > 0.1
        assert len(set(values)) > 2


@by_subject
def test_right_equals_plain_loops(subject):
    for pool in pools_of(subject):
        expected = subject.outputs_of(getattr(naive, subject.name), pool)
        for output, found in subject.outputs_of(subject.right, pool).items():
            assert subject.same(found, expected[output]), (output, pool)


@by_subject
def test_results_on_integers_are_exact_unless_the_subject_says_otherwise(subject):
    """Multiples of 2^-20 of moderate size: no sum of them is rounded, in any order."""
    if not subject.rounding:
        for pool in pools_of(subject):
            for found in subject.outputs_of(subject.right, pool).values():
                assert np.array_equal(np.multiply(found, 2**20), np.round(np.multiply(found, 2**20)))


@by_subject
def test_nobody_changes_an_argument_and_the_same_call_gives_the_same(subject):
    for case in subject.cases:
        for function in (subject.right, *(beast.run for beast in subject.beasts)):
            arguments = {name: case.pool[name] for name in subject.parameters}
            before = {name: array.copy() for name, array in arrays_of(arguments).items()}
            first, second = function(**arguments), function(**arguments)
            for name, array in before.items():
                np.testing.assert_array_equal(arguments[name], array)
            if len(subject.outputs) == 1:
                first, second = (first,), (second,)
            for one, other in zip(first, second, strict=True):
                np.testing.assert_array_equal(one, other)


# --- backwards --------------------------------------------------------------------------------------------------------


def forward_of(subject, pool, name, value):
    """The first output of the forward, with ``value`` for one argument."""
    forward = SUBJECTS[subject.forward]
    return forward.outputs_of(forward.right, {**pool, name: value})[forward.outputs[0]]


@by_backward
def test_a_backward_names_its_forward_and_the_gradient_of_its_output(subject):
    assert set(subject.gradients) == set(subject.outputs) - {"loss"}
    for pool in pools_of(subject):
        for gradient, argument in subject.gradients.items():
            out = forward_of(subject, pool, argument, pool[argument])
            assert np.shape(out) == np.shape(pool[subject.upstream])
            assert np.shape(subject.outputs_of(subject.right, pool)[gradient]) == np.shape(pool[argument])


@by_backward
def test_a_backward_is_the_adjoint_of_its_forward_exactly(subject):
    """⟨dout, F(a) - F(0)⟩ = ⟨da, a⟩ on integers, where F is linear in a, or copies elements of it."""
    if not subject.rounding and subject.name != "square_sum_backward":
        checked = 0.0
        for pool in pools_of(subject):
            for gradient, argument in subject.gradients.items():
                value = pool[argument]
                change = forward_of(subject, pool, argument, value)
                change = change - forward_of(subject, pool, argument, np.zeros_like(value))
                analytic = np.sum(subject.outputs_of(subject.right, pool)[gradient] * value)
                assert np.sum(pool[subject.upstream] * change) == analytic
                checked += abs(analytic)
        assert checked > 100


@by_backward
def test_a_backward_is_the_derivative_of_its_forward(subject):
    """A central difference, away from kinks; its error is below h² + u / h, about 1e-10, times the derivatives."""
    rng, step, checked = np.random.default_rng(2013), 6e-6, 0
    for pool in pools_of(subject):
        floats = {name: array for name, array in arrays_of(pool).items() if array.dtype == np.float64}
        real = {**pool, **{name: separated_values(array.shape, rng, 0.1) for name, array in floats.items()}}
        if subject.upstream == "columns":
            real["columns"] = floats["columns"]
        for gradient, argument in subject.gradients.items():
            direction = rng.standard_normal(real[argument].shape)
            more, less = (
                forward_of(subject, real, argument, real[argument] + sign * step * direction) for sign in (1, -1)
            )
            numeric = np.sum(real[subject.upstream] * (more - less)) / (2 * step)
            found = subject.outputs_of(subject.right, real)[gradient]
            size = np.linalg.norm(found) + np.sum(np.abs(real[subject.upstream] * more))
            assert abs(numeric - np.sum(found * direction)) <= 1e-8 * size
            checked += np.any(found != 0)
    assert checked > 10


# --- the matrix -------------------------------------------------------------------------------------------------------


def test_there_are_enough_beasts():
    assert len(BEASTS) >= 60
    assert all(len(subject.beasts) >= 2 for subject in SUBJECTS.values())


def test_names_and_sentences_are_unique_and_no_sentence_contains_another():
    names = [beast.name for _, beast in BEASTS]
    assert len(set(names)) == len(names)
    for beast, other in itertools.permutations([beast for _, beast in BEASTS], 2):
        assert beast.sentence not in other.sentence, (beast.name, other.name)


@by_beast
def test_a_beast_has_a_short_name_one_sentence_and_a_source(subject, beast):
    assert beast.name == beast.run.__name__.replace("_", "-")
    assert beast.name == beast.name.lower()
    assert len(beast.name) <= 40
    assert beast.sentence.endswith(".")
    assert ". " not in beast.sentence
    assert 40 < len(beast.sentence) <= 180
    assert beast.source
    assert beast.output in subject.outputs
    assert set(beast.also) <= set(subject.outputs) - {beast.output}


@by_beast
def test_a_beast_is_wrong_in_its_output_and_in_what_follows_from_it_alone(subject, beast):
    found = outputs_on_cases(subject, beast.run)
    for output in subject.outputs:
        equal = [subject.same(found[name][output], answer[output]) for name, answer in subject.answers.items()]
        assert all(equal) == (output != beast.output and output not in beast.also)


@by_beast
def test_a_beast_is_shown_by_the_first_case_on_which_it_is_wrong(subject, beast):
    found = outputs_on_cases(subject, beast.run)
    wrong_on = [
        name
        for name, answer in subject.answers.items()
        if not subject.same(found[name][beast.output], answer[beast.output])
    ]
    assert wrong_on[0] == beast.shown_by


@by_subject
def test_no_two_beasts_agree_and_none_agrees_with_the_right_answer(subject):
    """Where results are rounded, any two differ by at least 1e-4 on some case; the rounding is 1e-9."""
    found = {"right": subject.answers, **{b.name: outputs_on_cases(subject, b.run) for b in subject.beasts}}
    pairs = list(itertools.combinations(found.items(), 2))
    assert len(pairs) == len(found) * (len(found) - 1) // 2 >= 3
    for (name, first), (other, second) in pairs:
        apart = max(
            distance(first[case.name][output], second[case.name][output])
            for case in subject.cases
            for output in subject.outputs
        )
        assert apart >= (1e-4 if subject.rounding else 1e-12), (name, other)


@by_subject
def test_beasts_take_random_geometries_and_keep_the_shapes(subject):
    for pool in pools_of(subject):
        expected = subject.outputs_of(subject.right, pool)
        for beast in subject.beasts:
            found = subject.outputs_of(beast.run, pool)
            assert {name: np.shape(value) for name, value in found.items()} == {
                name: np.shape(value) for name, value in expected.items()
            }


@by_beast
def test_a_beast_is_named_from_its_own_numbers(subject, beast):
    found = outputs_on_cases(subject, beast.run)
    for output in subject.outputs:
        assert subject.named(found, output) is (beast if output == beast.output else None)


@by_subject
def test_the_right_answer_and_mixtures_have_no_name(subject):
    """A mixture has the numbers of one function on the first case on which they differ, and of another on the rest."""
    for output in subject.outputs:
        assert subject.named(subject.answers, output) is None
        same_output = [beast for beast in subject.beasts if beast.output == output]
        runs = [subject.answers, *(outputs_on_cases(subject, beast.run) for beast in same_output)]
        for first, second in itertools.permutations(runs, 2):
            differ = [name for name in first if not subject.same(first[name][output], second[name][output])]
            if len(differ) > 1:
                assert subject.named({**second, differ[0]: first[differ[0]]}, output) is None


# --- a subject of one's own -------------------------------------------------------------------------------------------


@wrong("out", "Three is added, but it must be two.", source="nowhere", shown_by="row")
def adds_three(x):
    x += 3
    return x


def subject_of_one(rounding):
    pool = {"x": np.array([1.0, np.nan, -4.0])}
    case = Case("row", pool)
    return Subject(
        "add", ("x",), ("out",), lambda x: x + 2, (case,), lambda _: pool, rounding=rounding, beasts=(adds_three,)
    )


@pytest.mark.parametrize("rounding", [0.0, 1e-9])
def test_an_implementation_may_change_its_arguments_and_nan_equals_nan(rounding):
    subject = subject_of_one(rounding)
    found = outputs_on_cases(subject, adds_three.run)
    np.testing.assert_array_equal(subject.cases[0].pool["x"], [1, np.nan, -4])
    assert subject.named(found, "out") is adds_three
    assert adds_three.name == "adds-three"


@pytest.mark.parametrize(("rounding", "near"), [(0.0, False), (1e-9, True)])
def test_rounding_is_relative_to_the_largest_element(rounding, near):
    subject, right = subject_of_one(rounding), np.array([1.0, -100.0])
    assert subject.same(right, right)
    assert subject.same(np.array([1 + 5e-8, -100]), right) is near
    assert not subject.same(np.array([1 + 2e-7, -100]), right)
    assert not subject.same(right[:1], right)
    assert not subject.same(np.array([np.nan, -100]), right)
    assert not subject.same(np.array([np.inf, -100]), right)
    assert subject.same(np.array([]), np.array([]))
