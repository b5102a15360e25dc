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

CODE = """\
import numpy as np


def avgpool_backward(dout, x_shape, kernel, stride, pads):
    dx = np.zeros(x_shape)
    for n, oh, ow, c in np.ndindex(*dout.shape):
        for kh in range(kernel[0]):
            for kw in range(kernel[1]):
                h, i = oh * stride[0] + kh - pads[0][0], ow * stride[1] + kw - pads[1][0]
                if 0 <= h < x_shape[1] and 0 <= i < x_shape[2]:
                    dx[n, h, i, c] += dout[n, oh, ow, c] / (kernel[0] * kernel[1])
    return dx
"""
"""The code of the sample: it divides by all of the kernel at the border too."""


def test_the_sample_of_a_failure_is_what_is_printed(tmp_path):
    (sample,) = re.findall(r"^```text\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    file = tmp_path / "avgpool_backward.py"
    file.write_text(CODE, encoding="utf-8")
    assert check_file(EXERCISES["avgpool_backward"], file).text == sample


def test_every_kind_gate_and_command_is_explained():
    for kind in DO:
        assert f"\n| `{kind}` | " in PAGE
    exercise = EXERCISES["maxpool_backward"]
    names = [name for name, _ in Judge(exercise, exercise.task.subject, code=None).gates()]
    assert re.findall(r"^\d\. \*\*(\w+)\*\*:", PAGE, flags=re.MULTILINE) == names
    for action in ACTIONS:
        assert f"\n| `{action} " in PAGE
