"""What the package's command lines share: flags in two spellings, errors of one line, and exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import NoReturn

INTERRUPTED, PIPE_CLOSED, WRONG_USE = 130, 141, 2
"""Exit codes."""


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USE, f"{self.prog}: {message}\n")

    def flag(self, name: str, help: str, **how: object) -> None:
        """Adds ``--name``, which may be written with hyphens too."""
        names = dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}"))
        self.add_argument(*names, help=help, **how)  # type: ignore[arg-type]


def exit_code(parser: argparse.ArgumentParser, run: Callable[[], int]) -> int:
    """What ``run`` returns; what it raises about its input, files or packages is the parser's to tell."""
    try:
        return run()
    except BrokenPipeError:
        # Whoever read the output has seen enough. Python would flush the closed pipe once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except (ValueError, ImportError, MemoryError, OSError) as error:
        parser.error(str(error))
