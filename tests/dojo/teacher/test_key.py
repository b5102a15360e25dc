"""The hidden cases of a course, whatever its seed."""

from __future__ import annotations

import numpy as np
import pytest

from tinyalexnet.bestiary import SUBJECTS
from tinyalexnet.dojo.path import EXERCISES
from tinyalexnet.dojo.teacher.course import Course
from tinyalexnet.dojo.teacher.key import HIDDEN, _clear, hidden_pools, result_hash, subject_of

TRIED = {name: subject for name, exercise in EXERCISES.items() if (subject := subject_of(exercise))}

NEVER_SHOWN = {"softmax-overflows", "softmax-largest-of-the-batch"}
"""By small integers; the chosen cases of the gates have large ones."""


@pytest.mark.parametrize("name", TRIED)
def test_the_hidden_cases_show_every_known_mistake(name):
    """Found by chance: a course whose hidden cases had no pixel of 0 gave half of the points to ReLU'(0) = 1."""
    subject = TRIED[name]
    for seed in map(str, range(8)):
        pools = hidden_pools(Course("class", seed, {name: 1.0}), EXERCISES[name])
        assert len(pools) == HIDDEN
        rights = [subject.outputs_of(subject.right, pool) for pool in pools]
        for beast in subject.beasts:
            found = [subject.outputs_of(beast.run, pool)[beast.output] for pool in pools]
            shown = any(not subject.same(one, right[beast.output]) for one, right in zip(found, rights, strict=True))
            assert shown or beast.name in NEVER_SHOWN, (seed, beast.name)


def test_the_cases_are_those_of_the_seed_and_the_exercise():
    one, other, again = (
        hidden_pools(Course("class", seed, {"relu_backward": 1.0}), EXERCISES["relu_backward"]) for seed in "aba"
    )
    assert [pool["x"].tolist() for pool in one] == [pool["x"].tolist() for pool in again]
    assert [pool["x"].tolist() for pool in one] != [pool["x"].tolist() for pool in other]


@pytest.mark.parametrize("name", ["relu_backward", "softmax_cross_entropy"])
def test_minus_0_is_0_and_a_shape_is_part_of_a_result(name):
    course = Course("class", "seed", {})
    plus, minus, flat = (
        result_hash(course, SUBJECTS[name], "dx", value) for value in (np.zeros((1, 2)), np.full((1, 2), -0.0), [0, 0])
    )
    assert plus == minus != flat


@pytest.mark.parametrize(
    ("steps", "clear"),
    [(0.0, True), (0.5, False), (7.5, False), (7.495, False), (7.505, False), (7.48, True), (7.52, True)],
)
def test_a_result_that_rounds_is_far_from_the_middle_of_two_points(steps, clear):
    """The points are at multiples of 1e-5."""
    rounded, exact = SUBJECTS["softmax_cross_entropy"], SUBJECTS["relu_backward"]
    for sign in (1, -1):
        assert _clear(rounded, np.array([0.0, sign * steps * 1e-5])) is clear
        assert _clear(exact, np.array([0.0, sign * steps * 1e-5]))
