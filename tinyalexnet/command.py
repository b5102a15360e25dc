"""Shared by the command lines: flags in two spellings, flags from dataclasses, one-line errors, and exit codes."""

import argparse
import dataclasses
import difflib
import dis
import errno
import os
import re
import sys
import traceback
import typing
from collections.abc import Callable, Iterable, Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from . import interrupts
from .console import Console, printable

INTERRUPTED, PIPE_CLOSED, WRONG_USE, BUG = 130, 141, 2, 1
"""Exit codes."""

RAISE = dis.opmap["RAISE_VARARGS"]

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF, errno.EAGAIN)

T = TypeVar("T")


def option(default: T, help: str, **how: object) -> T:
    """A dataclass field with a default that ``Parser.flags`` makes a flag of; ``how`` is as for ``Parser.flag``."""
    field: T = dataclasses.field(default=default, metadata={"help": help, **how})
    return field


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and which says what may have been meant. Flags are never abbreviated."""

    def __init__(self, **how: Any) -> None:
        super().__init__(allow_abbrev=False, **how)

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USE, f"{self.prog}: {one_line(message)}\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuses here what is not known: the parser of a command knows its flags, and the one above it does not."""
        found, unknown = super().parse_known_args(args, namespace)
        flags = {flag: action for action in self._actions for flag in action.option_strings}
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{_meant(unknown[0].partition('=')[0], flags)}")
        for action in flags.values():
            # argparse before Python 3.13 makes an empty list of the value in --flag=--
            if getattr(found, action.dest, None) == []:
                self.error(f"argument {'/'.join(action.option_strings)}: expected one argument")
        return found, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            allowed = ", ".join(map(repr, action.choices))
            raise argparse.ArgumentError(
                action, f"invalid choice: {value!r} (choose from {allowed}){_meant(str(value), action.choices)}"
            )

    def _print_message(self, message: str, file: Any = None) -> None:
        """Unlike argparse's it tells if standard output is full or closed."""
        if file is sys.stdout:
            file.write(message)
        else:
            super()._print_message(message, file)

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


def one_line(message: str) -> str:
    """What other libraries say, and what stands in the name of a file, may have more lines, or control characters."""
    return printable(" ".join(message.splitlines()))


def _meant(word: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(word, known, 1)
    return f": did you mean {found[0]}?" if found else ""


def _conversion(annotation: Any) -> dict[str, object]:
    """The arguments of ``add_argument`` that a field's type calls for."""
    if annotation is bool:
        return {"action": "store_true"}
    kinds = {annotation, *typing.get_args(annotation)}
    return next(({"type": kind} for kind in (int, float) if kind in kinds), {})


def exit_code(parser: argparse.ArgumentParser, run: Callable[[Console], int], quiet: bool = False) -> int:
    """The value of ``run``. Its errors about input, files or packages become one line and the code WRONG_USE.

    After Ctrl-C there is one line too. An error of the package itself is raised: its traceback tells where it is. What
    the encoding of an output lacks, as the name of a class may, is written as an escape.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    console = Console(sys.stderr, quiet)
    try:
        code = _interruptible(run, console)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        _give_up_output()
        return PIPE_CLOSED
    except MemoryError as error:
        parser.error(f"the memory is exhausted: use smaller batches or images ({str(error) or 'MemoryError'})")
    except OSError as error:
        parser.error(_sentence(error))
    except ImportError as error:
        parser.error(str(error))
    except ValueError as error:
        if not _is_raised_here(error):
            raise
        parser.error(str(error))
    if code == INTERRUPTED:
        console.end_line()
        return interrupts.ended(lambda line: print(line, end="", file=sys.stderr, flush=True))
    return code


def _interruptible(run: Callable[[Console], int], console: Console) -> int:
    try:
        with interrupts.raised(), console.one_line_warnings():
            code = run(console)
    except Exception:
        interrupts.check()  # a library may have made this error of it
        raise
    if code != INTERRUPTED:
        interrupts.check()
    return code


def start(main: Callable[[], int]) -> NoReturn:
    """Runs ``main`` as the whole of a process, and ends it with its exit code."""
    interrupts.install()
    _open_standard_files()
    code: Any
    try:
        try:
            _check_environment()
            code = main()
        except SystemExit as stop:
            code = stop.code
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = interrupts.ended(sys.stderr.write)
    except BrokenPipeError:
        _give_up_output()
        code = PIPE_CLOSED
    except OSError as error:
        print(f"{os.path.basename(sys.argv[0])}: {one_line(_sentence(error))}", file=sys.stderr)
        code = WRONG_USE
    except Exception:
        code = reported_bug()
    if interrupts.has_ended():
        # Not sys.exit: if the exception went through a library's C code, Python would now kill itself by the signal.
        os._exit(code)
    sys.exit(code)


def _check_environment() -> None:
    """One line and the end if Numba could not be imported, which says so in a traceback."""
    threads = os.environ.get("NUMBA_NUM_THREADS", "")
    if re.fullmatch(r"[-+]?\d+", threads) and int(threads) < 1:
        sys.stderr.write(f"{os.path.basename(sys.argv[0])}: NUMBA_NUM_THREADS is {threads}, but must be at least 1\n")
        sys.exit(WRONG_USE)


def reported_bug() -> int:
    """Says where the exception is from that is being handled, and returns the exit code."""
    traceback.print_exc()
    print(
        "this is a bug of tinyalexnet: please report it with the lines above, the command and its --version",
        file=sys.stderr,
    )
    return BUG


def _open_standard_files() -> None:
    """Gives the null device to those that are closed: else the next file that is opened would be taken for them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _give_up_output() -> None:
    """Lets standard output go: Python would write what is in its buffer once more when it exits, and fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _sentence(error: OSError) -> str:
    """What the system says, with the file's name if it is known."""
    if error.filename is not None:
        return f"{error.strerror}: {error.filename!r}"
    if error.errno in UNWRITABLE:  # files are named where they are written
        _give_up_output()
        return f"standard output cannot be written to: {error.strerror}"
    return error.strerror or str(error)


def _is_raised_here(error: BaseException) -> bool:
    """If a ``raise`` of this package has made the error, and so its sentence; else it is a mistake in a call."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    code = trace.tb_frame.f_code
    is_ours = Path(code.co_filename).is_relative_to(Path(__file__).parent)
    return is_ours and code.co_code[trace.tb_lasti] == RAISE
