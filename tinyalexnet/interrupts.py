"""Ctrl-C and SIGTERM: a command ends with one line and the exit code 128 + signal, whatever it is doing.

Python raises KeyboardInterrupt where the program happens to be. During an import that is a traceback, and a callback
loses it: Numba has some, and then a training goes on as if nothing had been said. So the commands have a handler of
their own, from their first line on. While nothing is open it ends the process at once. Under ``raised`` it raises, so
that files and other processes are cleared away, and it remembers the signal: loops ask ``check`` between their steps.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time

# Nothing else is imported: until the end of this file Ctrl-C is a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PATIENCE = 1.0
"""Within so many seconds another signal is the same one, sent twice. A later one ends the process at once."""

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class _State:
    raises = False
    """If there is something to clear away."""
    received = 0
    """The signal that ends this command."""
    at = 0.0
    """When it came."""
    lost = False
    """If nobody has caught its exception yet: a callback may have swallowed it."""
    said = False
    """If the line is written."""


_state = _State()


def install() -> None:
    """Handles both signals in this process. One that is ignored, as a shell's ``&`` asks, stays ignored."""
    for number in WORDS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _handle)
    sys.unraisablehook = _hook
    atexit.register(_finish)  # the first that is registered runs last


class raised:  # noqa: N801, used like a function
    """``with raised():`` a signal raises KeyboardInterrupt."""

    def __enter__(self) -> None:
        _state.raises, _state.received, _state.lost, _state.said = True, 0, False, False

    def __exit__(self, *_: object) -> None:
        _state.raises = False


class ends_at_once:  # noqa: N801, used like a function
    """``with ends_at_once():`` the system ends this process at a signal, for calls that never come back to Python."""

    def __enter__(self) -> None:
        import threading

        self.before: dict[signal.Signals, Any] = {}
        if threading.current_thread() is not threading.main_thread():
            return  # no other thread may set a handler
        for number in WORDS:
            handler = signal.getsignal(number)
            if handler not in (signal.SIG_IGN, None):  # None: not of Python, so it can come at any time
                self.before[number] = handler
                signal.signal(number, signal.SIG_DFL)

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


def check() -> None:
    """Raises KeyboardInterrupt if a signal has come, and its exception was lost."""
    if _state.lost:
        raise KeyboardInterrupt


def caught() -> None:
    """Says that KeyboardInterrupt was caught, and that the rest is what a command does at its end."""
    _state.lost = False


def ended(write: Callable[[str], object]) -> int:
    """Writes the one line of a command that a signal has ended, and returns its exit code."""
    number = signal.Signals(_state.received or signal.SIGINT)
    if not _state.said:
        _state.said = True
        write(f"{WORDS[number]}\n")
    return 128 + number


def has_ended() -> bool:
    """If a signal has ended the command."""
    return _state.said


def _handle(number: int, frame: object) -> None:
    now = time.monotonic()
    if _state.received and now < _state.at + PATIENCE:
        return
    first, _state.at = not _state.received, now
    _state.received = _state.received or number
    if _state.raises and first:
        _state.lost = True
        raise KeyboardInterrupt
    os._exit(ended(_write))


def _write(line: str) -> None:
    """Not by way of sys.stderr, which may be in the middle of a line."""
    try:  # noqa: SIM105, contextlib is not imported here
        os.write(2, line.encode())
    except OSError:
        pass


def _finish() -> None:
    """All is done: while Python clears away, a signal would end the process without a word, as if it had failed."""
    for number in WORDS:
        signal.signal(number, signal.SIG_IGN)


def _hook(unraisable: Any) -> None:
    """A KeyboardInterrupt that was swallowed is remembered already: no traceback of it."""
    if unraisable.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(unraisable)


def _is_command() -> bool:
    """If this process is a command of this package, and no other program that imports it."""
    program = sys.argv[0] if sys.argv else ""
    if program == "-m":  # python -m imports the package before it knows the file
        return not {"tinyalexnet", "-mtinyalexnet"}.isdisjoint(sys.orig_argv)
    beside = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bench.py")
    return os.path.basename(program) == "tinyalexnet" or os.path.realpath(program) == os.path.realpath(beside)


if _is_command():
    # The package imports this file first, and what it imports next takes most of a second.
    install()
