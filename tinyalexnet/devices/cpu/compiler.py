"""How Numba compiles the CPU kernels. The only decorators of the package are here."""

import functools
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import numba
from numba.core import event
from numba.core.caching import Cache

from .threads import ParallelKernel, StreamingKernel

_OPTIONS: dict[str, Any] = {"cache": True, "fastmath": False, "error_model": "numpy"}
"""Without fast-math the source alone says in which order numbers are added. It matters even on one machine: a parallel
kernel that was compiled just now and the same kernel from Numba's cache are not the same machine code."""

NAMED: list[tuple[Any, Any]] = []
"""Functions that are called by a name (``by_name.Named``), each after what a kernel refers to it by."""

ALONE = "_alone"
"""At the end of the name of a kernel without a parallel loop."""


def inner(function: Any) -> Any:
    """Decorator of a function that kernels call from inside one task."""
    return _compiled(function, **_OPTIONS)


def names_in(function: Any) -> list[Any]:
    """What a kernel, and the functions in it, call by a name: of NAMED."""
    found: dict[int, Any] = {}
    waiting = [function]
    while waiting:
        one = waiting.pop()
        for name in _names(one.__code__):
            value = one.__globals__.get(name)
            if id(value) not in found:
                found[id(value)] = value
                # A compiled function, or one that is called by its name.
                inside = getattr(value, "py_func", None)
                if isinstance(inside, FunctionType):
                    waiting.append(inside)
    return [named for mark, named in NAMED if id(mark) in found]


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def parallel(function: Any) -> Any:
    """Decorator of a kernel: its ``prange`` loops are the only parallel ones."""
    kernel = _compiled(function, parallel=True, **_OPTIONS)
    # With NUMBA_DISABLE_JIT=1 it is the function itself.
    return kernel if kernel is function else ParallelKernel(kernel)


def streaming(function: Any) -> Any:
    """Like ``parallel``, for a kernel that does little with each byte of its arrays: a small call has no such loop."""
    kernel = parallel(function)
    if kernel is function:
        return kernel
    alone = FunctionType(function.__code__, function.__globals__)
    # Numba's cache knows a function by its name, whatever the options.
    alone.__module__, alone.__name__ = function.__module__, function.__name__ + ALONE
    alone.__qualname__ = function.__qualname__ + ALONE
    return StreamingKernel(kernel.compiled, _compiled(alone, **_OPTIONS))


def _compiled(function: Any, **options: Any) -> Any:
    """The kernel, kept on disk if there is a folder for that."""
    try:
        return stamped(_resilient(numba.njit(**options)(function)))
    except RuntimeError:  # Numba finds no folder: neither NUMBA_CACHE_DIR, nor that of the package, nor the user's
        _warn_of_no_cache()
        return numba.njit(**{**options, "cache": False})(function)


@functools.cache
def _warn_of_no_cache() -> None:
    warnings.warn(
        "no folder can be written to, so each start compiles all kernels: set NUMBA_CACHE_DIR to one", stacklevel=2
    )


def _resilient(dispatcher: Any) -> Any:
    """A damaged cache is made again, and one that cannot be written, as on a full disk, is left: code then compiles.

    Before it is read, what the code calls by a name is there.
    """
    cache = getattr(dispatcher, "_cache", None)
    if isinstance(cache, Cache):
        load, save = cache.load_overload, cache.save_overload

        def load_overload(*given: Any) -> Any:
            for one in names_in(dispatcher.py_func):
                one.provide_for(given[0])
            try:
                return load(*given)
            except Exception:  # unpickling may raise anything if the bytes are damaged
                with suppress(OSError):
                    cache.flush()
                return None

        def save_overload(*given: Any) -> None:
            with suppress(OSError):
                save(*given)

        cache.load_overload, cache.save_overload = load_overload, save_overload
    return dispatcher


def stamped(dispatcher: Any) -> Any:
    """Makes the cached code of a kernel invalid if any source of its operation, or of this folder, has changed.

    Numba itself looks at the file of the kernel alone, and would go on with the old code of functions and constants
    that the kernel has from other files.
    """
    cache_file = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if cache_file is not None:
        file = Path(dispatcher.py_func.__code__.co_filename)
        operation = next((folder for folder in file.parents if folder.parent.name == "ops"), Path(__file__).parent)
        cache_file._source_stamp = cache_file._source_stamp, _sources(Path(__file__).parent), _sources(operation)
    return dispatcher


@functools.cache
def _sources(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, time of the last change and size of each source in the folder."""
    stats = [(str(path.relative_to(folder)), path.stat()) for path in sorted(folder.rglob("*.py"))]
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)


@inner
def slice_bounds(index, count, size):  # type: ignore[no-untyped-def]
    """Begin and end of slice ``index``, if ``size`` elements are cut into ``count`` slices as equal as can be."""
    return size * index // count, size * (index + 1) // count


def keeps_code() -> bool:
    """If Numba found a folder that it can write compiled code to."""
    return hasattr(getattr(slice_bounds, "_cache", None), "_cache_file")


def most_threads() -> int:
    """The number of threads that Numba started with: the processors of this process, or NUMBA_NUM_THREADS."""
    return int(numba.config.NUMBA_NUM_THREADS)


class CompilationListener(event.Listener):  # type: ignore[misc]
    """Reports each kernel that Numba compiles; a kernel from the cache is not compiled and not reported."""

    def __init__(self, on_start: Callable[[str], object], on_end: Callable[[float], object]) -> None:
        self.names: list[str] = []
        self._on_start, self._on_end = on_start, on_end
        # Compiling a kernel compiles the functions that it calls: only the outermost is reported.
        self._starts: list[float] = []

    def on_start(self, event: event.Event) -> None:
        if not self._starts:
            function = event.data["dispatcher"].py_func
            module = function.__module__.split(".ops.")[-1].split(".devices.")[-1]
            self.names.append(f"{module}.{function.__name__}")
            self._on_start(self.names[-1])
        self._starts.append(time.perf_counter())

    def on_end(self, event: event.Event) -> None:
        start = self._starts.pop()
        if not self._starts:
            self._on_end(time.perf_counter() - start)
