"""Grades by hand: the share of the points, the sentence; and of a class the table, the files and the pages."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from tinyalexnet.dojo.check import Gate, Result
from tinyalexnet.dojo.page import Page
from tinyalexnet.dojo.path import EXERCISES
from tinyalexnet.dojo.teacher import grade
from tinyalexnet.dojo.teacher.book import Book, check_targets
from tinyalexnet.dojo.teacher.course import Course
from tinyalexnet.dojo.teacher.grade import Grade

RELU, DENSE = EXERCISES["relu_backward"], EXERCISES["dense_backward"]


@pytest.fixture
def book():
    book = Book(Course("spring", "seed", {"relu_backward": 1.0, "dense_backward": 2.0}))
    book.add("Ada", Grade(RELU, 1.0, 1.0, "solved", "All gates are passed.", "a text", outputs={"dx": 1.0}))
    book.add("Ada", Grade(DENSE, 0.5, 2.0, "partly", "Gate\x1b exact.", "```\n", "mean", {"dx": 1.0, "dw": 0.625}))
    book.add("Bob the second", Grade(RELU, 0.0, 1.0, "wrong", "Gate example.", "", outputs={}))
    book.add("Bob the second", Grade(DENSE, 0.0, 2.0, "wrong", "Gate exact.", ""))
    return book


def test_a_line_for_each_student(book):
    assert book.table().splitlines() == [
        "student         points  of 3",
        "Ada                1.5  1 solved, 1 partly",
        "Bob the second       0  2 wrong",
    ]
    assert Book(book.course, {"Al": []}).table().splitlines()[1] == "Al            0  "


def test_the_files(book, tmp_path):
    book.write_csv(tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == (
        "student,relu_backward,dense_backward,total\nAda,1,0.5,1.5\nBob the second,0,0,0\n"
    )
    book.write_json(tmp_path / "a.json")
    data = json.loads((tmp_path / "a.json").read_text())
    assert (data["course"], data["points"], list(data["students"])) == ("spring", 3.0, ["Ada", "Bob the second"])
    assert data["students"]["Ada"]["points"] == 1.5
    assert data["students"]["Ada"]["grades"][1] == {
        "exercise": "dense_backward",
        "points": 0.5,
        "of": 2.0,
        "state": "partly",
        "sentence": "Gate\x1b exact.",
        "mistake": "mean",
        "outputs": {"dx": 1.0, "dw": 0.625},
    }
    book.write_junit(tmp_path / "a.xml")
    suites = ElementTree.fromstring((tmp_path / "a.xml").read_text())
    assert [(suite.get("name"), suite.get("tests"), suite.get("failures")) for suite in suites] == [
        ("Ada", "2", "1"),
        ("Bob the second", "2", "2"),
    ]
    solved, partly = suites[0]
    assert (solved.get("classname"), solved.get("name"), len(solved)) == ("Ada", "relu_backward", 0)
    assert (partly[0].get("message"), partly[0].get("type")) == ("Gate  exact.", "partly")


def test_a_page_for_each_student(book, tmp_path):
    book.write_pages(tmp_path / "pages")
    book.write_pages(tmp_path / "pages")
    assert (tmp_path / "pages" / "Ada.md").read_text() == (
        "# spring: Ada\n\n1.5 of 3 points.\n\n## ReLU, backward (`relu_backward`)\n\n"
        "1 of 1 points: solved. All gates are passed.\n\n## Dense, backward (`dense_backward`)\n\n"
        "0.5 of 2 points: partly. Gate\x1b exact.\n\nRight on hidden cases: dx 100 %, dw 62 %.\n\n"
        "```text\n'''\n```\n"
    ).replace("Dense, backward", DENSE.title)
    assert "hidden" not in (tmp_path / "pages" / "Bob the second.md").read_text()


def test_pages_may_go_into_a_folder_that_is_empty_and_a_file_is_new(tmp_path):
    pages, new = tmp_path / "pages", tmp_path / "a.csv"
    pages.mkdir()
    found = check_targets({"feedback": str(pages), "csv": str(new), "json": None})
    assert found == {"feedback": pages, "csv": new}
    with pytest.raises(ValueError, match=r"^csv is '.*pages', which is there already: nothing is overwritten$"):
        check_targets({"csv": str(pages)})
    (pages / "Ada.md").touch()
    with pytest.raises(ValueError, match=r"^feedback is '.*pages', which is there already: nothing is overwritten$"):
        check_targets({"feedback": str(pages)})


def result(exercise, *states):
    gates = tuple(Gate(f"gate{number}", state, f"What {state} is.") for number, state in enumerate(states, 1))
    return Result(exercise, gates, Page())


@pytest.mark.parametrize(
    ("states", "outputs", "sentence"),
    [
        (("ok", "skipped"), {}, "All gates are passed."),
        (("ok", "ok"), {"dx": 1.0, "dw": 1.0}, "All gates are passed, and all hidden cases are right."),
        (("ok", "ok"), {"dx": 1.0, "dw": 0.5}, "All gates are passed, but dw is wrong on hidden cases."),
        (("ok", "ok"), {"dx": 0.0, "dw": 0.5}, "All gates are passed, but dx and dw are wrong on hidden cases."),
        (("ok", "wrong", "wrong"), {"dx": 0.5}, "Gate gate2: What wrong is."),
    ],
)
def test_the_sentence_of_a_grade_is_of_the_first_gate_or_of_the_hidden_cases(states, outputs, sentence):
    assert grade._sentence(result(RELU, *states), outputs) == sentence


@pytest.mark.parametrize(
    ("name", "states", "outputs", "share"),
    [
        # A hole: half for the gates, and half for the outputs that are right on every hidden case.
        ("dense_backward", ("ok", "ok"), {"dx": 1.0, "dw": 1.0, "db": 1.0, "d": 1.0}, 1.0),
        ("dense_backward", ("ok", "ok"), {"dx": 1.0, "dw": 0.9, "db": 0.0, "d": 1.0}, 0.75),
        ("dense_backward", ("ok", "wrong"), {"dx": 1.0, "dw": 0.9, "db": 0.0, "d": 1.0}, 0.25),
        ("dense_backward", ("ok", "wrong"), {"dx": 0.9, "dw": 0.0}, 0.0),
        # A stub that runs: nothing without the gates, and all outputs together.
        ("stride_bug", ("ok", "wrong"), {"dx": 1.0}, 0.0),
        ("stride_bug", ("ok", "ok"), {"dx": 0.9}, 0.5),
        ("stride_bug", ("ok", "ok"), {"dx": 1.0}, 1.0),
        # Numbers to predict: each after the first gate counts alike.
        ("inner_product", ("ok", "ok", "wrong", "ok", "ok"), {}, 0.75),
        ("inner_product", ("wrong", "later"), {}, 0.0),
        ("catch_zero", ("ok", "ok"), {}, 1.0),
        ("catch_zero", ("ok", "wrong"), {}, 0.0),
    ],
)
def test_the_share_of_the_points(name, states, outputs, share):
    assert grade._share(result(EXERCISES[name], *states), outputs) == share
