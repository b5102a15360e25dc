"""``tinyalexnet --print-completion SHELL``: what lets a shell complete the commands, flags, choices and files."""

import argparse
from typing import Any

SHELLS = ("bash", "zsh", "tcsh")

FILES = {"FILE": "FILE", "IMAGE": "FILE", "PATH": "FILE", "FOLDER": "DIRECTORY"}
"""What stands for a file in a help text, and the name of its completion in shtab."""


class PrintCompletion(argparse.Action):
    """Prints it, and ends the program."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: object = None
    ) -> None:
        try:
            import shtab
        except ImportError:
            parser.error("completion needs shtab: pip install 'tinyalexnet[completion]'")
        for action in _actions(parser):
            if action.metavar in FILES:
                action.complete = getattr(shtab, FILES[action.metavar])
        parser.prog = "tinyalexnet"  # a shell completes the name of a program, and not python -m
        print(shtab.complete(parser, values))
        parser.exit()


def _actions(parser: argparse.ArgumentParser) -> list[Any]:
    """Those of a parser and of its commands."""
    found: list[Any] = []
    for action in parser._actions:
        found.append(action)
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                found += _actions(command)
    return found
