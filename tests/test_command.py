"""Flags from a dataclass: the field's name, type and default, said once."""

from __future__ import annotations

import argparse
import errno
import io
import os
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from tinyalexnet import command
from tinyalexnet.command import Parser, exit_code, option, start

SENTENCE = "standard output cannot be written to: No space left on device"


@dataclass(frozen=True)
class Options:
    batch_size: int = option(128, "images (%(default)s)", metavar="N")
    passes: tuple[str, ...] = ("forward", "backward")
    threads: int | None = option(None, "threads", metavar="N")
    rate: float = option(0.5, "rate")
    size: tuple[int, int] = option((4, 3), "rows and columns", nargs=2)
    name: str = option("a", "which", choices=("a", "b"))
    variant: str = option("tf2015", "which network")
    quiet: bool = option(False, "say nothing")
    versus: tuple[str, ...] = option((), "repeatable")


class Collect(argparse.Action):
    def __call__(self, parser, namespace, values, option=None):
        namespace.versus = (*namespace.versus, values)


@pytest.fixture
def parser():
    parser = Parser(prog="test")
    parser.flags(Options, variant={"default": None, "choices": ["tiny"]}, versus={"action": Collect})
    return parser


def test_without_flags_there_are_the_defaults(parser):
    flags = vars(parser.parse_args([]))
    assert flags == {key: value for key, value in asdict(Options()).items() if key != "passes"} | {"variant": None}
    assert Options(**flags | {"variant": "tf2015"}) == Options()


def test_every_flag_gives_a_value_of_the_fields_type(parser):
    line = "--batch-size=5 --threads 3 --rate 2 --size 7 8 --name b --variant tiny --quiet --versus x --versus y"
    found = Options(**vars(parser.parse_args(line.split())))
    assert found == Options(5, Options.passes, 3, 2.0, [7, 8], "b", "tiny", True, ("x", "y"))
    assert isinstance(found.rate, float)
    assert parser.parse_args(["--batch_size", "6"]).batch_size == 6


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--batch_size=x", "argument --batch_size/--batch-size: invalid int value: 'x'"),
        ("--threads=1.5", "argument --threads: invalid int value: '1.5'"),
        ("--name=c", "argument --name: invalid choice: 'c'"),
        ("--variant=tf2015", "argument --variant: invalid choice: 'tf2015'"),
        ("--passes=1", "unrecognized arguments: --passes=1\n"),
        ("--batchsize=1", "unrecognized arguments: --batchsize=1: did you mean --batch_size?\n"),
        ("--batch=1", "unrecognized arguments: --batch=1: did you mean --batch_size?\n"),
        ("--variant=tini", "argument --variant: invalid choice: 'tini' (choose from 'tiny'): did you mean tiny?\n"),
        ("--a\nb\x1b[1m", r"unrecognized arguments: --a b\x1b[1m"),
    ],
)
def test_wrong_use_is_one_line(parser, capsys, flag, message):
    with pytest.raises(SystemExit) as caught:
        parser.parse_args([flag])
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith(f"test: {message}")
    assert err.count("\n") == 1


def test_help_has_the_fields_texts_in_their_order(parser):
    text = parser.format_help()
    assert "images (128)" in text
    assert re.search("--batch_size( N)?, --batch-size N", text)  # Python 3.13 says N once
    at = [text.rindex(f"--{name}") for name in ("threads", "rate", "size", "name", "variant", "quiet", "versus")]
    assert at == sorted(at)


def test_an_output_of_another_kind_is_left_as_it_is(monkeypatch):
    """A caller's StringIO, or the output of a notebook, has no encoding."""
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert exit_code(Parser(prog="test"), lambda console: 7) == 7


def test_an_error_is_one_line(capsys):
    def fail(console):
        raise OSError("of another library:\n  in two lines, \x1b[31mred")

    with pytest.raises(SystemExit, match="2"):
        exit_code(Parser(prog="test"), fail)
    assert capsys.readouterr().err == "test: of another library:   in two lines, \\x1b[31mred\n"


def test_two_hyphens_are_no_value(parser, capsys):
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--name=--"])
    assert capsys.readouterr().err.startswith("test: argument --name: ")
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--variant=tiny", "--rate=--"])
    assert capsys.readouterr().err.startswith("test: argument --rate: ")


def test_two_hyphens_are_a_name_of_a_file_or_refused(capsys):
    parser = Parser(prog="test")
    parser.flag("log", "a file")
    try:
        assert parser.parse_args(["--log=--"]).log == "--"  # argparse of Python 3.13 and later
    except SystemExit:
        assert capsys.readouterr().err == "test: argument --log: expected one argument\n"
    parser.flag("several", "files", nargs="*")
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--several"])
    assert capsys.readouterr().err == "test: argument --several: expected one argument\n"


# --- errors -----------------------------------------------------------------------------------------------------------


def refusal(capsys, error):
    """The line that an error becomes."""

    def run(console):
        raise error

    with pytest.raises(SystemExit) as caught:
        exit_code(Parser(prog="test"), run)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("test: ")
    assert err.count("\n") == 1
    return err.removeprefix("test: ").rstrip()


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "none"), "No such file or directory: 'none'"),
        (OSError(errno.ENOSPC, "No space left on device", "run.json"), "No space left on device: 'run.json'"),
        (OSError(errno.ENOSPC, "No space left on device"), SENTENCE),
        (OSError(errno.ENOEXEC, "Exec format error"), "Exec format error"),
        (OSError("of a\nlibrary"), "of a library"),
        (ImportError("needs x"), "needs x"),
        (
            MemoryError("Unable to allocate 9 GiB"),
            "the memory is exhausted: use smaller batches or images (Unable to allocate 9 GiB)",
        ),
        (MemoryError(), "the memory is exhausted: use smaller batches or images (MemoryError)"),
    ],
)
def test_what_the_system_refuses_is_one_line(capsys, monkeypatch, error, line):
    gone = []
    monkeypatch.setattr(command, "_give_up_output", lambda: gone.append(1))
    assert refusal(capsys, error) == line
    assert len(gone) == (line == SENTENCE)


def test_a_sentence_of_the_package_is_one_line(capsys):
    from tinyalexnet.geometry import as_integer

    with pytest.raises(SystemExit):
        exit_code(Parser(prog="test"), lambda console: as_integer("pad", -1, 0))
    assert capsys.readouterr().err == "test: pad is -1, but must be an int >= 0\n"


@pytest.mark.parametrize("wrong", [lambda: int("x"), lambda: {}["a"], lambda: None + 1, lambda: os.stat("a\0b")])
def test_a_mistake_of_the_package_keeps_its_traceback(wrong):
    """Though int() raises a ValueError, as the package does itself."""
    with pytest.raises((ValueError, KeyError, TypeError)):
        exit_code(Parser(prog="test"), lambda console: wrong())
    error = ValueError("never raised")
    assert not command._is_raised_here(error)


def test_an_open_line_is_ended_before_the_word_that_it_was_interrupted(capsys, monkeypatch):
    monkeypatch.setattr(command.interrupts, "_state", command.interrupts._State())

    def stopped(console):
        console.line("compiling conv ...", end="")
        raise KeyboardInterrupt

    assert exit_code(Parser(prog="test"), stopped) == 130
    assert capsys.readouterr().err == "compiling conv ...\ninterrupted\n"


def test_a_process_begins_with_its_signals_and_its_standard_files(monkeypatch):
    begun = []
    monkeypatch.setattr(command.interrupts, "install", lambda: begun.append("signals"))
    monkeypatch.setattr(command, "_open_standard_files", lambda: begun.append("files"))
    with pytest.raises(SystemExit, match="3"):
        start(lambda: begun.append("main") or 3)
    assert begun == ["signals", "files", "main"]


def test_what_another_library_raises_is_not_taken_for_a_sentence_of_the_package():
    def others():
        raise ValueError("of a library")

    with pytest.raises(ValueError, match="of a library"):
        exit_code(Parser(prog="test"), lambda console: others())


def ended(main):
    with pytest.raises(SystemExit) as caught:
        start(main)
    return caught.value.code


@pytest.fixture
def process(monkeypatch):
    """What ``start`` changes in its process, left as it is."""
    monkeypatch.setattr(command.interrupts, "install", lambda: None)
    monkeypatch.setattr(command.interrupts, "has_ended", lambda: False)


@pytest.mark.parametrize(("value", "code"), [("0", 2), ("-3", 2), ("+0", 2), ("1", 7), ("", 7), ("many", 7)])
def test_a_number_of_threads_that_numba_refuses_is_one_line(process, monkeypatch, capsys, value, code):
    monkeypatch.setenv("NUMBA_NUM_THREADS", value)
    monkeypatch.setattr(sys, "argv", ["/bin/program"])
    assert ended(lambda: 7) == code
    said = f"program: NUMBA_NUM_THREADS is {value}, but must be at least 1\n" if code == 2 else ""
    assert capsys.readouterr().err == said


def test_a_bug_has_a_traceback_and_says_that_it_is_one(process, capsys):
    def main():
        raise KeyError("generators")

    assert ended(main) == 1
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert err.splitlines()[-2:] == [
        "KeyError: 'generators'",
        "this is a bug of tinyalexnet: please report it with the lines above, the command and its --version",
    ]


def test_a_process_ends_with_the_code_of_its_command(process, monkeypatch):
    assert ended(lambda: 3) == 3
    assert ended(lambda: sys.exit(4)) == 4
    gone = []
    monkeypatch.setattr(command, "_give_up_output", lambda: gone.append(1))

    def closed():
        raise BrokenPipeError

    assert ended(closed) == 141
    assert gone == [1]

    def interrupted():
        raise KeyboardInterrupt

    assert ended(interrupted) == 130


def test_a_closed_standard_file_becomes_the_null_device(monkeypatch):
    opened, asked = [], []

    def closed(number):
        asked.append(number)
        if number == 1:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", closed)
        patch.setattr(os, "open", lambda path, mode: opened.append(path))
        patch.setattr(os, "fdopen", lambda number, mode, closefd: f"{number} {mode} {closefd}")
        patch.setattr(sys, "stdout", None)
        patch.setattr(sys, "stderr", None)
        command._open_standard_files()
        assert (sys.stdout, sys.stderr) == ("1 w False", "2 w False")
    assert (opened, asked) == ([os.devnull], [0, 1, 2])


def test_after_a_signal_nothing_else_runs(process, monkeypatch):
    monkeypatch.setattr(command.interrupts, "has_ended", lambda: True)
    codes = []
    monkeypatch.setattr(os, "_exit", codes.append)
    assert ended(lambda: 130) == 130
    assert codes == [130]


@pytest.mark.parametrize(("number", "code"), [(errno.EPIPE, 141), (errno.ENOSPC, 2)])
def test_what_is_written_at_the_end_may_fail_too(process, monkeypatch, capsys, number, code):
    class Output(io.StringIO):
        def flush(self):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(command, "_give_up_output", lambda: None)
    monkeypatch.setattr(sys, "stdout", Output())
    assert ended(lambda: 0) == code
    err = capsys.readouterr().err
    assert err == ("" if code == 141 else f"{Path(sys.argv[0]).name}: {SENTENCE}\n")


BENCH = Path(__file__).parent.parent / "bench.py"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full")
@pytest.mark.parametrize("flag", ["--help", "--compare_variants", "--num_batches=1"])
def test_a_full_standard_output_is_one_line_and_code_2(flag):
    line = [sys.executable, BENCH, flag, "--quiet", "--backend=reference", "--batch_size=1", "--forward_only"]
    with open("/dev/full", "w") as full:
        result = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (result.returncode, result.stderr) == (2, f"bench.py: {SENTENCE}\n")


@pytest.mark.skipif(os.name != "posix", reason="a shell")
@pytest.mark.parametrize("closed", ["<&- >&-", "2>&-", "<&- >&- 2>&-"])
def test_a_standard_file_that_is_closed_is_not_taken_for_another(tmp_path, closed):
    log = tmp_path / "run.json"
    line = f'"$0" "$1" --backend reference --batch_size 1 --num_batches 1 --forward_only --json "$2" {closed}'
    result = subprocess.run(["sh", "-c", line, sys.executable, BENCH, log], capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert "Traceback" not in result.stderr
    assert log.read_text().startswith("{")
