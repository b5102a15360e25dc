"""The documents' own scripts: what they print and draw still comes out of today's kernels."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tinyalexnet import alexnet
from tinyalexnet.ops.conv2d.winograd.cpu.plan import Limits

DOCS = Path(__file__).parent.parent / "docs"


def run(script, *arguments):
    return subprocess.run([sys.executable, DOCS / script, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.compiled
def test_the_stages_are_timed():
    done = run("winograd_stages.py", "1")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split() for line in done.stdout.splitlines()[2:]]
    assert [row[0] for row in rows] == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    assert all(len(row) == 7 and float(row[5]) > 0 for row in rows)


@pytest.mark.compiled
def test_the_errors_are_drawn(tmp_path):
    done = run("winograd_error.py", str(tmp_path / "error.svg"))
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "error.svg").read_text().startswith("<?xml")
    errors = re.findall(r"the points of matrices.py: (\S+)", done.stdout)
    assert len(errors) == 8
    assert all(0 < float(error) < 2e-5 for error in errors)


@pytest.mark.compiled
def test_other_limits_are_timed():
    """Of a network in which some convolutions have groups."""
    done = run("limits.py", "1", "caffe")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {line.split()[0]: re.findall(r"x[\d.]+: ([\d.]+)", line) for line in done.stdout.splitlines()[1:]}
    assert set(rows) == set(Limits._fields)
    assert all(len(row) == 4 and all(float(ratio) > 0 for ratio in row) for row in rows.values())


@pytest.mark.compiled
def test_python_between_kernels_is_timed():
    done = run("between.py", "digits", "8")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()]
    names = [*(name for name, _ in alexnet("digits")), "all layers", "recorded", "loss", "update"]
    assert [row[0] for row in rows[2:]] == names
    for _, *cells in rows[2:]:
        for whole, between in (cells[:2], cells[2:]):
            assert whole == "" or int(whole.replace(",", "")) >= int(between.replace(",", "") or 1) > 0
    live, recorded = ([int(cells[at]) for at in (1, 3)] for cells in rows if cells[0] in ("all layers", "recorded"))
    assert all(one > other for one, other in zip(live, recorded, strict=True))


@pytest.mark.compiled
def test_recorded_passes_are_timed():
    done = run("recorded.py", "digits:2")
    assert (done.returncode, done.stderr) == (0, "")
    row = done.stdout.splitlines()[2]
    assert re.fullmatch(r"\| `digits`, batch 2 \|( [\d.]+ ms \| 0\.\d\d \([\d.]+ to [\d.]+\) \|){2} \d+ MB \|", row)


@pytest.mark.compiled
def test_updates_are_timed():
    done = run("updates.py", "digits")
    assert (done.returncode, done.stderr) == (0, "")
    row = done.stdout.splitlines()[2]
    assert re.fullmatch(r"\| `digits` \| 8 \|( [\d,]+ µs \([\d,]+ to [\d,]+\) \|){3}", row)


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("winograd_stages.py", ["0"]),
        ("winograd_error.py", []),
        ("limits.py", ["0"]),
        ("limits.py", ["8", "nope"]),
        ("limits.py", ["8", "caffe", "1"]),
        ("few_vectors.py", ["--help"]),
        ("updates.py", ["nope"]),
        ("between.py", ["nope", "8"]),
        ("between.py", ["digits", "0"]),
        ("recorded.py", []),
        ("recorded.py", ["digits:8", "digits:0"]),
        ("recorded.py", ["nope:8"]),
        ("neighbour.py", []),
        ("neighbour.py", ["0"]),
        ("overlap.py", []),
        ("overlap.py", ["soon"]),
        ("processes.py", ["mnist"]),
        ("processes.py", ["nope", "2"]),
        ("processes.py", ["mnist", "2", "rounds"]),
        ("processes.py", ["mnist", "2", "block=2"]),
        ("training_versus.py", ["rounds=x"]),
        ("training_versus.py", ["digits", "threads=0"]),
        ("training_versus.py", ["rounds"]),
    ],
)
def test_wrong_use_prints_how_to_use_them(script, arguments):
    done = run(script, *arguments)
    assert done.returncode == 1
    assert f"python docs/{script}" in done.stderr
