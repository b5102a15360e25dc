"""What code may not do while it is graded. Like child.py this knows NumPy, and not the package, whose files it guards.

Python tells an audit hook of each import, each file that is opened and each program that is started; a hook cannot be
removed again. This is no jail: it stops what a student would try, and the machine that grades should hold no secrets.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

ALLOWED = {*sys.stdlib_module_names, "numpy"}
"""The packages that may be imported, by the first part of their names."""

REFUSED = {
    "ctypes.": "calls into libraries",
    "os.exec": "starts another program",
    "os.fork": "starts another process",
    "os.forkpty": "starts another process",
    "os.kill": "sends signals to processes",
    "os.killpg": "sends signals to processes",
    "os.posix_spawn": "starts another program",
    "os.spawn": "starts another program",
    "os.startfile": "starts another program",
    "os.system": "starts another program",
    "pty.spawn": "starts another program",
    "subprocess.": "starts another program",
    "socket.": "uses the network",
    "os.link": "changes files",
    "os.symlink": "changes files",
    "os.remove": "changes files",
    "os.rename": "changes files",
    "os.rmdir": "changes files",
    "os.mkdir": "changes files",
    "os.truncate": "changes files",
}
"""Events, those with a dot at the end by their beginning, and what they do."""


class RefusedError(BaseException):
    """Code did what it may not do. No Exception, so that ``except Exception`` does not hide it."""


class Guard:
    """Decides about audit events. ``file`` and the stubs may be read, beside Python's own files and NumPy's."""

    def __init__(self, file: str, package: str, python: list[str]) -> None:
        self.file = os.path.realpath(file)
        self.package = os.path.realpath(package)
        # What students have anyway: an exercise of speed runs its loops again.
        self.stubs = os.path.join(self.package, "dojo", "stubs")
        self.python = [os.path.realpath(folder) for folder in python]
        self.active = True
        self.refused: list[str] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """The audit hook. It is not active while it looks itself."""
        if not self.active:
            return
        self.active = False
        try:
            reason = self.reason(event, arguments)
        finally:
            self.active = True
        if reason:
            self.refused.append(reason)
            raise RefusedError(reason)

    def reason(self, event: str, arguments: tuple[Any, ...]) -> str | None:
        """Why an event is refused, in words; None if it is not."""
        if event == "import":
            top = str(arguments[0]).partition(".")[0]
            return None if top in ALLOWED else f"imports {top} (NumPy and Python's own modules are enough)"
        if event == "open":
            return self._opened(*arguments)
        start = event.partition(".")[0] + "."
        return REFUSED.get(event) or REFUSED.get(start)

    def _opened(self, path: Any, mode: Any, flags: Any) -> str | None:
        if isinstance(path, int):
            return None
        writes = bool(flags & (os.O_WRONLY | os.O_RDWR)) if isinstance(flags, int) else "r" not in str(mode)
        if writes:
            return "writes a file"
        real = os.path.realpath(os.fsdecode(path))
        if real == self.file or _inside(real, self.stubs) or self._of_python(real):
            return None
        return "reads the package's own code" if _inside(real, self.package) else f"reads the file {Path(real).name}"

    def _of_python(self, path: str) -> bool:
        """If a path is in a folder of Python's modules, but not in the package."""
        return any(_inside(path, folder) for folder in self.python) and not _inside(path, self.package)


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


class Originals:
    """The functions of modules as they are now, to see later if one was replaced."""

    def __init__(self, modules: Mapping[str, ModuleType]) -> None:
        self.modules = modules
        self.values = {name: _functions(module) for name, module in modules.items()}

    def replaced(self) -> str | None:
        """The name of a function that is another one now; None if there is none."""
        for name, module in self.modules.items():
            now = _functions(module)
            for function, value in self.values[name].items():
                if now.get(function) is not value:
                    return f"{name}.{function}"
        return None


def _functions(module: ModuleType) -> dict[str, Callable[..., Any]]:
    return {name: value for name, value in vars(module).items() if callable(value)}


def watch(file: str, package: str) -> Callable[[], str | None]:
    """Guards this process from now on, for good. Returns a function that says what was refused, None if nothing was."""
    folders = [sys.prefix, sys.base_prefix, *(entry for entry in sys.path if "packages" in entry)]
    guard = Guard(file, package, folders)
    originals = Originals({"numpy": np, "numpy.linalg": np.linalg})
    sys.addaudithook(guard)

    def watched() -> str | None:
        replaced = originals.replaced()
        if replaced:
            return f"replaces {replaced}"
        return guard.refused[0] if guard.refused else None

    return watched
