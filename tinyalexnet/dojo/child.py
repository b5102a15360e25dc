"""The process in which a learner's code runs, and what it sends. It imports NumPy, and nothing of the package.

A request is one line of JSON, and so is its reply. Arrays travel as their bytes, and nothing is ever unpickled. The
learner's code finds an empty standard input; what it prints goes to standard error, and not among the replies.
"""

from __future__ import annotations

import base64
import inspect
import json
import linecache
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

import numpy as np

NUMBERS = "biufc"
"""Kinds of dtypes that travel: bool, integers, floats, complex."""

MOST_BYTES = 16 << 20
"""What is beyond this size stays where it is, and is only described."""

ITEM_BYTES = 16
"""What an item of a list counts."""

REFUSED = "RefusedError"
"""The type of a failure that is what the code did, and may not do while it is graded."""

DEEPEST = 8
"""Lists within lists are sent to this depth."""


@dataclass(frozen=True)
class Opaque:
    """A value that does not travel, as words: "a Tensor", "a float64 array of shape (100000, 100000)"."""

    text: str


def encode(value: object) -> Any:
    """A value as what JSON can hold."""
    return _Encoder().encode(value, 0)


class _Encoder:
    """Encodes one value, until it has used up the bytes that may be sent."""

    def __init__(self) -> None:
        self.left = MOST_BYTES

    def encode(self, value: object, depth: int) -> Any:
        self.left -= ITEM_BYTES
        if isinstance(value, (np.ndarray, np.generic)):
            return self._array(value)
        if value is None or isinstance(value, (bool, float)):
            return value
        if isinstance(value, int):
            return value if abs(value) < 2**63 else {"opaque": "an int of more than 63 bits"}
        if isinstance(value, str) and len(value) <= 1000:
            return value
        if isinstance(value, (dict, tuple, list, set, frozenset)) and depth < DEEPEST and self._fits(len(value)):
            return self._items(value, depth + 1)
        return {"opaque": with_article(type(value).__name__)}

    def _fits(self, items: int) -> bool:
        return items * ITEM_BYTES <= self.left

    def _items(self, value: Any, depth: int) -> dict[str, Any]:
        if isinstance(value, dict):
            return {"dict": [[self.encode(key, depth), self.encode(item, depth)] for key, item in value.items()]}
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [self.encode(item, depth) for item in value]}

    def _array(self, value: np.ndarray | np.generic) -> dict[str, Any]:
        array = np.asarray(value)
        if array.dtype.kind not in NUMBERS or array.nbytes > self.left:
            return {"opaque": f"{with_article(str(array.dtype))} array of shape {array.shape}"}
        self.left -= array.nbytes
        return {
            "array": base64.b64encode(array.tobytes()).decode(),
            "dtype": array.dtype.str,
            "shape": list(array.shape),
            "scalar": isinstance(value, np.generic),
        }


def decode(sent: Any) -> Any:
    """The value that ``encode`` was given; arrays are new and writeable."""
    if not isinstance(sent, dict):
        return sent
    if "opaque" in sent:
        return Opaque(str(sent["opaque"]))
    if "dict" in sent:
        return {decode(key): decode(item) for key, item in sent["dict"]}
    if "tuple" in sent:
        return tuple(decode(item) for item in sent["tuple"])
    if "list" in sent:
        return [decode(item) for item in sent["list"]]
    dtype = np.dtype(sent["dtype"])
    array = np.frombuffer(base64.b64decode(sent["array"]), dtype).reshape(sent["shape"]).copy()
    return array[()] if sent["scalar"] else array


def with_article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeio' else 'a'} {noun}"


def load(path: str, name: str) -> dict[str, Any]:
    """The names that a file of Python defines. It is compiled from its text: nothing is written beside it."""
    module = ModuleType(name)
    module.__file__ = path
    sys.modules[name] = module  # dataclasses look their module up there
    exec(compile(Path(path).read_bytes(), path, "exec", dont_inherit=True), vars(module))
    return vars(module)


def failure(error: BaseException, path: str) -> dict[str, Any]:
    """An exception as words, with the last line of the learner's own file that it came through."""
    if isinstance(error, SyntaxError) and error.filename == path:
        line: int | None = error.lineno
        message = error.msg
    else:
        # Not extract_tb, which reads the files of all frames: a guarded process may read its own alone.
        frames = traceback.walk_tb(error.__traceback__)
        lines = [line for frame, line in frames if frame.f_code.co_filename == path]
        line = lines[-1] if lines else None
        message = str(error)[:500]
    return {"type": type(error).__name__, "message": message, "line": line, "source": _source(path, line)}


def _source(path: str, line: int | None) -> str:
    """That line of the file, without its indentation."""
    linecache.checkcache(path)
    return linecache.getline(path, line).strip()[:200] if line else ""


class Learner:
    """Answers requests about the names of one file, which are ``names`` or, after the request "load", the file's."""

    def __init__(self, path: str, names: dict[str, Any] | None = None) -> None:
        self.path = path
        self.names = names or {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to a request. Exceptions of the learner's code come through."""
        do = getattr(self, f"do_{request['do']}")
        reply: dict[str, Any] = do(**{name: value for name, value in request.items() if name != "do"})
        return reply

    def do_load(self) -> dict[str, Any]:
        self.names = load(self.path, "exercise")
        return {}

    def do_value(self, name: str) -> dict[str, Any]:
        """The value of a name, if the file defines it."""
        return {"value": encode(self.names[name])} if name in self.names else {"missing": self._public()}

    def do_about(self, function: str) -> dict[str, Any]:
        """The parameters of a function: the name of each, and if it must be given. ``any``: it takes any others."""
        if function not in self.names:
            return {"missing": self._public()}
        value = self.names[function]
        if not callable(value):
            return {"value": encode(value)}
        parameters = inspect.signature(value).parameters.values()
        named = [
            [p.name, p.default is p.empty] for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        ]
        return {"parameters": named, "any": any(p.kind == p.VAR_KEYWORD for p in parameters)}

    def do_call(self, function: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """What a function returns for arguments of its own, and the arguments that it has changed."""
        given = {name: decode(value) for name, value in arguments.items()}
        returned = encode(self.names[function](**given))
        return {"returned": returned, "changed": [name for name in given if encode(given[name]) != arguments[name]]}

    def do_race(
        self, function: str, old: str, arguments: dict[str, Any], rounds: int, seconds: float
    ) -> dict[str, list[float]]:
        """Seconds of the function of that name in the file ``old`` and here, in turn; three rounds at least."""
        runs = {"old": load(old, "old")[function], "new": self.names[function]}
        took: dict[str, list[float]] = {"old": [], "new": []}
        begin = time.perf_counter()
        while len(took["new"]) < rounds and (len(took["new"]) < 3 or time.perf_counter() - begin < seconds):
            for side, run in runs.items():
                given = {name: decode(value) for name, value in arguments.items()}
                start = time.perf_counter()
                run(**given)
                took[side].append(time.perf_counter() - start)
        return took

    def _public(self) -> list[str]:
        """The functions that the file defines."""
        return [
            name for name, value in self.names.items() if inspect.isfunction(value) and value.__module__ == "exercise"
        ]


def serve(
    path: str, requests: Iterable[str], replies: TextIO, watched: Callable[[], str | None] = lambda: None
) -> None:
    """Answers each request of a file's learner; what the code raises is the reply, SystemExit and Ctrl-C too.

    ``watched`` says what the code did that it may not do, even if it hid the error.
    """
    learner = Learner(path)
    for line in requests:
        try:
            reply = learner.answer(json.loads(line))
        except BaseException as error:
            reply = {"failed": failure(error, path)}
        refused = watched()
        if refused:
            reply = {"failed": {"type": REFUSED, "message": refused, "line": None, "source": ""}}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def limit(**limits: int) -> None:
    """Sets limits of the operating system by name, such as ``AS=2 << 30`` bytes of memory, where it has them."""
    try:
        import resource
    except ImportError:
        return
    for name, value in limits.items():
        which = getattr(resource, f"RLIMIT_{name}")
        most = resource.getrlimit(which)[1]
        try:
            resource.setrlimit(which, (value if most == resource.RLIM_INFINITY else min(value, most), most))
        except (ValueError, OSError):
            continue  # macOS refuses some


def search_path(path: str, old: list[str]) -> list[str]:
    """Where imports look: as if the learner's file were run by itself, so not in the folder of this file."""
    return [str(Path(path).absolute().parent), *(entry for entry in old if entry != str(Path(__file__).parent))]


if __name__ == "__main__":
    _file, _limits, _graded = sys.argv[1:]
    import guard  # type: ignore[import-not-found] # while this folder is still on the path

    # The pipes get numbers of their own, and then 0 and 1 become an empty input and standard error.
    _requests = os.fdopen(os.dup(0), encoding="utf-8")
    _replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    sys.path[:] = search_path(_file, sys.path)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have set it to be ignored
    limit(**json.loads(_limits))
    _replies.write("{}\n")
    _replies.flush()
    _watched = guard.watch(_file, str(Path(__file__).parents[1])) if _graded else (lambda: None)
    serve(_file, _requests, _replies, _watched)
