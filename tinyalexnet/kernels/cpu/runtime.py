"""What every compiled kernel shares: how Numba compiles it, and how it may call BLAS."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numba

# Numba's np.dot calls SciPy's BLAS. It is imported here because a library can only be limited to one thread after it
# has been loaded.
import scipy.linalg.cython_blas  # noqa: F401
from numba.core import event
from threadpoolctl import ThreadpoolController

FASTMATH = frozenset({"reassoc", "contract", "nsz", "arcp"})
"""The licence that the compiler has to reorder arithmetic: all but the flags that assume away NaN and Inf."""

_OPTIONS: dict[str, Any] = {"cache": True, "fastmath": set(FASTMATH), "error_model": "numpy"}

inner = numba.njit(**_OPTIONS)
"""Decorator of a function that kernels call from inside one task."""

strict_inner = numba.njit(**{**_OPTIONS, "fastmath": False})
"""``inner`` without that licence, with which 1 / √x is an estimate and a Newton step, which is NaN at infinity.

Said explicitly: what does not say takes the flags of its caller."""

parallel = numba.njit(parallel=True, **_OPTIONS)
"""Decorator of a kernel: its ``prange`` loops are the only parallel ones."""


@inner
def run_of(part, parts, size):  # type: ignore[no-untyped-def]
    """The first of the numbers that a part has of ``size``, and the one behind its last: parts as equal as can be."""
    return size * part // parts, size * (part + 1) // parts


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[object]:
    """Holds BLAS to one thread: inside ``prange`` the tasks are the parallelism, and a second layer of it only fights.

    It also makes each product's rounding independent of the number of threads.
    """
    limited: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return limited


def most_threads() -> int:
    """How many threads Numba started with: the processors that this process may use, or NUMBA_NUM_THREADS."""
    return int(numba.config.NUMBA_NUM_THREADS)


@contextmanager
def limit_threads(count: int) -> Iterator[None]:
    """Holds the kernels to ``count`` threads."""
    before = numba.get_num_threads()
    numba.set_num_threads(count)
    try:
        yield
    finally:
        numba.set_num_threads(before)


@contextmanager
def report_compilation(on_start: Callable[[str], object], on_end: Callable[[float], object]) -> Iterator[list[str]]:
    """Tells of every kernel that is compiled meanwhile: its name when it starts, its seconds when it is done.

    The list holds the names in the end. What comes from the cache is not compiled and not told.
    """
    listener = _CompilationListener(on_start, on_end)
    with event.install_listener("numba:compile", listener):
        yield listener.names


class _CompilationListener(event.Listener):  # type: ignore[misc]
    def __init__(self, on_start: Callable[[str], object], on_end: Callable[[float], object]) -> None:
        self.names: list[str] = []
        self._on_start, self._on_end = on_start, on_end
        # Compiling a kernel compiles what it calls: only the outermost is told.
        self._starts: list[float] = []

    def on_start(self, event: event.Event) -> None:
        if not self._starts:
            function = event.data["dispatcher"].py_func
            self.names.append(f"{function.__module__.rpartition('.')[2]}.{function.__name__}")
            self._on_start(self.names[-1])
        self._starts.append(time.perf_counter())

    def on_end(self, event: event.Event) -> None:
        start = self._starts.pop()
        if not self._starts:
            self._on_end(time.perf_counter() - start)
