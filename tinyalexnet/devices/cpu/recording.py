"""What a pass calls, noted once and repeated: kernels, and the work of NumPy between them.

Between two kernels are checks, views, choices and memory for results. For the same shapes all of it comes to the same
again, and for small layers it takes longer than the kernels. A recording has the calls alone, with their arguments: to
repeat it computes the same from what the same arrays hold then.

So all that a pass computes outside of kernels must go through ``done`` or ``made`` here.
"""

import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..machine import at_fork
from . import memory
from .threads import ParallelKernel, numba_threads

MOST_BYTES = 128 << 20
"""Of the memory that a recorder holds. Passes that need more take so long that Python does not count in them."""

Call = tuple[Callable[..., object], tuple[Any, ...]]


class Recorder:
    """Records passes that are repeated one after the other, as a forward and its backward.

    State
        Memory of its own, from which the arrays come that the passes make. As in a pass that is not recorded, it is
        used again once nothing refers to an array; so a recording refers to memory, and not to arrays. What is still
        there when a pass ends keeps its values until the pass is repeated.
    """

    active: "Recorder | None" = None
    """That to which kernels tell their calls."""

    lock = threading.Lock()
    """Held by the active one."""

    def __init__(self) -> None:
        self._pool = memory.HostMemoryPool(lifetime=None)
        self._calls: list[Call] | None = None
        self._most_bytes = self._thread = 0
        memory.others.add(self._pool)

    def recorded(self, run: Callable[[], Any], more_bytes: int = 0) -> tuple[Any, Callable[[], None] | None]:
        """The result of ``run()``, and a function that repeats what was called; None if that cannot be repeated.

        So it is if all passes need more memory than MOST_BYTES and ``more_bytes``, if something was ``not_again``, or
        if calls are noted already, by another thread or outside of ``run``.
        """
        if ParallelKernel.instead is not None or not Recorder.lock.acquire(blocking=False):
            return run(), None
        calls, before = None, self._pool.blocks()
        try:
            self._calls, self._most_bytes, self._thread = [], MOST_BYTES + more_bytes, threading.get_ident()
            Recorder.active, ParallelKernel.note = self, self._note
            with memory.served_by(self._empty):
                result = run()
            calls = self._calls
        finally:
            if calls is None:  # no recording refers to what has been added
                self._pool.keep(before)
            Recorder.active = ParallelKernel.note = self._calls = None
            Recorder.lock.release()
        return result, None if calls is None else functools.partial(self._repeat, calls)

    def refuse(self) -> None:
        """Says that what this thread does cannot be repeated."""
        if threading.get_ident() == self._thread:
            self._calls = None

    def _empty(self, shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> np.ndarray:
        if self._calls is None:
            return memory.common.empty(shape, dtype)
        array = self._pool.empty(shape, dtype)
        if self._pool.held() > self._most_bytes:
            self.refuse()
        return array

    def _note(self, call: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        if self._calls is not None and threading.get_ident() == self._thread:
            self._calls.append((call, tuple(map(self._unowned, arguments))))

    def _unowned(self, argument: Any) -> Any:
        """The argument; in place of arrays of the own memory, others at the same place that do not refer to it."""
        if isinstance(argument, np.ndarray):
            return np.asarray(_Place(argument)) if self._pool.has(argument) else argument
        if not isinstance(argument, (tuple, list)):
            return argument
        items = map(self._unowned, argument)
        return argument._make(items) if hasattr(argument, "_make") else tuple(items)

    def _repeat(self, calls: list[Call]) -> None:
        """All calls again. If one of them fails, the number of threads is what it was before."""
        if ParallelKernel.note is not None:
            ParallelKernel.note(self._repeat, (calls,))
        count, set_count = numba_threads()
        threads = count()
        try:
            for call, arguments in calls:
                call(*arguments)
        except BaseException:
            set_count(threads)
            raise


class _Place:
    """Where the elements of an array are."""

    def __init__(self, array: np.ndarray) -> None:
        self.__array_interface__ = array.__array_interface__


def done(function: Callable[..., object], *arguments: Any) -> None:
    """``function(*arguments)``, which writes to arrays."""
    if ParallelKernel.note is not None:
        ParallelKernel.note(function, arguments)
    function(*arguments)


def made(function: Callable[..., np.ndarray], *arguments: Any) -> np.ndarray:
    """``function(*arguments)``, a new array, or a view of one that is given. When repeated, it has the same place."""
    found = function(*arguments)
    if ParallelKernel.note is not None and not any(np.may_share_memory(found, one) for one in _arrays_in(arguments)):
        ParallelKernel.note(_make_again, (found, function, arguments))
    return found


def joined(arrays: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """``np.concatenate``."""
    return made(np.concatenate, arrays, axis)


def contiguous(array: np.ndarray) -> np.ndarray:
    """The array, if its elements follow each other in C order; else a copy."""
    if array.flags.c_contiguous:
        return array
    copy = memory.empty(array.shape, array.dtype)
    done(np.copyto, copy, array)
    return copy


def not_again() -> None:
    """Says that what happens here depends on more than arrays, and cannot be repeated."""
    if Recorder.active is not None:
        Recorder.active.refuse()


def _make_again(target: np.ndarray, function: Callable[..., np.ndarray], arguments: tuple[Any, ...]) -> None:
    np.copyto(target, function(*arguments))


def _arrays_in(arguments: Iterable[Any]) -> Iterator[np.ndarray]:
    """The arrays among arguments, also those inside of tuples and lists."""
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            yield argument
        elif isinstance(argument, (tuple, list)):
            yield from _arrays_in(argument)


def _after_fork() -> None:
    Recorder.lock, Recorder.active, ParallelKernel.note = threading.Lock(), None, None


at_fork(after_in_child=_after_fork)
