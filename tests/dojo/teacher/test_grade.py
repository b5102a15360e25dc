"""A class of generated submissions: right ones, known mistakes, cheats, crashes; each gets what it should."""

from __future__ import annotations

import csv
import json
import re
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from tinyalexnet.__main__ import main
from tinyalexnet.bestiary import SUBJECTS
from tinyalexnet.console import Console
from tinyalexnet.dojo.exercise import Fill
from tinyalexnet.dojo.path import EXERCISES, file_name
from tinyalexnet.dojo.runner import Limits, StoppedError
from tinyalexnet.dojo.teacher import command
from tinyalexnet.dojo.teacher.course import Course, read_course
from tinyalexnet.dojo.teacher.grade import Grade, Noted, grade
from tinyalexnet.dojo.teacher.key import HIDDEN, fits, hidden_pools, make_key, result_hash
from tinyalexnet.dojo.teacher.submissions import Submission, as_program, submissions

SOLUTIONS = Path(__file__).parents[1] / "solutions"
PACKAGE = Path(EXERCISES["relu_backward"].stub).parents[2]

RIGHT = "import numpy as np\n\ndef relu_backward(dout, x):\n    return dout * (x > 0)\n"

WRONG = {
    "relu-sign-of-the-gradient": "return dout * (dout > 0)",
    "relu-guided": "return dout * (dout > 0) * (x > 0)",
    "relu-passes-at-zero": "return dout * (x >= 0)",
    "relu-without-dout": "return (x > 0) * 1.0",
    "all": "return dout",
    "an int": "return np.trunc(dout * (x > 0))",
    "other shape": "return (dout * (x > 0)).ravel()",
}
"""The first are all the known mistakes of this function, by their names."""

CHEATS = {
    "imports the package": "import tinyalexnet",
    "finds the package": f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); from tinyalexnet.ops import relu",
    "loads its file": "import importlib.util as u; s = u.spec_from_file_location('r', "
    f"{str(PACKAGE / 'ops' / 'relu' / 'reference.py')!r}); m = u.module_from_spec(s); s.loader.exec_module(m)",
    "runs its text": f"exec(open({str(PACKAGE / 'ops' / 'relu' / 'reference.py')!r}).read())",
    "reads the key": "open('KEY').read()",
    "hides it": "try:\n    open('KEY')\nexcept BaseException:\n    pass",
    "patches numpy": "np.array_equal = lambda *arrays: True",
    "starts a program": "import subprocess; subprocess.run(['true'])",
    "starts a shell": "import os; os.system('true')",
    "forks": "import os; os.fork()",
    "writes a file": "open('grades.csv', 'w')",
    "calls libraries": "import ctypes; ctypes.CDLL(None)",
    "another package": "import scipy",
    "reads a neighbour": "open('../right/02_relu_backward.py').read()",
}

BROKEN = {
    "syntax error": "def broken(:",
    "exits early": "import sys; sys.exit(0)",
    "ends its process": "import os; os._exit(0)",
    "endless loop": "while True: pass",
    "10 GB": "np.ones(10 * 2**27)",
    "raises": "1 / 0",
}

STATES = {
    "right": "solved",
    **dict.fromkeys(WRONG, "wrong"),
    "an int": "partly",
    **dict.fromkeys(CHEATS, "refused"),
    **dict.fromkeys(BROKEN, "no answer"),
    "an empty folder": "not handed in",
    "a stub": "wrong",
}


def course_of(*names, seed="a seed"):
    return Course("class", seed, dict.fromkeys(names, 2.0))


def hand_in(folder, name, text, student="ann"):
    path = folder / student / f"{name}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return Submission(student, path.parent)


@pytest.fixture
def classroom(tmp_path):
    """A course with its key, and a folder for each student of STATES."""
    course = tmp_path / "course"
    assert main(["dojo", "teacher", "new", str(course), "relu_backward"]) == 0
    assert main(["dojo", "teacher", "key", str(course)]) == 0
    students = tmp_path / "students"
    students.mkdir()
    texts = {"right": RIGHT, "a stub": EXERCISES["relu_backward"].stub.read_text()}
    texts |= {name: RIGHT.replace("return dout * (x > 0)", line) for name, line in WRONG.items()}
    key = str(course / "key.json")
    texts |= {name: RIGHT.replace("\n\n", f"\n{line.replace('KEY', key)}\n\n", 1) for name, line in CHEATS.items()}
    texts |= {name: RIGHT.replace("\n\n", f"\n{line}\n\n", 1) for name, line in BROKEN.items()}
    for student, text in texts.items():
        hand_in(students, "02_relu_backward" if student == "right" else "relu_backward", text, student)
    (students / "an empty folder").mkdir()
    return course, students


def test_a_class_is_graded_in_time_and_each_as_it_should_be(classroom, tmp_path, capsys):
    course, students = classroom
    files = {name: tmp_path / f"grades.{name}" for name in ("csv", "json", "junit")}
    flags = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    begin = time.monotonic()
    assert (
        main(["dojo", "teacher", "grade", str(course), str(students), *flags, "--feedback", str(tmp_path / "f")]) == 0
    )
    assert time.monotonic() - begin < 180
    stored = json.loads(files["json"].read_text())["students"]
    assert {student: grades["grades"][0]["state"] for student, grades in stored.items()} == STATES
    assert {student for student, grades in stored.items() if grades["points"]} == {"right", "an int"}
    assert (stored["right"]["points"], stored["an int"]["points"]) == (1.0, 0.5)
    mistakes = {student: grades["grades"][0]["mistake"] for student, grades in stored.items()}
    beasts = [beast.name for beast in SUBJECTS["relu_backward"].beasts]
    assert {student: name for student, name in mistakes.items() if name} == dict(zip(beasts, beasts, strict=True))
    assert len(STATES) >= 30
    rows = list(csv.reader(files["csv"].read_text().splitlines()))
    assert rows[0] == ["student", "relu_backward", "total"]
    assert ["right", "1", "1"] in rows
    assert len(rows) == 1 + len(STATES)
    suites = ElementTree.fromstring(files["junit"].read_text())
    assert {suite.get("name"): suite.get("failures") for suite in suites} == {
        student: "0" if student == "right" else "1" for student in STATES
    }
    out = capsys.readouterr().out
    assert re.search(r"^right +1  1 solved$", out, flags=re.MULTILINE)
    pages = {path.stem: path.read_text() for path in (tmp_path / "f").iterdir()}
    assert pages.keys() == STATES.keys()
    for beast in SUBJECTS["relu_backward"].beasts:
        sentence = " ".join(pages[beast.name].split())
        assert [other.name for other in SUBJECTS["relu_backward"].beasts if other.sentence in sentence] == [beast.name]
    assert "Your code imports tinyalexnet" in pages["imports the package"]
    assert "reads the file key.json: this is not allowed while it is graded." in pages["reads the key"]
    assert "Your code replaces numpy.array_equal" in pages["patches numpy"]
    assert "is there an endless loop?" in pages["endless loop"]
    assert "asks for more memory than the 1024 MB" in pages["10 GB"]
    assert not (students / "writes a file" / "grades.csv").exists()


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES.keys())
def test_every_solution_has_all_points(exercise, tmp_path):
    course = course_of(exercise.name)
    submission = hand_in(tmp_path, exercise.name, (SOLUTIONS / f"{exercise.name}.py").read_text())
    found = grade(course, make_key(course), submission, exercise, Limits())
    assert (found.state, found.points) == ("solved", 2.0), found.sentence


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES.keys())
def test_no_stub_has_a_point(exercise, tmp_path):
    course = course_of(exercise.name)
    submission = hand_in(tmp_path, exercise.name, exercise.stub.read_text())
    assert grade(course, make_key(course), submission, exercise, Limits()).points == 0


def test_each_output_that_is_right_on_every_hidden_case_counts(tmp_path):
    """A mistake in one output: the gates are failed, and the other outputs have their share of the second half."""
    exercise = replace(EXERCISES["relu_backward"], name="dense_backward", task=Fill("dense_backward"))
    text = "def dense_backward(dout, x, w):\n    return dout @ w.T, x.T @ dout, dout.mean(axis=0)\n"
    course = course_of("dense_backward")
    key = {"dense_backward": {}}
    subject = SUBJECTS["dense_backward"]
    for output in subject.outputs:
        key["dense_backward"][output] = [
            result_hash(course, subject, f"{output} {number}", subject.outputs_of(subject.right, pool)[output])
            for number, pool in enumerate(hidden_pools(course, exercise))
        ]
    found = grade(course, key, hand_in(tmp_path, "dense_backward", text), exercise)
    assert (found.state, found.mistake) == ("partly", "dense-db-mean")
    assert found.points == pytest.approx(2 * 0.5 * 2 / 3)
    assert {output for output, share in found.outputs.items() if share == 1} == {"dx", "dw"}


@pytest.mark.parametrize(
    ("line", "state", "sentence"),
    [
        ("import scipy", "refused", "Your code imports scipy (NumPy and Python's own modules are enough): this is not"),
        ("while True: pass", "no answer", "Your code ran longer than 1 s."),
        ("import os; os._exit(3)", "no answer", "Your code ended its process with exit code 3"),
        ("1 / 0", "wrong", "Gate contract: Line 5, `1 / 0`, raises ZeroDivisionError"),
    ],
)
def test_what_the_function_does_counts_as_what_the_file_does(line, state, sentence, tmp_path):
    text = RIGHT.replace("    return", f"    if x.size > 1:\n        {line}\n    return")
    course = course_of("relu_backward")
    submission = hand_in(tmp_path, "relu_backward", text)
    found = grade(
        course,
        make_key(course),
        submission,
        EXERCISES["relu_backward"],
        Limits(seconds=1.0 if "while" in line else 20.0),
    )
    assert (found.state, found.points) == (state, 0.0)
    assert found.sentence.startswith(sentence)


@pytest.mark.parametrize(
    ("refused", "seconds_left", "ended", "noted"),
    [(False, 0.5, None, False), (True, 0.5, None, True), (False, -0.5, None, True), (False, 0.5, 3, True)],
)
def test_an_error_counts_for_the_whole_file_if_it_is_refused_or_the_last(refused, seconds_left, ended, noted):
    error, found = StoppedError("1 / 0", refused=refused), []

    def ask(request):
        raise error

    process = SimpleNamespace(ask=ask, seconds_left=seconds_left, process=SimpleNamespace(poll=lambda: ended))
    with pytest.raises(StoppedError):
        Noted(process, found).ask({})
    assert found == [error] * noted


def test_each_number_to_predict_counts_alike(tmp_path):
    exercise = EXERCISES["inner_product"]
    text = (SOLUTIONS / "inner_product.py").read_text()
    course = course_of("inner_product")
    assert grade(course, {}, hand_in(tmp_path, "inner_product", text), exercise).points == 2.0
    count = len(exercise.task.questions)
    first = exercise.task.questions[0].name
    found = grade(course, {}, hand_in(tmp_path, "inner_product", text + f"\nanswers[{first!r}] = 999\n"), exercise)
    assert (found.state, found.points) == ("partly", 2.0 * (count - 1) / count)
    found = grade(course, {}, hand_in(tmp_path, "inner_product", "answers = 3\n"), exercise)
    assert found.points == 0.0


def test_feedback_has_nothing_of_a_hidden_case(tmp_path):
    """A function that is wrong only on a hidden case: the page says so, and not on which."""
    exercise = EXERCISES["relu_backward"]
    course = course_of("relu_backward", seed="another")
    pool = max(hidden_pools(course, exercise), key=lambda pool: pool["x"].size)
    text = RIGHT.replace(
        "    return",
        f"    if x.shape == {pool['x'].shape} and x.sum() == {pool['x'].sum()}:\n        return x\n    return",
    )
    found = grade(course, make_key(course), hand_in(tmp_path, "relu_backward", text), exercise)
    assert (found.state, found.points) == ("partly", 1.0)
    assert found.sentence == "All gates are passed, but dx is wrong on hidden cases."
    assert found.outputs == {"dx": 1 - 1 / HIDDEN}
    assert str(pool["x"].shape) not in found.text + found.sentence


def test_a_notebook_is_graded(tmp_path):
    cells = [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["# My ReLU"]},
        {
            "cell_type": "code",
            "id": "b",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": ["%matplotlib inline\n", RIGHT],
        },
    ]
    folder = tmp_path / "ann"
    folder.mkdir()
    (folder / "homework.ipynb").write_text(
        json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    course = course_of("relu_backward")
    (submission,) = submissions(tmp_path)
    found = grade(course, make_key(course), submission, EXERCISES["relu_backward"])
    assert (found.state, found.points) == ("solved", 2.0), found.sentence
    (folder / "homework.ipynb").write_text("relu_backward, but no notebook")
    found = grade(course, make_key(course), submission, EXERCISES["relu_backward"])
    assert (found.state, found.sentence[:44]) == ("no answer", "homework.ipynb cannot be read as a notebook:")


def test_without_jupytext_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jupytext", None)
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann" / "a.ipynb").write_text("relu_backward")
    course = course_of("relu_backward")
    with pytest.raises(ImportError, match=r"a\.ipynb is a notebook, which needs jupytext: pip install"):
        grade(course, make_key(course), submissions(tmp_path)[0], EXERCISES["relu_backward"])


def test_a_huge_file_is_not_read(tmp_path):
    for name in ("relu_backward.py", "relu_backward.ipynb"):
        (tmp_path / name).write_text("#" * (5 << 20))
        found = grade(course_of("relu_backward"), {}, Submission("ann", tmp_path), EXERCISES["relu_backward"])
        assert (found.state, found.sentence) == ("no answer", "relu_backward.py has more than 4 MB.")
    (tmp_path / "relu_backward.py").write_text("#" * (4 << 20))
    with as_program(tmp_path / "relu_backward.py") as program:
        assert program == tmp_path / "relu_backward.py"
    notebook = tmp_path / "relu_backward.ipynb"
    notebook.write_text("relu_backward".ljust(4 << 20))
    (tmp_path / "relu_backward.py").unlink()
    assert Submission("ann", tmp_path).file_of(EXERCISES["relu_backward"]) == notebook
    notebook.write_text("relu_backward".ljust((4 << 20) + 1))
    found = grade(course_of("relu_backward"), {}, Submission("ann", tmp_path), EXERCISES["relu_backward"])
    assert found.state == "not handed in"


# --- the key ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES.keys())
def test_the_key_has_hashes_alone_and_depends_on_the_seed(exercise):
    key = make_key(course_of(exercise.name))
    assert fits(key, course_of(exercise.name))
    assert key == make_key(course_of(exercise.name))
    hashes = [text for outputs in key.values() for found in outputs.values() for text in found]
    assert all(len(text) == 64 and set(text) <= set("0123456789abcdef") for text in hashes)
    assert len(set(hashes)) == len(hashes)
    other = make_key(course_of(exercise.name, seed="other"))
    assert not set(hashes) & {text for outputs in other.values() for found in outputs.values() for text in found}


def test_results_that_round_have_the_same_hash_within_the_rounding():
    course, subject = course_of(), SUBJECTS["softmax_cross_entropy"]
    exercise = replace(EXERCISES["relu_backward"], name="softmax", task=Fill("softmax_cross_entropy"))
    for pool in hidden_pools(course, exercise):
        value = subject.outputs_of(subject.right, pool)["dlogits"]
        near, far = value * (1 + 1e-9), value * (1 + 1e-3)
        assert result_hash(course, subject, "a", near) == result_hash(course, subject, "a", value)
        assert result_hash(course, subject, "a", far) != result_hash(course, subject, "a", value) or not value.any()


def test_a_key_of_another_course_does_not_fit(classroom, capsys):
    course, students = classroom
    for text in ("{}", "[1]", '{"relu_backward": 3}', '{"relu_backward": {"dx": "a"}}'):
        (course / "key.json").write_text(text)
        with pytest.raises(SystemExit) as stop:
            main(["dojo", "teacher", "grade", str(course), str(students)])
        assert stop.value.code == 2
        assert "key.json is not of this course: python -m tinyalexnet dojo teacher key" in capsys.readouterr().err


# --- the course -------------------------------------------------------------------------------------------------------


def test_a_course_has_the_stubs_and_a_seed_of_its_own(tmp_path, capsys):
    for name in ("a", "b"):
        assert main(["dojo", "teacher", "new", str(tmp_path / name), "relu_backward", "inner_product"]) == 0
    out = capsys.readouterr().out
    assert "2 exercises, 2 points in all: " in out
    assert "Next: python -m tinyalexnet dojo teacher key" in out
    names = [file_name(EXERCISES[name]) for name in ("inner_product", "relu_backward")]
    assert sorted(path.name for path in (tmp_path / "a" / "handout").iterdir()) == sorted(names)
    a, b = read_course(tmp_path / "a"), read_course(tmp_path / "b")
    assert a.seed != b.seed
    assert len(a.seed) == 32
    assert main(["dojo", "teacher", "new", str(tmp_path / "all")]) == 0
    assert list(read_course(tmp_path / "all").exercises) == list(EXERCISES)


def test_a_course_and_its_key_say_what_is_next(tmp_path, capsys):
    course = tmp_path / "course"
    for names, count in (
        (["inner_product"], "1 exercise, 1 points"),
        (["relu_backward", "inner_product"], "2 exercises"),
    ):
        assert main(["dojo", "teacher", "new", str(course), *names]) == 0
        out = capsys.readouterr().out.splitlines()
        assert out[0].startswith(f"{count}")
        assert out[1] == "course.json has the points, and a private seed: keep it to yourself. Change the points there."
        assert out[2] == f"Next: python -m tinyalexnet dojo teacher key {course}"
        text = (course / "course.json").read_text()
        assert text == json.dumps(json.loads(text), indent=2) + "\n"
        course = tmp_path / "other"
    course = tmp_path / "other"
    assert main(["dojo", "teacher", "key", str(course)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{course / 'key.json'}: hashes of hidden results for 1 of the 2 exercises.",
        f"Next: python -m tinyalexnet dojo teacher grade {course} DIR, with a folder in DIR for each student",
    ]


def test_grading_says_how_far_it_is(classroom, tmp_path, monkeypatch):
    course, students = tmp_path / "two", classroom[1]
    assert main(["dojo", "teacher", "new", str(course), "relu_backward", "inner_product"]) == 0
    assert main(["dojo", "teacher", "key", str(course)]) == 0
    said = []

    class Noted(Console):
        @contextmanager
        def bar(self, name, total, done=0):
            said.append((name, total, done, self.quiet))
            yield said.append, print

    def grades(course, key, handed_in):
        for submission in handed_in:
            yield submission, Grade(EXERCISES["relu_backward"], 0.0, 2.0, "wrong", "")

    monkeypatch.setattr(command, "Console", Noted)
    monkeypatch.setattr(command, "grade_all", grades)
    assert main(["dojo", "teacher", "grade", str(course), str(students)]) == 0
    assert said == [("grading", 2 * len(STATES), 0, False), *sorted(STATES)]


def test_an_exercise_may_have_no_points(tmp_path):
    (tmp_path / "course.json").write_text('{"name": "a", "seed": "b", "exercises": {"relu_backward": 0}}')
    assert read_course(tmp_path).points == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["new", "COURSE"], "COURSE is '{0}', but must be a new folder: nothing is overwritten"),
        (["new", "COURSE2", "relu"], "the exercise is 'relu', but must be one of "),
        (["key", "COURSE2"], "there is no {0}2/course.json: `teacher new` makes a course"),
        (["grade", "COURSE", "STUDENTS2"], "DIR is '{1}2', but must be a folder with a folder for each student"),
        (["grade", "COURSE", "COURSE/handout"], "DIR is '{0}/handout', but has no folders"),
        (["grade", "COURSE", "STUDENTS", "--csv", "COURSE/key.json"], "csv is '{0}/key.json', which is there already"),
        (
            ["grade", "COURSE", "STUDENTS", "--csv", "/nowhere/a.csv"],
            "csv is '/nowhere/a.csv', but its folder does not",
        ),
        (
            ["grade", "COURSE", "STUDENTS", "--csv", "COURSE/a", "--junit", "COURSE/handout/../a"],
            "junit is '{0}/handout/../a', but must be another file than csv, '{0}/a', which it would replace",
        ),
        (["grade", "COURSE", "STUDENTS", "--csv", ""], "csv is '.', which is there already"),
        (["grade", "COURSE", "STUDENTS", "--feedback", "COURSE"], "feedback is '{0}', which is there already"),
        (["grade", "COURSE"], "the following arguments are required: DIR"),
        (["make", "COURSE"], "invalid choice: 'make'"),
        ([], "the following arguments are required: new|key|grade"),
    ],
)
def test_wrong_use_is_one_line(words, message, classroom, capsys):
    course, students = map(str, classroom)
    capsys.readouterr()
    words = [word.replace("COURSE", course).replace("STUDENTS", students) for word in words]
    with pytest.raises(SystemExit) as stop:
        main(["dojo", "teacher", *words])
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message.format(course, students) in err


COURSE_MUST_HAVE = "must have a name, a seed, and the points (a number from 0 up) of each of its exercises"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no JSON", "course.json cannot be read as JSON: Expecting value: line 1 column 1 (char 0)"),
        *(
            (text, f"course.json {COURSE_MUST_HAVE}")
            for text in (
                "[]",
                '{"name": "a", "seed": "b", "exercises": []}',
                '{"name": "a", "seed": "b", "exercises": {}}',
                '{"name": "a", "seed": 3, "exercises": {"relu_backward": 1}}',
                '{"name": "a", "seed": "b", "exercises": {"relu_backward": -1}}',
                '{"name": "a", "seed": "b", "exercises": {"relu_backward": Infinity}}',
                '{"name": "a", "seed": "b", "exercises": {"relu_backward": "many"}}',
            )
        ),
        ('{"name": "a", "seed": "b", "exercises": {"nothing": 1}}', "the exercise is 'nothing', but must be one of"),
    ],
)
def test_a_course_that_is_not_as_it_must_be_is_refused(text, message, tmp_path):
    (tmp_path / "course.json").write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_course(tmp_path)
