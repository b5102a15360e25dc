"""The processors of this machine, used by compiled kernels."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np
from numba.core import event

from .. import machine
from ..host import Device
from . import ahead, memory, recording
from .compiler import CompilationListener, most_threads
from .microkernel import FEATURES


class Cpu(Device):
    """The device of the backend "cpu"."""

    name = "cpu"
    compiles = True
    fixed_memory = 200_000_000
    makes_temporaries = False
    by_image = True
    can_record = not numba.config.DISABLE_JIT  # without, there are no kernels that could be noted

    def most_threads(self) -> int:
        return most_threads()

    @contextmanager
    def limit_threads(self, count: int) -> Iterator[None]:
        before = numba.get_num_threads()
        numba.set_num_threads(count)
        try:
            yield
        finally:
            numba.set_num_threads(before)

    @contextmanager
    def report_compilation(
        self, on_start: Callable[[str], object], on_end: Callable[[float], object]
    ) -> Iterator[list[str]]:
        listener = CompilationListener(on_start, on_end)
        with event.install_listener("numba:compile", listener):
            yield listener.names

    def compile_ahead(
        self,
        run: Callable[[], object],
        on_start: Callable[[], object],
        on_end: Callable[[str, float], object],
        least: int = 2,
    ) -> None:
        if numba.config.DISABLE_JIT:
            return
        jobs = ahead.jobs_of(run)
        if len(jobs) >= least:
            on_start()
            ahead.compile_ahead(jobs, on_end, min(ahead.PROCESSES, machine.cores()))

    def recorder(self) -> recording.Recorder:
        return recording.Recorder()

    def done(self, function: Callable[..., object], *arguments: Any) -> None:
        recording.done(function, *arguments)

    def joined(self, arrays: list[np.ndarray]) -> np.ndarray:
        return recording.joined(arrays, 0)

    def arithmetic(self, threads: int) -> str:
        """The widest vectors that the products of the kernels may use: none of them calls a library."""
        features = FEATURES.split(",")
        return f"vectors of {512 if '+avx512f' in features else 256 if '+avx2' in features else 128} bits"

    def held_memory(self) -> int:
        return memory.held()

    def release_memory(self) -> None:
        memory.release()
