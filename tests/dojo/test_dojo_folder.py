"""A learner's folder: what is written, what is never overwritten, and what is remembered."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from tinyalexnet.dojo import folder as folders
from tinyalexnet.dojo.folder import STATE, Folder, exercise_of, home
from tinyalexnet.dojo.path import EXERCISES, file_name

FIRST, SECOND = EXERCISES["inner_product"], EXERCISES["relu_backward"]


@pytest.fixture
def folder(tmp_path, six):
    folder = Folder(tmp_path / "mine" / "dojo")
    folder.write()
    return folder


def test_missing_files_are_written_and_no_other(folder, six):
    names = sorted(path.name for path in folder.path.iterdir())
    assert names == [STATE, *(file_name(exercise) for exercise in six)]
    assert file_name(FIRST) == "01_inner_product.py"
    for exercise in six:
        assert folder.untouched(exercise)
        assert folder.file(exercise).read_bytes() == exercise.stub.read_bytes()
    own = folder.file(SECOND)
    own.write_text("my work")
    folder.file(FIRST).unlink()
    assert folder.write() == [folder.file(FIRST)]
    assert own.read_text() == "my work"
    assert not folder.untouched(SECOND)
    assert folder.write() == []


def test_a_file_keeps_its_number_if_the_path_has_grown(folder):
    old = folder.path / f"99_{SECOND.name}.py"
    folder.file(SECOND).rename(old)
    assert folder.write() == []
    assert folder.file(SECOND) == old
    folder.path.joinpath(f"another_{SECOND.name}.py").write_text("")
    assert folder.file(SECOND) == old


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(ValueError, match=r"^FOLDER is '.*taken', but must not be a file$"):
        Folder(tmp_path / "taken").write()


@pytest.mark.parametrize(
    "name", ["01_relu_backward.py", "relu_backward.py", "123_relu_backward.py", "x/2_relu_backward.py"]
)
def test_a_file_is_known_by_its_name(name):
    assert exercise_of(Path(name)) == EXERCISES["relu_backward"]


@pytest.mark.parametrize(
    "name", ["relu_backward", "02_relu_backward.old1.py", "my_relu_backward.py", STATE, "02_relu.py"]
)
def test_other_files_are_no_exercises(name):
    assert exercise_of(Path(name)) is None


def test_what_is_solved_is_remembered(folder, six):
    assert folder.solved() == []
    assert folder.current() == FIRST
    folder.note_solved(SECOND)
    assert folder.current() == FIRST
    folder.note_solved(FIRST)
    folder.note_solved(FIRST)
    again = Folder(folder.path)
    assert again.solved() == [FIRST, SECOND]
    assert again.current() == six[2]
    for exercise in six:
        again.note_solved(exercise)
    assert again.current() is None
    assert folder.write() == []
    assert folder.solved() == list(six)


def test_hints_come_one_after_the_other_and_the_last_again(folder):
    assert [folder.next_hint(FIRST) for _ in range(5)] == [1, 2, 3, 3, 3]
    assert folder.next_hint(SECOND) == 1
    assert Folder(folder.path).next_hint(SECOND) == 2
    assert folder.solved() == []


def test_a_reset_keeps_the_old_file(folder):
    file = folder.file(SECOND)
    for number in (1, 2):
        file.write_text(f"try {number}")
        kept = folder.reset(SECOND)
        assert kept == folder.path / f"02_relu_backward.old{number}.py"
        assert kept.read_text() == f"try {number}"
        assert folder.untouched(SECOND)
        assert folder.file(SECOND) == file
    file.unlink()
    assert folder.reset(SECOND) is None
    assert folder.untouched(SECOND)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"hints": 3}', '{"hints": {"a": "b"}}', '{"solved": 3}', "\udcff"])
def test_a_state_that_cannot_be_read_is_one_sentence(folder, text):
    (folder.path / STATE).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(
        ValueError, match=r"dojo\.json' cannot be read: delete it to go on\. Your exercises stay, and each"
    ):
        folder.current()


def test_a_state_of_another_version_is_read(folder):
    (folder.path / STATE).write_text(json.dumps({"solved": [FIRST.name, "unknown"], "later": 1}))
    assert folder.solved() == [FIRST]
    folder.note_solved(SECOND)
    assert json.loads((folder.path / STATE).read_text())["solved"] == [FIRST.name, "unknown", SECOND.name]


def test_the_usual_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert home() == Path("dojo")
    Folder(home()).write()
    assert home() == Path("dojo")
    monkeypatch.chdir("dojo")
    assert home() == Path()
    assert folders.Folder(home()).write() == []


def test_a_full_disk_leaves_no_half_exercise_and_names_the_file(tmp_path, six, monkeypatch):
    def full(self, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*01_\w+.py'"):
        Folder(tmp_path).write()
    assert not list(tmp_path.iterdir())
