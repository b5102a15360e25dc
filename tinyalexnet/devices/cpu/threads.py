"""What the Python threads of a process share, and a forked process inherits: the threads of BLAS and those of Numba."""

import functools
import itertools
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np

# Numba calls SciPy's BLAS. It is imported here because a library can only be limited to one thread after it
# has been loaded.
import scipy.linalg.cython_blas  # noqa: F401
from numba.np.ufunc import parallel
from threadpoolctl import ThreadpoolController

from ..machine import at_fork

SMALL_BYTES, SMALL_WORK = 1 << 16, 1 << 17
"""What one thread reads and writes, and how many multiply-adds of matrix products it does, in the time that it takes to
wake others, some microseconds. If other programs need the cores, a second thread may wait a thousand times as long."""


class Blas(NamedTuple):
    """What tells and sets the number of threads of a library with BLAS."""

    threads: Callable[[], int]
    set_threads: Callable[[int], object]


@functools.cache
def _libraries() -> list[Blas]:
    """The libraries with BLAS that kernels may call: SciPy's own where it has one, as from PyPI, else all."""
    every = [library for library in ThreadpoolController().lib_controllers if library.user_api == "blas"]
    own = [library for library in every if "scipy.libs" in Path(library.filepath).parts]
    return [_blas(library) for library in own or every]


def _blas(library: Any) -> Blas:
    """OpenBLAS's own functions, unless its threads are OpenMP's. In threadpoolctl 3.8 one Python thread alone can set
    their number, the first that does; the calls of others do nothing."""
    if library.internal_api == "openblas" and library.threading_layer != "openmp":
        for prefix, suffix in itertools.product(("", "scipy_"), ("", "64_", "_64")):
            names = [f"{prefix}openblas_{what}_num_threads{suffix}" for what in ("get", "set")]
            if all(hasattr(library.dynlib, name) for name in names):
                return Blas(*(getattr(library.dynlib, name) for name in names))
    return Blas(library.get_num_threads, library.set_num_threads)


class Limited:
    """BLAS at one thread, as by a context of threadpoolctl, in a tenth of its time: each product needs it."""

    def __init__(self) -> None:
        self._before = [(library, library.threads()) for library in _libraries()]
        for library, threads in self._before:
            if threads != 1:
                library.set_threads(1)

    def restore_original_limits(self) -> None:
        """As many threads as before."""
        for library, threads in self._before:
            if threads != 1:
                library.set_threads(threads)


class OneBlasThread:
    """``with`` it, BLAS is held to one thread; when the last Python thread leaves, it has as many as before."""

    def __init__(self, limit: Callable[[], Any]) -> None:
        self._limit, self._limited = limit, None
        self._lock, self._inside = threading.Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._limited = self._limit()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._restore()

    def _restore(self) -> None:
        if self._limited is not None:
            self._limited.restore_original_limits()
            self._limited = None

    def after_fork(self) -> None:
        """In the new process the other threads, which were inside, do not exist."""
        self._lock, self._inside = threading.Lock(), 0
        self._restore()


_one_blas_thread = OneBlasThread(Limited)


def one_blas_thread() -> OneBlasThread:
    """Holds BLAS to one thread: the tasks of a ``prange`` are the parallelism, and a second layer would fight with it.

    It also makes the rounding of each product independent of the number of threads.
    """
    return _one_blas_thread


class OneNumbaThread:
    """``with`` it, the kernels that this Python thread calls are not split. No bit depends on it."""

    def __enter__(self) -> None:
        get, self._set = _numba_threads()
        self._before = get()
        if self._before != 1:
            self._set(1)

    def __exit__(self, *_: object) -> None:
        if self._before != 1:
            self._set(self._before)


_AS_IT_IS: AbstractContextManager[None] = nullcontext()


class _SmallProducts(OneNumbaThread):
    def __enter__(self) -> None:
        _one_blas_thread.__enter__()
        super().__enter__()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        _one_blas_thread.__exit__()


def products(multiply_adds: int) -> AbstractContextManager[None]:
    """``with`` it, a kernel is not split if it has so little work."""
    return OneNumbaThread() if multiply_adds < SMALL_WORK else _AS_IT_IS


def blas_products(multiply_adds: int) -> AbstractContextManager[None]:
    """The same for a kernel that calls BLAS: ``one_blas_thread`` too."""
    return _SmallProducts() if multiply_adds < SMALL_WORK else _one_blas_thread


@functools.cache
def _numba_threads() -> tuple[Callable[[], int], Callable[[int], object]]:
    """What tells and sets Numba's threads: the functions without its checks of the argument, a third of the time."""
    numba.get_num_threads()  # which starts them
    get: Callable[[], int] = getattr(parallel, "_get_num_threads", numba.get_num_threads)
    put: Callable[[int], object] = getattr(parallel, "_set_num_threads", numba.set_num_threads)
    return get, put


class ParallelKernel:
    """A kernel whose loops run on Numba's threads; ``compiled`` is Numba's dispatcher.

    Errors
        RuntimeError in a process that was forked from one whose kernels had run, if Numba's threads are those of GNU
        OpenMP. Numba would end the process, and a ``multiprocessing.Pool`` would wait for it without end.
    """

    is_forked = False
    """If this process was forked, and so has no threads of GNU OpenMP."""

    one_at_a_time: bool | None = None
    """If Numba's threads serve one Python thread at a time; None until the first kernel has started them."""

    lock = threading.Lock()

    record: Callable[[Any, tuple[Any, ...]], None] | None = None
    """Called in place of every kernel, with Numba's dispatcher and the types of the arguments: see ``ahead``."""

    def __init__(self, compiled: Any) -> None:
        self.compiled = compiled
        functools.update_wrapper(self, compiled.py_func)

    def __call__(self, *arguments: Any) -> None:
        if ParallelKernel.record is not None:
            ParallelKernel.record(self.compiled, tuple(map(numba.typeof, arguments)))
            return
        if ParallelKernel.is_forked:
            raise RuntimeError(
                "a compiled kernel is called in a process that was forked after kernels had run, but must be called "
                "in one of multiprocessing.get_context('spawn'), or with NUMBA_THREADING_LAYER=workqueue"
            )
        if ParallelKernel.one_at_a_time is False:
            self.compiled(*arguments)
            return
        with ParallelKernel.lock:
            self.compiled(*arguments)
        ParallelKernel.one_at_a_time = _layer()[0] == "workqueue"


class StreamingKernel(ParallelKernel):
    """A kernel whose loop is an ordinary one if its arrays have fewer than ``SMALL_BYTES``.

    ``alone`` is Numba's dispatcher for that. To call it takes less than half a microsecond, and to start a parallel
    loop, of one thread too, two. No bit depends on it.
    """

    def __init__(self, compiled: Any, alone: Any) -> None:
        super().__init__(compiled)
        self.alone = alone

    def __call__(self, *arguments: Any) -> None:
        size = 0
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                size += argument.nbytes
        self.call_for(size, *arguments)

    def call_for(self, size: int, *arguments: Any) -> None:
        """As a call with arrays of so many bytes."""
        if size >= SMALL_BYTES:
            super().__call__(*arguments)
        elif ParallelKernel.record is not None:
            ParallelKernel.record(self.alone, tuple(map(numba.typeof, arguments)))
        else:
            self.alone(*arguments)


def call_for(size: int, kernel: Any, *arguments: Any) -> None:
    """Calls a ``streaming`` kernel that reads and writes ``size`` bytes, which its arguments alone do not tell."""
    if isinstance(kernel, StreamingKernel):
        kernel.call_for(size, *arguments)
    else:  # with NUMBA_DISABLE_JIT=1
        kernel(*arguments)


def _after_fork() -> None:
    _one_blas_thread.after_fork()
    ParallelKernel.lock = threading.Lock()
    ParallelKernel.is_forked = _layer() == ("omp", "GNU")


def _layer() -> tuple[str, str]:
    """The kind of Numba's threads, and whose library they are if they are OpenMP's; "" before any kernel has run."""
    try:
        layer = numba.threading_layer()
    except ValueError:
        return "", ""
    if layer != "omp":
        return layer, ""
    # Numba has loaded it, since its threads run.
    return layer, str(sys.modules["numba.np.ufunc.omppool"].openmp_vendor)


at_fork(after_in_child=_after_fork)
