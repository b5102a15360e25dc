"""An NVIDIA GPU."""

import functools
import itertools
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from ..energy import GpuEnergy
from ..host import Device, Peak
from . import memory
from .arrays import DeviceArray, check_size
from .driver import DriverError, driver
from .graph import Graph
from .kernels import listening
from .precision import Within

FLOAT32_LANES = {(7, 0): 64, (7, 5): 64, (8, 0): 64}
"""Multiply-adds of float32 per clock of a multiprocessor, by compute capability; the others do 128."""

COPY_BYTES = 1 << 30
"""Bytes of the array whose copy measures the memory bandwidth: twenty times what the largest cache holds."""

COPIES = 10
"""Copies between two events: a single one is too short for the clock."""


class Cuda(Device):
    """The device of the backend "cuda".

    Errors
        ImportError if there is no GPU, or a package is missing.
    """

    name = "cuda"
    array_name = "an array on the device, made by to_device,"
    on_host = False
    compiles = True
    fixed_memory = 0
    makes_temporaries = False
    reuses_by_size = True
    precisions = ("float32", "tf32")

    def __init__(self) -> None:
        try:
            self._gpu = driver()
        except ImportError as error:
            raise ImportError(
                f"backend is 'cuda', but {error}: it needs an NVIDIA GPU, its driver, and pip install "
                "'tinyalexnet[cuda12]' or 'tinyalexnet[cuda13]'"
            ) from None

    def precision(self, precision: str) -> AbstractContextManager[None]:
        self.check_precision(precision)
        return Within(precision)

    def holds(self, array: object) -> bool:
        return isinstance(array, DeviceArray)

    def check_layout(self, name: str, array: Any) -> None:
        check_size(name, array.size)

    def is_writeable(self, array: Any) -> bool:
        return True

    def to_device(self, array: np.ndarray) -> Any:
        return memory.to_device(array)

    def to_host(self, array: Any) -> np.ndarray:
        return memory.to_host(array)

    def write(self, target: Any, array: Any) -> None:
        memory.write(target, array)

    def send(self, target: Any, array: Any) -> None:
        memory.send(target, array)

    def received(self, arrays: list[Any]) -> list[np.ndarray]:
        return memory.received(arrays)

    def number(self, value: float | tuple[float, ...], dtype: np.dtype, held: Any = None) -> Any:
        numbers = np.array(value, dtype).reshape(-1)
        if held is None:
            return memory.to_device(numbers)
        memory.send(held, numbers)
        return held

    def captured(self, step: Callable[[], Any], prepare: Callable[[], object]) -> Callable[[], Any]:
        """The step as a CUDA graph. If the driver cannot make one: the step itself, and a warning."""
        try:
            return Graph(step, prepare).replay
        except DriverError as error:
            warnings.warn(f"no CUDA graph, so each step launches its kernels one by one: {error}", stacklevel=2)
            return step

    def seconds_of(self, step: Callable[[], object]) -> float:
        """By the GPU's own clock, from an event before the step to an event behind it."""
        start = self._gpu.event()
        step()
        return self._gpu.seconds_between(start, self._gpu.event())

    def laps(
        self,
        step: Callable[[Callable[[Any], None]], object],
        prepare: Callable[[], object],
        rounds: int,
        done: Callable[[], object],
    ) -> dict[Any, list[float]]:
        """By the GPU's own clock, inside a captured step: between events that are part of the graph."""
        marks: list[tuple[Any, Any]] = []

        def lap(key: Any) -> None:
            marks.append((key, self._gpu.event()))

        def marked() -> None:
            marks.clear()
            lap(None)
            step(lap)

        replay = self.captured(marked, prepare)
        seconds: dict[Any, list[float]] = {}
        for _ in range(rounds):
            prepare()
            replay()
            self.wait()
            for (_, start), (key, end) in itertools.pairwise(marks):
                seconds.setdefault(key, []).append(self._gpu.seconds_between(start, end))
            done()
        return seconds

    def wait(self) -> None:
        self._gpu.wait()

    @contextmanager
    def report_compilation(
        self, on_start: Callable[[str], object], on_end: Callable[[float], object]
    ) -> Iterator[list[str]]:
        with listening(on_start, on_end) as names:
            yield names

    @functools.cached_property
    def _energy(self) -> Any:
        return GpuEnergy(self._gpu.bus_id)

    def place(self) -> str:
        return str(self._gpu.bus_id)

    def free_memory(self) -> int | None:
        return self._gpu.free_bytes()

    def release_memory(self) -> None:
        memory.pool().release()

    def peak(self, threads: int) -> Peak:
        """The theoretical peak at the highest clock, and the bandwidth of copies on the GPU, the best of eight runs."""
        gpu = self._gpu
        lanes = FLOAT32_LANES.get(gpu.capability, 128)
        size = min(COPY_BYTES, gpu.free_bytes() // 4)
        own = memory.DeviceMemoryPool(gpu)  # no other array is as large, so the common pool would keep them for nothing
        source, target = (own.empty((size,), np.uint8) for _ in range(2))

        def copies() -> None:
            for _ in range(COPIES):
                gpu.copy_on_device(target.address, source.address, size)

        seconds = min(self.seconds_of(copies) for _ in range(8)) / COPIES
        own.close()
        how = f"{gpu.multiprocessors} multiprocessors of {lanes} lanes at {gpu.clock // 10**6} MHz"
        return Peak(2.0 * gpu.multiprocessors * lanes * gpu.clock, 2 * size / seconds, how)

    def processor(self, threads: int) -> str:
        """The name of the GPU and its architecture."""
        return "{}, sm_{}{}".format(self._gpu.name, *self._gpu.capability)

    def launching(self, graph: bool) -> str:
        return " | each step a CUDA graph" if graph else " | each kernel launched by itself"

    def arithmetic(self, threads: int) -> str:
        return f"GPU {self.processor(threads)}, by whose clock each step is timed until it is done"
