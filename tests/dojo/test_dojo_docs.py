"""docs/dojo.md: its sample of a failure is what is printed, and its tables name all kinds, gates and commands."""

from __future__ import annotations

import re
from pathlib import Path

from tinyalexnet.dojo.check import check_file
from tinyalexnet.dojo.command import ACTIONS
from tinyalexnet.dojo.exercise import DO
from tinyalexnet.dojo.gates import Judge
from tinyalexnet.dojo.path import EXERCISES

PAGE = (Path(__file__).parents[2] / "docs" / "dojo.md").read_text(encoding="utf-8")


def test_the_sample_of_a_failure_is_what_is_printed(tmp_path):
    (sample,) = re.findall(r"^```text\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    exercise = EXERCISES["maxpool_backward"]
    file = tmp_path / "maxpool_backward.py"
    file.write_text(exercise.stub.read_text(encoding="utf-8") + "\n# begun\n", encoding="utf-8")
    assert check_file(exercise, file).text == sample


def test_every_kind_gate_and_command_is_explained():
    for kind in DO:
        assert f"\n| `{kind}` | " in PAGE
    exercise = EXERCISES["maxpool_backward"]
    names = [name for name, _ in Judge(exercise, exercise.task.subject, code=None).gates()]
    assert re.findall(r"^\d\. \*\*(\w+)\*\*:", PAGE, flags=re.MULTILINE) == names
    for action in ACTIONS:
        assert f"\n| `{action} " in PAGE
