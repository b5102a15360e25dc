"""The commands under one roof: the version, the benchmark, completion, and what a wrong word is told."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import tinyalexnet
from tinyalexnet import __main__ as command
from tinyalexnet import benchmark, completion, warm
from tinyalexnet.benchmark import Options
from tinyalexnet.explorer.pages import SCRIPTS
from tinyalexnet.training import Settings


def ended(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        command.main(list(arguments))
    return caught.value.code, *capsys.readouterr()


def test_the_version(capsys):
    assert ended(capsys, "--version") == (0, f"tinyalexnet {tinyalexnet.__version__}\n", "")


def test_the_benchmark_is_one_of_the_commands(monkeypatch):
    seen = []
    monkeypatch.setattr(benchmark, "run", lambda options, out, err: seen.append(options) or 0)
    assert command.main(["bench", "--batch-size=3", "--forward_only", "--variant=owt"]) == 0
    assert seen == [Options(batch_size=3, variant="owt", passes=("Forward",))]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["benhc"], "'gradcheck', 'explain', 'explore', 'dojo', 'warm'): did you mean bench?"),
        (["train", "--epoch=3"], "unrecognized arguments: --epoch=3: did you mean --epochs?"),
        (["train", "--data=digit"], "did you mean digits?"),
        (["bench", "--variant=tf2016"], "did you mean tf2017?"),
        (["train", "--variant=tf2015"], "argument --variant: invalid choice: 'tf2015'"),
        (["classify", "a.png"], "the following arguments are required: --weights"),
        (["gradcheck", "--direction=2"], "did you mean --directions?"),
        (["classify", "a.png", "--weights=b", "--lables=c"], "did you mean --labels?"),
        (["--versio"], "unrecognized arguments: --versio: did you mean --version?"),
        (["--print-completion", "fish"], "invalid choice: 'fish'"),
    ],
)
def test_a_wrong_word_is_one_line_that_says_what_may_be_meant(capsys, arguments, message):
    code, out, err = ended(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["classify", "a.png", "--weights=b"],
            {
                "images": ["a.png"],
                "weights": "b",
                "variant": None,
                "labels": None,
                "top": 5,
                "force": False,
                "backend": "cpu",
                "plot": None,
                "quiet": False,
            },
        ),
        (
            ["train"],
            {
                "data": "fashion-mnist",
                "folder": None,
                "download": False,
                "size": None,
                "checkpoint": None,
                "resume": False,
                "log": None,
                "timings": None,
                "plot": None,
                "parallel": None,
                "patience": 300.0,
                **vars(Settings()),
                "quiet": False,
                "variant": None,
            },
        ),
    ],
)
def test_flags_that_are_left_out(words, expected):
    flags = vars(command._parser().parse_args(words))
    assert flags == expected | {"command": words[0], "print_completion": None}


def test_the_name_of_the_program_is_what_was_typed(capsys, monkeypatch):
    assert ended(capsys)[2].startswith("python -m tinyalexnet: ")
    monkeypatch.setattr(sys, "argv", ["/usr/bin/tinyalexnet", "train"])
    assert ended(capsys)[2].startswith("tinyalexnet: ")
    started = []
    monkeypatch.setattr(command, "start", started.append)
    command.script()
    assert started == [command.main]


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_a_shell_completes_commands_flags_and_files(capsys, shell):
    pytest.importorskip("shtab")
    code, out, err = ended(capsys, "--print-completion", shell)
    assert (code, err) == (0, "")
    for word in ("tinyalexnet", "classify", *(["--learning_rate", "fashion-mnist"] if shell != "tcsh" else [])):
        assert word in out


def test_files_are_completed_as_files(capsys, monkeypatch):
    """By a stand-in for shtab, which looks at the attribute ``complete``."""
    found = {}

    def complete(parser, shell):
        found.update({action.dest: getattr(action, "complete", None) for action in completion._actions(parser)})
        return f"{parser.prog} {shell}"

    fake = ModuleType("shtab")
    fake.FILE, fake.DIRECTORY, fake.complete = "a file", "a folder", complete
    monkeypatch.setitem(sys.modules, "shtab", fake)
    assert ended(capsys, "--print-completion", "zsh") == (0, "tinyalexnet zsh\n", "")
    assert [found[name] for name in ("weights", "python", "folder", "epochs")] == ["a file", "a file", "a folder", None]


def test_without_shtab_the_extra_is_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    code, _, err = ended(capsys, "--print-completion", "bash")
    assert code == 2
    assert err.endswith("completion needs shtab: pip install 'tinyalexnet[completion]'\n")


def test_a_wheel_has_every_file():
    """setuptools takes the modules; what is none has to be named in pyproject.toml."""
    package = Path(tinyalexnet.__file__).parent
    files = [path for path in package.rglob("*") if path.is_file()]
    compiled = (".pyc", ".nbi", ".nbc")
    others = {path for path in files if path.suffix != ".py" and not path.name.endswith(compiled)}
    named = re.search(r"^tinyalexnet = (\[.*\])$", (package.parent / "pyproject.toml").read_text(), re.MULTILINE)
    assert others == {path for pattern in json.loads(named[1]) for path in package.glob(pattern)}
    assert {path.name for path in others} >= {"py.typed", "page.html", *SCRIPTS}


def test_warm_is_one_of_the_commands(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(warm, "warm", lambda variants, console: seen.append((variants, console.quiet)) or 0)
    assert command.main(["warm"]) == 0
    assert command.main(["warm", "--variants", "digits", "mnist", "--quiet"]) == 0
    assert seen == [(None, False), (["digits", "mnist"], True)]
    code, _, err = ended(capsys, "warm", "--variants", "digit")
    assert code == 2
    assert "did you mean digits?" in err
