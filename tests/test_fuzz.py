"""The fuzzer itself: the same cases for a seed, and every kind of fault is found and can be made again."""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import fuzz

ROOT = Path(__file__).parent.parent
SEVERAL_LINES = "its message is not one line"


@pytest.fixture(autouse=True)
def memory(monkeypatch):
    """A process that has run other tests has had more memory than a case may take."""
    monkeypatch.setattr(fuzz, "MOST_MEMORY", 1 << 50)


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )


def test_a_few_cases_of_every_target_find_nothing_and_are_the_same_each_time():
    one, other = run("--cases", "2", "--seed", "5"), run("--cases", "2", "--seed", "5")
    assert (one.returncode, one.stderr) == (0, "")
    assert one.stdout.startswith(
        "2 torch, 2 idx, 2 cifar, 2 images, 2 checkpoints, 2 labels, 2 matrices, 2 commands; 0 findings; outcomes "
    )
    assert other.stdout == one.stdout


def test_a_target_that_is_none_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        fuzz.main(["--only", "nothing"])
    assert "invalid choice: 'nothing'" in capsys.readouterr().err


def test_a_process_that_is_started_is_a_finding(tmp_path, monkeypatch):
    """But not by a command: libraries look for others with ldconfig."""
    script = (
        "import argparse, subprocess, sys\n"
        "from tests import fuzz, fuzz_targets\n"
        "start = lambda rng: subprocess.run([sys.executable, '-c', ''], check=True)\n"
        "fuzz_targets.targets = lambda: dict.fromkeys(fuzz.TARGETS, start)\n"
        "sent = []\n"
        "options = argparse.Namespace(case=None, cases=1, seconds=9, seed=0, only=None)\n"
        f"fuzz.work(options, {str(tmp_path)!r}, argparse.Namespace(send=sent.append))\n"
        "print(*[result for _, result in sent[:-1:2]], *[bool(wrong) for _, wrong in sent[1:-1:2]])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["0"] * 8 + ["True"] * 7 + ["False"]


def test_one_case_is_the_one_of_the_whole_run():
    options = argparse.Namespace(case=7, cases=None, seconds=9, seed=0, only="idx")
    assert list(fuzz.cases(options, ["idx"])) == [("idx", 7)]
    options.case, options.cases = None, 2
    assert list(fuzz.cases(options, ["a", "b"])) == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    options.cases, options.seconds = None, 0.05
    assert len(list(fuzz.cases(options, ["a", "b"]))) > 2


def fails(error):
    def read(_rng):
        raise error

    return read


@pytest.mark.parametrize(
    ("read", "result", "wrong"),
    [
        (lambda rng: rng.random(), "read", ""),
        (fails(ValueError("one line")), "ValueError", ""),
        (fails(FileNotFoundError("one line")), "FileNotFoundError", ""),
        (fails(ValueError("two\nlines")), "ValueError", SEVERAL_LINES),
        (fails(ValueError("")), "ValueError", SEVERAL_LINES),
        (fails(ValueError("x" * 7000)), "ValueError", SEVERAL_LINES),
        (fails(TypeError("of what")), "TypeError", "Traceback"),
        (fails(MemoryError()), "MemoryError", "Traceback"),
        (fails(SystemExit(3)), "SystemExit", "Traceback"),
    ],
)
def test_what_a_finding_is(read, result, wrong):
    found = fuzz.outcome(read, random.Random(0))
    assert found[0] == result
    assert found[1].startswith(wrong)
    assert bool(found[1]) == bool(wrong)


def test_time_and_memory_are_limited(monkeypatch):
    monkeypatch.setattr(fuzz, "MOST_SECONDS", 0.01)
    assert fuzz.outcome(lambda _: time.sleep(0.02), random.Random(0))[1].startswith("it took 0.")
    monkeypatch.setattr(fuzz, "MOST_MEMORY", 1 << 20)
    assert fuzz.outcome(lambda _: None, random.Random(0)) == ("read", "it took more than 1 GB")


def finds(_options, _folder, to):
    for number, result in enumerate([("read", ""), ("TypeError", "Traceback ...\n"), ("ValueError", "")]):
        to.send(("images", number))
        to.send(result)
    to.send(None)


def crashes(_options, _folder, to):
    to.send(("torch", 3))
    os.abort()


def hangs(_options, _folder, to):
    to.send(("idx", 4))
    time.sleep(600)


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (
            finds,
            ["images: Traceback ...", "again: python -m tests.fuzz --seed 6 --only images --case 1", "", "3 images"],
        ),
        (crashes, ["torch: the process ended with -6", "again: ... --only torch --case 3", "", "1 torch"]),
        (hangs, ["idx: it took more than 5 s", "again: ... --only idx --case 4", "", "1 idx"]),
    ],
)
def test_a_finding_is_printed_with_the_command_that_makes_it_again(monkeypatch, capsys, work, expected):
    monkeypatch.setattr(fuzz, "work", work)
    monkeypatch.setattr(fuzz, "HANGS_AFTER", 5)
    assert fuzz.main(["--seed", "6"]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    *wanted, count = [line.replace("...", "python -m tests.fuzz --seed 6") for line in expected]
    assert lines == [line.replace("Traceback python -m tests.fuzz --seed 6", "Traceback ...") for line in wanted]
    assert last.startswith(f"{count}; 1 findings; outcomes ")
