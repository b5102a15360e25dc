"""Every exercise of the path: its stub fails, its solution passes, and a known mistake is named by its sentence alone.

An exercise is added by its stub, its entry on the path, and its solution: these tests take it from there.
"""

from __future__ import annotations

import ast
import re
import time

import pytest
from learners import SOLUTIONS, defined, solution

from tinyalexnet.bestiary import SUBJECTS
from tinyalexnet.dojo.check import check_file, examine
from tinyalexnet.dojo.exercise import DO, STUBS, Bug, Catch, Derive, Exercise, Fill, Predict, Speed
from tinyalexnet.dojo.path import EXERCISES, PATH, file_name
from tinyalexnet.dojo.runner import Inside

SECONDS = 2.0
"""A check may take so long."""

by_exercise = pytest.mark.parametrize("exercise", PATH, ids=lambda exercise: exercise.name)

JUDGED = [exercise for exercise in PATH if isinstance(exercise.task, Fill) and not isinstance(exercise.task, Catch)]
"""Those whose answer is a function of the bestiary."""

MISTAKES = [(exercise, beast) for exercise in JUDGED for beast in exercise.task.subject.beasts]


def words(text):
    """A text without its line breaks."""
    return " ".join(text.split())


def checked(exercise, text, tmp_path):
    file = tmp_path / file_name(exercise)
    file.write_text(text, encoding="utf-8")
    return check_file(exercise, file)


def test_the_path_has_every_kind_and_no_name_twice():
    assert {exercise.kind for exercise in PATH} == set(DO)
    assert len(EXERCISES) == len(PATH)
    assert {path.stem for path in STUBS.glob("*.py")} == set(EXERCISES)
    assert {path.stem for path in SOLUTIONS.glob("*.py")} == set(EXERCISES)


@by_exercise
def test_the_stub_fails_and_says_something_to_do(exercise, tmp_path):
    result = checked(exercise, exercise.stub.read_text(encoding="utf-8"), tmp_path)
    assert not result.passed
    (first, *_) = [gate for gate in result.gates if gate.state == "wrong"]
    assert first.sentence in words(result.text)
    if isinstance(exercise.task, (Bug, Speed)):  # code that runs, and the first gates are open
        assert result.gates[0].state == "ok"
    if isinstance(exercise.task, Bug):
        (beast,) = [one for one in exercise.task.subject.beasts if one.name == result.mistake]
        assert words(beast.sentence) not in words(result.text), "the bug is to be found"
        begun = checked(exercise, exercise.stub.read_text(encoding="utf-8") + "\n# begun\n", tmp_path)
        assert words(beast.sentence) in words(begun.text)


@by_exercise
def test_the_solution_passes_in_time(exercise, tmp_path):
    took = []
    for _ in range(3):  # the best of three: other programs may run here
        begin = time.perf_counter()
        result = checked(exercise, solution(exercise.name), tmp_path)
        took.append(time.perf_counter() - begin)
        assert result.passed, result.text
        assert "WRONG" not in result.text
        assert result.mistake is None
        if took[-1] < SECONDS:
            break
    assert min(took) < SECONDS


@by_exercise
def test_the_solution_passes_in_a_notebook(exercise):
    result = examine(exercise, Inside({exercise.task.attribute: defined(exercise.name)}))
    assert result.passed, result.text


@pytest.mark.parametrize(("exercise", "beast"), MISTAKES, ids=lambda value: getattr(value, "name", None))
def test_a_known_mistake_is_named_and_no_other(exercise, beast):
    result = examine(exercise, Inside({exercise.task.attribute: beast.run}))
    assert not result.passed
    assert result.mistake == beast.name
    text = words(result.text)
    for other in exercise.task.subject.beasts:
        assert (words(other.sentence) in text) == (other is beast), other.name


@by_exercise
def test_an_exercise_is_complete(exercise):
    assert isinstance(exercise, Exercise)
    assert len(exercise.hints) == 3
    assert exercise.hints[0].endswith("?"), "the first hint is a question"
    assert "\n" in exercise.hints[1], "the second hint is a picture"
    assert all("\n" not in exercise.hints[at] for at in (0, 2))
    assert exercise.points > 0
    assert re.fullmatch(r"[a-z0-9_]+", exercise.name)
    task = exercise.task
    if isinstance(task, Fill):
        assert task.subject_name in SUBJECTS
    if isinstance(task, Predict):
        assert len(task.questions) == len(task.answers()) >= 2
    if isinstance(task, Derive):
        assert len(task.cases()) >= 5
        assert all(tuple(case) == task.parameters for case in task.cases())
    if isinstance(task, Catch):
        pool = task.subject.cases[0].pool
        assert task.beast.name == task.beast_name
        assert set(task.fixed) < set(task.subject.parameters)
        assert all(type(pool[name]) is type(value) for name, value in task.fixed.items())
    if isinstance(task, Speed):
        assert task.factor > 1


def code(text):
    """The lines of code without comments, docstrings and spaces."""
    return {line.strip() for line in ast.unparse(without_docstring(text)).splitlines() if line.strip()}


def without_docstring(text):
    tree = ast.parse(text)
    if ast.get_docstring(tree) is not None:
        tree.body = tree.body[1:]
    return tree


@by_exercise
def test_the_stub_is_for_a_learner_and_does_not_hold_the_solution(exercise):
    text = exercise.stub.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree).splitlines()[0].endswith(f": {DO[exercise.kind]}.")
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= {"numpy"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert all(len(line) <= 120 for line in text.splitlines())
    # Lines that only the solution has, but for those that are everywhere, are not even in the text of the stub.
    new = code(solution(exercise.name)) - code(text)
    assert new
    squeezed = re.sub(r"\s", "", text)
    for line in new:
        if not re.fullmatch(r"(import|def|for|if|else|while|return) ?.{,20}", line):
            assert re.sub(r"\s", "", line) not in squeezed, line


def test_the_sizes_of_conv1d_which_go_from_a_window_of_one_element_to_one_of_all():
    first, *cases = EXERCISES["conv1d_which"].task.cases()
    assert first == {"o": 1, "i": 3, "kernel": 3}  # has an answer: it is shown to the learner
    inputs = {2: 3, 1: 4, 3: 5, 4: 4}
    assert cases == [
        {"o": o, "i": i, "kernel": kernel}
        for kernel, length in inputs.items()
        for o in range(length - kernel + 1)
        for i in range(length)
    ]
