"""The processes of ``mpiexec``, by way of mpi4py.

All exchanges run one after the other, in the order of the calls, and their messages never hold the main thread: it asks
if they are through. So it can be interrupted and can lose patience. What runs beside it has a thread of its own.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent import futures
from functools import partial
from typing import Any, NoReturn, TypeVar

import numpy as np

from .. import interrupts
from ..geometry import as_number
from .part import Part

T = TypeVar("T")

PATIENCE = 300.0
"""Seconds that a process waits for the others, unless the caller says otherwise."""

HEAD_START = 1.0
"""Seconds, or half of the patience, that who waits in an exchange gives to who has ended, to say so first."""

ENDING = 5
"""Seconds that MPI has to end all processes."""

YIELD: Callable[[], None] = getattr(os, "sched_yield", partial(time.sleep, 0))
"""Lets others have the processor first: there may be more processes than processors."""

STUCK = 75
"""Exit code of a process that has waited in vain: EX_TEMPFAIL of sysexits.h."""

STARTING = 60.0
"""Seconds that MPI's start may take, however short the patience is: the processes of a cluster do not start at once."""

LAUNCHERS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
"""Where launchers of MPICH and its kin, and of Open MPI, say how many processes they have started."""


class MPILink(Part):
    """A ``Link`` over all processes of ``mpiexec``, or over those of a communicator of mpi4py.

    In a program of its own: ``with MPILink() as link: ...``. An error in one process then shows its traceback and ends
    all; without ``with`` the others would wait for the rest of their patience.

    Errors
        ImportError if mpi4py, or an MPI for it, is missing. ValueError if the launcher belongs to another MPI than
        mpi4py, so that each process is alone, or MPI is for one thread; or if patience is no number. TimeoutError,
        which names the process, if the others let it wait for longer than ``patience`` seconds; in MPI's own start,
        which hears nothing, it is ended then (not before ``STARTING``), with a line on standard error. ConnectionError
        if one of them has died.
    Source
        docs/parallel.md.
    """

    def __init__(self, patience: float = PATIENCE, comm: Any = None) -> None:
        self._patience = as_number("patience", patience)
        world = _world(self._patience) if comm is None else comm
        # Calls of its own must not meet those of others on the same communicator.
        super().__init__(world.Dup(), None)
        self._end = world.Dup()
        self._thread = futures.ThreadPoolExecutor(1, "tinyalexnet-mpi")
        self._last: futures.Future[Any] | None = None
        self._open: list[Any] = []
        self._until: float | None = None
        self._left: Any = None

    def __enter__(self) -> MPILink:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        code = error.code if isinstance(error, SystemExit) else error
        if not code:
            self.close()
            return
        if error is code:
            traceback.print_exception(error)
        elif not isinstance(code, int):
            _say(str(code))
        self.abort(code if isinstance(code, int) else 1)

    def later(self, job: Callable[[], T]) -> Callable[[], T]:
        """As ``Link.later``."""
        future = self._thread.submit(job)
        self._last = future

        def wait() -> T:
            with self._waiting():
                try:
                    return future.result(self._longest)
                except futures.TimeoutError:
                    raise self._impatient() from None

        return wait

    def now(self, job: Callable[[], T]) -> T:
        """As ``Link.now``; in the thread of the caller, unless another job has not ended: a thread that must wake up
        first costs more than a small exchange."""
        if not self._is_idle():
            return self.later(job)()
        self._until = time.monotonic() + self._longest
        try:
            with self._waiting():
                return job()
        finally:
            self._until = None

    @property
    def _longest(self) -> float:
        """Seconds after which a process that waits in an exchange has no patience left."""
        return min(self._patience + min(HEAD_START, self._patience / 2), threading.TIMEOUT_MAX)

    def _impatient(self) -> TimeoutError:
        return TimeoutError(
            f"process {self.rank} of {self.size} has waited {self._patience:g} seconds for the others, but at "
            "least one of them is slow, stuck or gone: patience says how long that may take"
        )

    def _finish(self, requests: list[Any]) -> None:
        kind = type(requests[0])  # mpi4py is an extra
        try:
            if self._until is None:  # in the thread of ``later``, for which the caller waits
                kind.Waitall(requests)
                return
            self._open = requests
            while not kind.Testall(requests):
                if time.monotonic() > self._until:
                    raise self._impatient()
                YIELD()
            self._open = []
        except RuntimeError as error:  # of mpi4py
            reason = str(error).partition("\n")[0]
            raise ConnectionError(
                f"process {self.rank} of {self.size} has lost the others: one of them has died, or exchanges something "
                f"else ({reason})"
            ) from None

    def _is_idle(self) -> bool:
        return self._last is None or self._last.done()

    def close(self) -> None:
        """As ``Link.close``; ends all processes if the others do not close theirs within the patience.

        Process 0 may still draw a picture.
        """
        if self._left is None:
            if not self.all_end(self._patience):
                _say(f"process {self.rank} of {self.size} has ended before the others")
                self.abort(STUCK)
            self._thread.shutdown()

    def all_end(self, seconds: float) -> bool:
        """If all processes ask for this, or close their links, within some seconds: then each may end by itself."""
        until = time.monotonic() + seconds
        try:
            while not self._all_have_left():
                if time.monotonic() > until:
                    return False
                time.sleep(0.001)
        except RuntimeError:  # of mpi4py: one has died
            return False
        return True

    def _all_have_left(self) -> bool:
        # An exchange that is under way may never end.
        if self._left is None and self._is_idle() and all(request.Test() for request in self._open):
            self._left = self._end.Ibarrier()
        return self._left is not None and bool(self._left.Test())

    def is_first_to_speak(self) -> bool:
        """If no other process has asked: who says why all must end tells the others."""
        others = [rank for rank in range(self.size) if rank != self.rank]
        with contextlib.suppress(RuntimeError):  # of mpi4py: one has died
            if any(self._end.Iprobe(rank) for rank in others):
                return False
            self._open += [self._end.Isend(np.empty(0), rank) for rank in others]
        return True

    def abort(self, code: int) -> NoReturn:
        """Ends all processes at once, this one with the exit code; the reason must be said before."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # it may be closed
                stream.flush()
        # MPICH would add a line without a reason.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        if hasattr(signal, "alarm"):  # if MPI cannot end this process, the system does
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(ENDING)
        self._comm.Abort(code)
        os._exit(code)


def check_alone() -> None:
    """ValueError if a launcher has started several processes, which know nothing of each other."""
    for name in LAUNCHERS:
        count = _started(name)
        if count > 1:
            raise ValueError(
                f"{name} is {count}, but must be 1 without --parallel mpi: {count} trainings would write the same files"
            )


def _started(name: str) -> int:
    """How many processes a launcher says it has started in this variable; 0 if it says nothing."""
    said = os.environ.get(name, "")
    return int(said) if said.isdecimal() else 0


def _world(patience: float) -> Any:
    """All processes of the launcher."""
    try:
        # MPI's start waits for all processes, also for one that has ended, and hears no signal meanwhile.
        with interrupts.ends_at_once(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the launcher, which is refused below
            with _watched(max(patience, STARTING)):
                from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ImportError(
            "processes need mpi4py and an MPI: pip install 'tinyalexnet[parallel]', or use the MPI of your cluster "
            f"({reason})"
        ) from None
    if MPI.Query_thread() < MPI.THREAD_SERIALIZED:
        raise ValueError(f"{MPI.Get_library_version().splitlines()[0]} allows no exchange beside the main thread")
    world = MPI.COMM_WORLD
    for name in LAUNCHERS:
        started = _started(name)
        if started not in (0, world.Get_size()):
            raise ValueError(
                f"{name} is {started}, but must be {world.Get_size()}, the processes that mpi4py finds: the launcher "
                f"belongs to another MPI than {MPI.Get_library_version().splitlines()[0]}"
            )
    return world


@contextlib.contextmanager
def _watched(seconds: float) -> Iterator[None]:
    """``with`` it, another process ends this one if that takes longer: MPI's start does not come back to Python."""
    if not hasattr(os, "fork"):
        yield
        return
    ended, ending = os.pipe()
    watcher = os.fork() or _watch(ended, ending, os.getppid(), seconds)
    os.close(ended)
    try:
        yield
    finally:
        os.close(ending)
        os.waitpid(watcher, 0)


def _watch(ended: int, ending: int, process: int, seconds: float) -> NoReturn:
    """Waits until the other end of a pipe is closed, or ends who has it."""
    os.close(ending)
    found, _, _ = select.select([ended], [], [], min(seconds, threading.TIMEOUT_MAX))
    if not found:
        # Not print: a thread that this process does not have may have held the lock of the stream.
        line = f"MPI has not started within {seconds:g} seconds: at least one process is slow, stuck or gone\n"
        os.write(2, line.encode())
        os.kill(process, signal.SIGKILL)
    os._exit(0)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
