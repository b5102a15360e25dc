"""The interface of a device, and the device that needs nothing but NumPy."""

import functools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from . import machine
from .energy import ProcessorEnergy

PEAK_SIZE = 2048
"""Rows and columns of the matrices whose product measures the peak."""

COPY_BYTES = 128 << 20
"""Bytes of the array whose copy measures the memory bandwidth: more than any cache holds."""


@dataclass
class Peak:
    """Float operations and bytes per second that a device reaches, on all threads.

    For a GPU, ``peak`` is the theoretical maximum and ``how`` the calculation; for a CPU it is measured.
    """

    peak: float
    bandwidth: float
    how: str = ""


class Recorder(Protocol):
    """Records passes of a network."""

    def recorded(self, run: Callable[[], Any], more_bytes: int = 0) -> tuple[Any, Callable[[], None] | None]:
        """The result of ``run()``, and a function that repeats what was computed, from what the arrays hold then.

        None in place of the function if it cannot be repeated, as if it needs more memory than some megabytes and
        ``more_bytes``.
        """


class Device:
    """The processors of this machine, used by NumPy alone: the device of the backend "reference".

    The others inherit from it and replace the methods that differ. ``on_host`` tells if NumPy can read the arrays,
    ``compiles`` if the first call of a kernel takes longer, ``fixed_memory`` the bytes of a run that do not depend on
    its batch (code, and scratch of the convolutions), ``makes_temporaries`` if an expression allocates arrays as large
    as its operands, ``reuses_by_size`` if the memory of a freed array serves arrays of the same size alone,
    ``by_image`` if a kernel gives an image the same bits in batches of all sizes, and ``can_record`` if a ``recorder``
    can repeat what the functions of ``ops`` compute here.
    """

    name = "reference"
    array_name = "a NumPy array"
    on_host = True
    compiles = False
    fixed_memory = 50_000_000
    makes_temporaries = True
    reuses_by_size = False
    by_image = False
    can_record = False
    precisions: tuple[str, ...] = ("float32",)
    """Of the matrix products of float32 arrays. "tf32": of each factor 11 bits count, in place of 24."""

    def check_precision(self, precision: str) -> None:
        """ValueError if it is not one of ``precisions``."""
        if precision not in self.precisions:
            allowed = " or ".join(map(repr, self.precisions))
            raise ValueError(f"precision is {precision!r}, but must be {allowed} on backend {self.name!r}")

    def precision(self, precision: str) -> AbstractContextManager[None]:
        """``with`` it, all matrix products have this precision; errors as ``check_precision``."""
        self.check_precision(precision)
        return nullcontext()

    def holds(self, array: object) -> bool:
        """If ``array`` is an array of this device."""
        return isinstance(array, np.ndarray)

    def check_layout(self, name: str, array: Any) -> None:
        """ValueError, which calls the array ``name``, if kernels cannot read it as it is in memory."""

    def is_writeable(self, array: Any) -> bool:
        """If a kernel can write to the array as it is in memory."""
        return bool(array.flags.c_contiguous and array.flags.writeable)

    def to_device(self, array: np.ndarray) -> Any:
        """A NumPy array as an array of this device: a copy on a GPU, the array itself on the host."""
        return array

    def to_host(self, array: Any) -> np.ndarray:
        """An array of this device as a NumPy array: a copy from a GPU, the array itself on the host."""
        found: np.ndarray = array
        return found

    def write(self, target: Any, array: np.ndarray) -> None:
        """Copies the elements of a NumPy array into ``target``, an array of this device."""
        target[...] = array

    def send(self, target: Any, array: Any) -> None:
        """``write`` without waiting for the device: it copies when it has done all that it was asked before."""
        self.write(target, array)

    def seconds_of(self, step: Callable[[], object]) -> float:
        """The time that ``step()`` takes, until all that it started is done."""
        start = time.perf_counter()
        step()
        return time.perf_counter() - start

    def received(self, arrays: list[Any]) -> list[np.ndarray]:
        """``to_host`` of several arrays, which waits once for all: quick from those that ``send`` has written to."""
        return arrays

    def number(self, value: float | tuple[float, ...], dtype: np.dtype, held: Any = None) -> Any:
        """A number as kernels take it that may be captured: itself on the host, on a GPU an array of one element.

        Several numbers are in one array. ``held``, that of the number before, is overwritten.
        """
        if not isinstance(value, tuple):
            return value
        if held is None:
            return np.array(value, dtype)
        held[...] = value
        return held

    def captured(self, step: Callable[[], Any], prepare: Callable[[], object]) -> Callable[[], Any]:
        """``step`` as a function that does the same at less cost, if the device can record it: a CUDA graph.

        All that changes from one call to the next must be in arrays: ``write`` and ``number`` change them. To record,
        the device calls ``prepare()`` and ``step()`` some times, and what they overwrite is overwritten.
        """
        return step

    def recorder(self) -> Recorder:
        """Records passes, if the device ``can_record``: a forward and its backward."""
        raise NotImplementedError

    def done(self, function: Callable[..., object], *arguments: Any) -> None:
        """``function(*arguments)``, which writes to arrays: what passes compute outside of ``ops``, and a ``recorder``
        is to repeat."""
        function(*arguments)

    def joined(self, arrays: list[np.ndarray]) -> np.ndarray:
        """``np.concatenate``, as ``done``."""
        return np.concatenate(arrays)

    def laps(
        self,
        step: Callable[[Callable[[Any], None]], object],
        prepare: Callable[[], object],
        rounds: int,
        done: Callable[[], object],
    ) -> dict[Any, list[float]]:
        """The seconds of the parts of ``step(lap)``, which calls ``lap(key)`` at the end of each part.

        ``prepare()`` runs before each of the ``rounds`` steps and ``done()`` after it.
        """
        seconds: dict[Any, list[float]] = {}
        last = 0.0

        def lap(key: Any) -> None:
            nonlocal last
            now = time.perf_counter()
            seconds.setdefault(key, []).append(now - last)
            last = now

        for _ in range(rounds):
            prepare()
            last = time.perf_counter()
            step(lap)
            done()
        return seconds

    def wait(self) -> None:
        """Waits until all that was started is done."""

    def most_threads(self) -> int:
        """The largest number of threads that ``limit_threads`` allows."""
        return machine.cores()

    def limit_threads(self, count: int) -> AbstractContextManager[object]:
        """Holds the kernels to ``count`` threads."""
        limited: AbstractContextManager[object] = threadpool_limits(count, user_api="blas")
        return limited

    @contextmanager
    def report_compilation(
        self, on_start: Callable[[str], object], on_end: Callable[[float], object]
    ) -> Iterator[list[str]]:
        """Reports each kernel that is compiled meanwhile: its name at the start, its seconds at the end.

        The list holds the names in the end.
        """
        yield []

    def compile_ahead(
        self,
        run: Callable[[], object],
        on_start: Callable[[], object],
        on_end: Callable[[str, float], object],
        least: int = 2,
    ) -> None:
        """Compiles what ``run`` will call, in several processes, if at least so many kernels are not on disk.

        ``run`` is called without its kernels, so it must not change what is used afterwards. ``on_start`` is called if
        there is something to compile, ``on_end`` with the name and the seconds of each kernel.
        """

    @functools.cached_property
    def _energy(self) -> Any:
        return ProcessorEnergy()

    def joules(self) -> float | None:
        """The energy that the device has used since some time, or None if nobody tells."""
        found: float | None = self._energy.joules()
        return found

    def place(self) -> str:
        """Which one of a machine's devices it is, where there may be several; empty for the processors."""
        return ""

    def free_memory(self) -> int | None:
        """Bytes that can still be allocated, or None if nobody tells."""
        return machine.available_memory()

    def held_memory(self) -> int:
        """Bytes that the kernels keep for activations, gradients and scratch."""
        return 0

    def release_memory(self) -> None:
        """Gives back what the kernels keep and nothing refers to."""

    def peak(self, threads: int) -> Peak:
        """The speed of a large float32 matrix product on ``threads`` threads, and of a copy: each the best of eight."""
        rng = np.random.default_rng(0)
        a, b = (rng.standard_normal((PEAK_SIZE, PEAK_SIZE), dtype=np.float32) for _ in range(2))
        product = np.empty_like(a)
        with threadpool_limits(threads, user_api="blas"):
            seconds = min(Device.seconds_of(self, lambda: np.matmul(a, b, out=product)) for _ in range(8))
        sources = np.array_split(np.zeros(COPY_BYTES, np.uint8), threads)
        targets = np.array_split(np.ones(COPY_BYTES, np.uint8), threads)
        with ThreadPoolExecutor(threads) as pool:
            copy_seconds = min(
                Device.seconds_of(self, lambda: list(pool.map(np.copyto, targets, sources))) for _ in range(8)
            )
        return Peak(2 * PEAK_SIZE**3 / seconds, 2 * COPY_BYTES / copy_seconds)

    def processor(self, threads: int) -> str:
        """The hardware, for a title."""
        return f"{threads} threads, {machine.cpu_name()}"

    def launching(self, graph: bool) -> str:
        """How kernels are started, for the end of a head; empty where they are called as functions."""
        return ""

    def arithmetic(self, threads: int) -> str:
        """The library or the hardware that computes matrix products, for the head of a report."""
        return f"BLAS {', '.join(machine.blas_names())}"
