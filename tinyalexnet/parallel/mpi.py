"""The processes of ``mpiexec``, by way of mpi4py.

All collectives run in one thread, one after the other: so their order is that of the calls, and the main thread, which
waits for their results, can be interrupted and can lose patience.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any, NoReturn, TypeVar

import numpy as np

from ..geometry import as_number
from .link import Alone, Link

T = TypeVar("T")

PATIENCE = 300.0
"""Seconds that a process waits for the others, unless the caller says otherwise."""

HEAD_START = 1.0
"""Seconds, or half of the patience, that who waits in an exchange gives to who has ended, to say so first."""

NAP = 0.005
"""Seconds between two looks if all are here, for a process that rests."""

ENDING = 5
"""Seconds that MPI has to end all processes."""

STUCK = 75
"""Exit code of a process that has waited in vain: EX_TEMPFAIL of sysexits.h."""

LAUNCHERS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
"""Where launchers of MPICH and its kin, and of Open MPI, say how many processes they have started."""


class MPILink:
    """A ``Link`` over all processes of ``mpiexec``, or over those of a communicator of mpi4py.

    In a program of its own: ``with MPILink() as link: ...``. An error in one process then shows its traceback and ends
    all; without ``with`` the others would wait for the rest of their patience.

    Errors
        ImportError if mpi4py, or an MPI for it, is missing. ValueError if the launcher belongs to another MPI than
        mpi4py, so that each process is alone; or if patience is no number. TimeoutError, which names the process, if
        the others let it wait for longer than ``patience`` seconds.
    Source
        docs/parallel.md.
    """

    def __init__(self, patience: float = PATIENCE, comm: Any = None) -> None:
        self._patience = as_number("patience", patience)
        world = _world() if comm is None else comm
        # Calls of its own must not meet those of others on the same communicator.
        self._comm, self._end = world.Dup(), world.Dup()
        self.rank, self.size = world.Get_rank(), world.Get_size()
        self.sent: Counter[str] = Counter()
        self.waited = 0.0
        self.exchanging: defaultdict[str, float] = defaultdict(float)
        self._thread = futures.ThreadPoolExecutor(1, "tinyalexnet-mpi")
        self._last: futures.Future[Any] | None = None
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
        self.abort(code if isinstance(code, int) else 1)

    def later(self, job: Callable[[], T]) -> Callable[[], T]:
        """As ``Link.later``."""
        future = self._thread.submit(job)
        self._last = future

        def wait() -> T:
            begin = time.perf_counter()
            try:
                return future.result(self._patience + min(HEAD_START, self._patience / 2))
            except futures.TimeoutError:
                raise TimeoutError(
                    f"process {self.rank} of {self.size} has waited {self._patience:g} seconds for the others, but at "
                    "least one of them is slow, stuck or gone: --patience is how long it may take"
                ) from None
            finally:
                self.waited += time.perf_counter() - begin

        return wait

    def now(self, job: Callable[[], T]) -> T:
        """As ``Link.now``."""
        return self.later(job)()

    def exchange(self, what: str, pieces: np.ndarray, to: Sequence[int], from_: Sequence[int]) -> np.ndarray:
        """As ``Link.exchange``."""
        received = np.empty(sum(from_), pieces.dtype)
        begin = time.perf_counter()
        self._comm.Alltoallv([pieces, (to, _starts(to))], [received, (from_, _starts(from_))])
        self.exchanging[what] += time.perf_counter() - begin
        self.sent[what] += pieces.itemsize * (sum(to) - to[self.rank])
        return received

    def gather(self, what: str, mine: np.ndarray, counts: Sequence[int]) -> np.ndarray:
        """As ``Link.gather``."""
        every = np.empty(sum(counts), mine.dtype)
        begin = time.perf_counter()
        self._comm.Allgatherv(mine, [every, (counts, _starts(counts))])
        self.exchanging[what] += time.perf_counter() - begin
        self.sent[what] += mine.nbytes * (self.size - 1)
        return every

    def texts(self, text: str) -> list[str]:
        """As ``Link.texts``."""
        mine = np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8)
        counts = self.gather("texts", np.array([mine.size]), [1] * self.size).tolist()
        every = self.gather("texts", mine, counts).tobytes()
        parts = (every[at : at + n] for at, n in zip(_starts(counts), counts, strict=True))
        return [part.decode("utf-8", "surrogateescape") for part in parts]

    def broadcast(self, array: np.ndarray) -> None:
        """As ``Link.broadcast``."""
        self._comm.Bcast(array)
        if self.rank == 0:
            self.sent["state"] += array.nbytes * (self.size - 1)

    def among(self, size: int) -> Link | None:
        """As ``Link.among``."""

        def divided() -> Link | None:
            comm = self._comm.Split(int(self.rank >= size), self.rank)
            if self.rank >= size:
                return None
            return Alone() if size == 1 else MPILink(self._patience, comm)

        return self.now(divided)

    def rest(self) -> None:
        """As ``Link.rest``."""

        def asleep() -> None:
            # MPI's own barrier would ask without a pause, and so keep a processor from who computes.
            all_here = self._comm.Ibarrier()
            while not all_here.Test():
                time.sleep(NAP)

        self.now(asleep)

    def close(self) -> None:
        """As ``Link.close``; ends all processes if the others do not close theirs within the patience.

        Process 0 may still draw a picture.
        """
        if self._left is None:
            self._thread.shutdown()
            if not self.all_end(self._patience):
                _say(f"process {self.rank} of {self.size} has ended before the others")
                self.abort(STUCK)

    def all_end(self, seconds: float) -> bool:
        """If all processes ask for this, or close their links, within some seconds: then each may end by itself."""
        until = time.monotonic() + seconds
        while True:
            # An exchange that is under way may never end.
            if self._left is None and (self._last is None or self._last.done()):
                self._left = self._end.Ibarrier()
            if self._left is not None and self._left.Test():
                return True
            if time.monotonic() > until:
                return False
            time.sleep(0.001)

    def abort(self, code: int) -> NoReturn:
        """Ends all processes at once, this one with the exit code; the reason must be said before."""
        sys.stdout.flush()
        sys.stderr.flush()
        # MPICH would add a line without a reason.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        if hasattr(signal, "alarm"):  # if MPI cannot end this process, the system does
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(ENDING)
        self._comm.Abort(code)
        os._exit(code)


def _starts(counts: Sequence[int]) -> list[int]:
    """Where each of some arrays begins that stand one after the other."""
    return [0, *itertools.accumulate(counts)][:-1]


def _world() -> Any:
    """All processes of the launcher."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the launcher, which is refused below
            from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ImportError(
            "processes need mpi4py and an MPI: pip install 'tinyalexnet[parallel]', or use the MPI of your cluster "
            f"({reason})"
        ) from None
    world = MPI.COMM_WORLD
    for name in LAUNCHERS:
        started = os.environ.get(name, "")
        if started.isdigit() and int(started) != world.Get_size():
            raise ValueError(
                f"{name} is {started}, but must be {world.Get_size()}, the processes that mpi4py finds: the launcher "
                f"belongs to another MPI than {MPI.Get_library_version().splitlines()[0]}"
            )
    return world


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
