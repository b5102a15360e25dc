"""Numba's threads, which the Python threads of a process share, and a forked process inherits."""

import functools
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numba
import numpy as np
from numba.np.ufunc import parallel

from ..machine import at_fork

SMALL_BYTES, SMALL_WORK = 1 << 16, 1 << 17
"""What one thread reads and writes, and how many multiply-adds of matrix products it does, in the time that it takes to
wake others, some microseconds. If other programs need the cores, a second thread may wait a thousand times as long."""


class OneNumbaThread:
    """``with`` it, the kernels that this Python thread calls are not split. No bit depends on it."""

    def __enter__(self) -> None:
        if ParallelKernel.note is not None:
            ParallelKernel.note(self._enter, ())
        self._enter()

    def __exit__(self, *_: object) -> None:
        if ParallelKernel.note is not None:
            ParallelKernel.note(self._exit, ())
        self._exit()

    def _enter(self) -> None:
        get, self._set = numba_threads()
        self._before = get()
        if self._before != 1:
            self._set(1)

    def _exit(self) -> None:
        if self._before != 1:
            self._set(self._before)


_AS_IT_IS: AbstractContextManager[None] = nullcontext()


def products(multiply_adds: int) -> AbstractContextManager[None]:
    """``with`` it, a kernel is not split if it has so little work."""
    return OneNumbaThread() if multiply_adds < SMALL_WORK else _AS_IT_IS


@functools.cache
def numba_threads() -> tuple[Callable[[], int], Callable[[int], object]]:
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

    instead: Callable[[Any, tuple[Any, ...]], None] | None = None
    """Called in place of every kernel, with Numba's dispatcher and the types of the arguments: see ``ahead``."""

    note: Callable[[Callable[..., object], tuple[Any, ...]], None] | None = None
    """Called before every kernel, with what is called then, and the arguments: see ``recording``."""

    def __init__(self, compiled: Any) -> None:
        self.compiled = compiled
        functools.update_wrapper(self, compiled.py_func)

    def __call__(self, *arguments: Any) -> None:
        if ParallelKernel.instead is not None:
            ParallelKernel.instead(self.compiled, tuple(map(numba.typeof, arguments)))
            return
        if ParallelKernel.note is not None:
            ParallelKernel.note(self._run, arguments)
        self._run(*arguments)

    def _run(self, *arguments: Any) -> None:
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
        elif ParallelKernel.instead is not None:
            ParallelKernel.instead(self.alone, tuple(map(numba.typeof, arguments)))
        else:
            if ParallelKernel.note is not None:
                ParallelKernel.note(self.alone, arguments)
            self.alone(*arguments)


def call_for(size: int, kernel: Any, *arguments: Any) -> None:
    """Calls a ``streaming`` kernel that reads and writes ``size`` bytes, which its arguments alone do not tell."""
    if isinstance(kernel, StreamingKernel):
        kernel.call_for(size, *arguments)
    else:  # with NUMBA_DISABLE_JIT=1
        kernel(*arguments)


def _after_fork() -> None:
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
