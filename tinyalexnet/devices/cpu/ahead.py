"""Compiles kernels before they are needed, in processes of their own, into Numba's cache on disk.

Numba compiles one kernel at a time in a process, however many cores there are. So a step is run once without its
kernels, which only says which ones it calls and with which types, and other processes compile those.
``python -m tinyalexnet.devices.cpu.ahead`` is such a process.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from .compiler import ALONE, names_in
from .threads import ParallelKernel

PROCESSES = 2
"""Compilers that run at the same time, at most: each begins with what kernels have in common, so more gain little."""

ROOT = str(Path(__file__).parents[3])


class Job(NamedTuple):
    """A kernel, by the names of its module and function, and Numba's types of its arguments."""

    module: str
    name: str
    types: tuple[Any, ...]

    @property
    def title(self) -> str:
        """As a report of a compilation calls it."""
        return f"{self.module.split('.ops.')[-1].split('.devices.')[-1]}.{self.name}"

    def dispatcher(self) -> Any:
        """Numba's, which compiles it."""
        kernel = getattr(import_module(self.module), self.name.removesuffix(ALONE))
        return kernel.alone if self.name.endswith(ALONE) else kernel.compiled


def jobs_of(run: Callable[[], object]) -> list[Job]:
    """The kernels that ``run`` calls and Numba's cache does not have, those that take longest to compile first.

    They do not run, so what ``run`` computes is arbitrary; it must not change what is used afterwards.
    """
    called: dict[Job, None] = {}

    def instead(kernel: Any, types: tuple[Any, ...]) -> None:
        called[Job(kernel.py_func.__module__, kernel.py_func.__name__, types)] = None

    ParallelKernel.instead = instead
    try:
        with np.errstate(all="ignore"):
            run()
    finally:
        ParallelKernel.instead = None
    missing = [job for job in called if not _is_cached(job)]
    return sorted(missing, key=lambda job: ("winograd" in job.module, len(job.types)), reverse=True)


def names_of(jobs: list[Job]) -> list[Job]:
    """The functions that the kernels of ``jobs`` call by a name (``by_name``), if Numba's cache does not have them."""
    called = {name: None for job in jobs for name in _called_by(job)}
    return [job for job in called if not _is_cached(job)]


def _called_by(job: Job) -> list[Job]:
    return [Job(*called) for named in names_in(job.dispatcher().py_func) for called in named.jobs(job.types)]


def compile_ahead(jobs: list[Job], done: Callable[[str, float], object], processes: int) -> None:
    """Compiles all ``jobs``, so many at a time; ``done`` is told the title and the seconds of each.

    What kernels call by a name comes first, since whoever compiles such a kernel has to have that, and these kernels
    last: meanwhile the names are ready. What a process could not compile is left to whoever calls it, who will see why.
    """
    command = [sys.executable, "-m", __name__]
    path = os.pathsep.join(filter(None, (ROOT, os.environ.get("PYTHONPATH"))))
    # In a session of their own Ctrl-C does not reach them: they end when the caller does.
    how: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    compilers = [
        subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, start_new_session=True, **how)
        for _ in range(min(processes, len(jobs)))
    ]
    try:
        waiting = deque([*names_of(jobs), *sorted(jobs, key=lambda job: len(_called_by(job)) > 0)])
        threads = [threading.Thread(target=_feed, args=(one, waiting, done), daemon=True) for one in compilers]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.1)  # so that Ctrl-C is heard
    finally:
        for one in compilers:
            one.kill()
            one.wait()
            for pipe in (one.stdin, one.stdout):
                assert pipe is not None
                pipe.close()


def serve(source: BinaryIO, target: BinaryIO) -> None:
    """Compiles each job that comes from ``source``, pickled by the process that started this one."""
    while True:
        try:
            job: Job = pickle.load(source)
        except EOFError:
            return
        begin = time.perf_counter()
        job.dispatcher().compile(job.types)
        target.write(f"{time.perf_counter() - begin}\n".encode())
        target.flush()


def _feed(compiler: subprocess.Popen[bytes], waiting: deque[Job], done: Callable[[str, float], object]) -> None:
    """Gives a process one job after the other, until there are none or the process has ended."""
    assert compiler.stdin is not None
    assert compiler.stdout is not None
    try:
        while True:
            job = waiting.popleft()
            pickle.dump(job, compiler.stdin)
            compiler.stdin.flush()
            seconds = compiler.stdout.readline()
            if not seconds:
                return
            done(job.title, float(seconds))
    except (IndexError, OSError, ValueError):  # no job is left; or the process, or its pipe, is gone
        return


def _is_cached(job: Job) -> bool:
    """If Numba's cache has the kernel's code, for this source and this processor."""
    compiled = job.dispatcher()
    cache = compiled._cache
    if not hasattr(cache, "_cache_file"):
        return True  # no folder can be written to, so nobody can compile for others
    return cache._index_key(job.types, compiled.targetctx.codegen()) in cache._cache_file._load_index()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
