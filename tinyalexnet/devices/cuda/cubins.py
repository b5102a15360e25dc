"""Machine code on disk: what one process has compiled, the next one loads.

A file's name is a digest of all that the code depends on: the kernel with every function and constant that it refers
to, the types of its arguments, the sources of this package's GPU code, the versions of Python, Numba and its CUDA half,
the driver and the architecture. So a change finds no file, and compiles. Each file begins with the digest of the rest:
a damaged one is compiled again. If the folder cannot be written to, nothing is kept.
"""

import functools
import hashlib
import os
import platform
import types
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from ...files import replacing
from .driver import Driver

DIGEST = 32
"""Bytes of a SHA-256."""


def folder() -> Path:
    """``TINYALEXNET_CACHE``, or a folder of the user's cache."""
    if chosen := os.environ.get("TINYALEXNET_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    return Path(base) / "tinyalexnet"


def place(function: Any, bounds: Any, arguments: tuple[Any, ...], gpu: Driver) -> Path:
    """The file of a kernel for these types of arguments on this GPU."""
    digest = hashlib.sha256(_circumstances().encode())
    for part in (gpu.version, gpu.capability, bounds, arguments, *_parts(function, set())):
        digest.update(f"{part}\0".encode())
    return folder() / f"{function.__name__.lstrip('_')}-{digest.hexdigest()[:40]}.cubin"


def read(path: Path) -> tuple[str, bytes] | None:
    """The kernel's name in the machine code, and the code; None if there is no such file, or a damaged one."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, rest = content[:DIGEST], content[DIGEST:]
    if hashlib.sha256(rest).digest() != digest:
        return None
    name, _, code = rest.partition(b"\n")
    return name.decode(), code


def write(path: Path, name: str, code: bytes) -> None:
    """Keeps machine code, if the folder can be written to."""
    rest = name.encode() + b"\n" + code
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(hashlib.sha256(rest).digest() + rest)
    except OSError:
        pass


@functools.cache
def _circumstances() -> str:
    """Versions, and the sources of the GPU's code: an edit of any of them compiles all kernels again."""
    package = Path(__file__).parents[2]
    sources = [*Path(__file__).parent.glob("*.py"), *(package / "ops").rglob("*.py")]
    digest = hashlib.sha256()
    for source in sorted(sources):
        digest.update(source.read_bytes())
    versions = platform.python_version(), *map(_version, ("numba", "numba-cuda", "llvmlite"))
    return f"{versions} {digest.hexdigest()}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _parts(value: Any, seen: set[int]) -> Iterator[str]:
    """Everything that distinguishes one kernel from another made by the same lines: code, constants, functions."""
    function = getattr(value, "py_func", None) or getattr(value, "_defn", None) or value
    if isinstance(function, types.FunctionType):
        if id(function) not in seen:
            seen.add(id(function))
            for cell in function.__closure__ or ():
                yield from _parts(cell.cell_contents, seen)
            yield from _of_code(function.__code__, function.__globals__, seen)
    elif isinstance(value, (tuple, list)):
        yield f"{type(value).__name__} {len(value)}"
        for part in value:
            yield from _parts(part, seen)
    elif isinstance(value, types.ModuleType):
        yield value.__name__
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype} {value.shape} {value.tobytes().hex()}"
    else:
        text = repr(value)
        # An address differs from process to process; the kind of such an object is all that counts.
        yield type(value).__qualname__ if " at 0x" in text else text


def _of_code(code: types.CodeType, names: dict[str, Any], seen: set[int]) -> Iterator[str]:
    yield code.co_code.hex()
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _of_code(constant, names, seen)
        else:
            yield repr(constant)
    for name in code.co_names:
        yield name
        if name in names:
            yield from _parts(names[name], seen)
