"""The script that makes mutants: which there are, and that an outcome is about the mutant and nothing else."""

from __future__ import annotations

import ast

import pytest

from tests import mutate
from tests.mutate import ENDLESS, FAILS_ANYHOW, NOTICED, SURVIVES, Mutant

CODE = '''"""Ünicode, so that bytes and characters differ."""

LIMIT = 3


def count(upto: int, more: bool = False) -> int:
    n = 0
    while n < upto and not more:
        n = n + 1
    return n if n <= LIMIT else LIMIT
'''

TESTS = """import pytest
from package.code import count

def test_five():
    assert count(5) == 3

def test_one():
    assert count(1) == 1

@pytest.mark.parametrize("name", ["a|b"])
def test_never_right(name):
    assert count(5) == 4
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "code.py").write_text(CODE, encoding="utf-8")
    (tmp_path / "test_code.py").write_text(TESTS)
    monkeypatch.setattr(mutate, "ROOT", tmp_path)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they take most of the time
    return tmp_path


@pytest.fixture
def found(folder):
    """The mutants, by what they say."""
    mutants = list(mutate.mutants(folder / "package" / "code.py"))
    assert len({str(mutant) for mutant in mutants}) == len(mutants)
    return {str(mutant).removeprefix("package/code.py:"): mutant for mutant in mutants}


def test_the_mutants_of_a_file(found):
    assert {said: mutant.at_import for said, mutant in found.items()} == {
        "3: 3  ->  (4)": True,
        "6: False  ->  (True)": True,
        "7: 0  ->  (1)": False,
        "8: n < upto and not more  ->  (n < upto or not more)": False,
        "8: n < upto  ->  (n <= upto)": False,
        "8: not more  ->  (more)": False,
        "9: n + 1  ->  (n - 1)": False,
        "9: 1  ->  (2)": False,
        "10: n if n <= LIMIT else LIMIT  ->  (LIMIT if n <= LIMIT else n)": False,
        "10: n <= LIMIT  ->  (n < LIMIT)": False,
    }
    for mutant in found.values():
        raw = CODE.encode()
        assert raw[mutant.start : mutant.end].decode() == mutant.before
        ast.parse(raw[: mutant.start] + mutant.after.encode() + raw[mutant.end :])


@pytest.mark.parametrize(
    ("said", "tests", "expected"),
    [
        ("7: 0  ->  (1)", ["five"], SURVIVES),
        ("7: 0  ->  (1)", ["five", "never_right[a|b]"], FAILS_ANYHOW),
        ("3: 3  ->  (4)", ["one", "five"], NOTICED),
        ("3: 3  ->  (4)", ["one"], SURVIVES),
        ("9: n + 1  ->  (n - 1)", ["five"], ENDLESS),
    ],
)
def test_what_the_tests_say_about_a_mutant(folder, found, said, tests, expected):
    names = [f"test_code.py::test_{name}" for name in tests]
    assert mutate.outcome(found[said], folder, names, 2 if expected == ENDLESS else 100) == expected
    assert (folder / "package" / "code.py").read_text(encoding="utf-8") == CODE


def test_the_names_of_tests_are_those_that_pytest_finds(folder):
    names = {f"test_code.py::test_{name}" for name in ("five", "one", "never_right[a|b]", "never_right")}
    assert mutate.collected(folder) == names


def test_a_name_is_one_that_pytest_can_run_alone():
    """Parameters may have other names in the next run, and an example of a page needs those before it."""
    names = {"test_a.py::test_one", "test_a.py::test_two[1]", "test_a.py::test_two", "docs/a.md::line:3,column:1"}
    tests = ["test_a.py::test_one", "test_a.py::test_two[1]", "test_a.py::test_two[2]", "test_a.py::test_three"]
    tests += ["docs/a.md::line:9,column:1", "docs/b.md::line:3,column:1"]
    found = [mutate.known_as(test, names) for test in tests]
    assert found == ["test_a.py::test_one", "test_a.py::test_two[1]", "test_a.py::test_two", None, "docs/a.md", None]


def test_the_tests_of_a_line_are_those_that_reach_it_and_of_an_import_those_of_the_file():
    reached = {"a.py": {1: {(9, "first")}, 3: {(9, "first"), (2, "second"), (4, "second")}, 4: set()}, "b.py": {}}

    def asked(line, at_import, path="a.py"):
        return mutate.tests_of(Mutant(path, line, 0, 1, "", "", at_import), reached)

    assert asked(1, False) == ["first"]
    assert asked(3, False) == asked(4, False) == ["second", "first"]
    assert asked(1, True) == [*mutate.OF_TABLES, "second", "first"]
    for test in mutate.OF_TABLES:
        file, _, name = test.partition("::")
        assert f"def {name}" in (mutate.ROOT / file).read_text(encoding="utf-8")
    assert asked(1, False, "b.py") == asked(1, False, "c.py") == []
