"""Flags from a dataclass: the field's name, type and default, said once."""

from __future__ import annotations

import argparse
import io
import re
import sys
from dataclasses import asdict, dataclass

import pytest

from tinyalexnet.command import Parser, exit_code, option


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
        ("--passes=1", "unrecognized arguments: --passes=1"),
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
    assert exit_code(Parser(prog="test"), lambda: 7) == 7


def test_an_error_is_one_line(capsys):
    def fail():
        raise ValueError("of another library:\n  in two lines, \x1b[31mred")

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


def test_two_hyphens_are_no_name_of_a_file(capsys):
    parser = Parser(prog="test")
    parser.flag("log", "a file")
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--log=--"])
    assert capsys.readouterr().err == "test: argument --log: expected one argument\n"
