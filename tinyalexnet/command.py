"""Shared by the command lines: flags in two spellings, flags from dataclasses, one-line errors, and exit codes."""

import argparse
import dataclasses
import os
import sys
import typing
from collections.abc import Callable, Mapping
from io import TextIOWrapper
from typing import Any, NoReturn, TypeVar

from .console import printable

INTERRUPTED, PIPE_CLOSED, WRONG_USE = 130, 141, 2
"""Exit codes."""

T = TypeVar("T")


def option(default: T, help: str, **how: object) -> T:
    """A dataclass field with a default that ``Parser.flags`` makes a flag of; ``how`` is as for ``Parser.flag``."""
    field: T = dataclasses.field(default=default, metadata={"help": help, **how})
    return field


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        # What other libraries say, and what stands in the name of a file, may have more lines.
        self.exit(WRONG_USE, f"{self.prog}: {printable(' '.join(message.splitlines()))}\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse, which before Python 3.13 makes an empty list of the value in ``--flag=--``."""
        found, rest = super().parse_known_args(args, namespace)
        for action in self._actions:
            if action.option_strings and getattr(found, action.dest, None) == []:
                self.error(f"argument {'/'.join(action.option_strings)}: expected one argument")
        return found, rest

    def flag(self, name: str, help: str, **how: object) -> None:
        """Adds ``--name``, which may be written with hyphens too; ``how`` is as for ``add_argument``."""
        names = dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}"))
        self.add_argument(*names, help=help, **how)  # type: ignore[arg-type]

    def flags(self, options: type, **changes: Mapping[str, object]) -> None:
        """Adds a flag for each field that ``option`` made, in their order.

        Name and default are the field's, and so is the type: a bool gets the action "store_true"; int and float, also
        with None or in a tuple, are converted. ``changes`` adds or replaces arguments of ``flag``, by the field's name.
        """
        types = typing.get_type_hints(options)
        for field in dataclasses.fields(options):
            if "help" in field.metadata:
                how = {"default": field.default, **_conversion(types[field.name]), **field.metadata}
                self.flag(field.name, **{**how, **changes.get(field.name, {})})


def _conversion(annotation: Any) -> dict[str, object]:
    """The arguments of ``add_argument`` that a field's type calls for."""
    if annotation is bool:
        return {"action": "store_true"}
    kinds = {annotation, *typing.get_args(annotation)}
    return next(({"type": kind} for kind in (int, float) if kind in kinds), {})


def exit_code(parser: argparse.ArgumentParser, run: Callable[[], int]) -> int:
    """The value of ``run``. Its errors about input, files or packages become one line and the code WRONG_USE.

    What the encoding of an output lacks, as the name of a class may, is written as an escape.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return run()
    except BrokenPipeError:
        # The reader of the output has closed it. Python would flush the closed pipe once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except (ValueError, ImportError, MemoryError, OSError) as error:
        parser.error(str(error))
