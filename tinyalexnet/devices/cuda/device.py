"""An NVIDIA GPU."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..host import COPY_BYTES, Device, Peak
from . import memory
from .runtime import check_size, cuda

FLOAT32_LANES = {(7, 0): 64, (7, 5): 64, (8, 0): 64}
"""Multiply-adds of float32 per clock of a multiprocessor, by compute capability; the others do 128."""


class Cuda(Device):
    """The device of the backend "cuda".

    Errors
        ImportError if Numba finds no GPU.
    """

    name = "cuda"
    array_name = "an array on the device, made by to_device,"
    on_host = False
    compiles = True
    fixed_memory = 0
    makes_temporaries = False

    def __init__(self) -> None:
        if not cuda.is_available():
            raise ImportError(
                "backend is 'cuda', but Numba finds no GPU: it needs an NVIDIA GPU, its driver, and pip install "
                "'tinyalexnet[cuda12]' or 'tinyalexnet[cuda13]'"
            )

    def holds(self, array: object) -> bool:
        return bool(cuda.cudadrv.devicearray.is_cuda_ndarray(array))

    def check_layout(self, name: str, array: Any) -> None:
        if not array.is_c_contiguous():
            raise ValueError(f"{name} is strided, but must be C-contiguous on a GPU")
        check_size(name, array.size)

    def is_writeable(self, array: Any) -> bool:
        return True

    def to_device(self, array: np.ndarray) -> Any:
        return memory.to_device(array)

    def to_host(self, array: Any) -> np.ndarray:
        host: np.ndarray = array.copy_to_host()
        return host

    def write(self, target: Any, array: np.ndarray) -> None:
        target.copy_to_device(np.asarray(array, order="C"))

    def seconds_of(self, step: Callable[[], object]) -> float:
        """By the GPU's own clock, from an event before the step to an event behind it."""
        start, end = cuda.event(), cuda.event()
        start.record()
        step()
        end.record()
        end.synchronize()
        return float(cuda.event_elapsed_time(start, end)) / 1e3

    def wait(self) -> None:
        cuda.synchronize()

    def free_memory(self) -> int | None:
        return int(cuda.current_context().get_memory_info()[0])

    def peak(self, threads: int) -> Peak:
        """The theoretical peak at the highest clock, and the bandwidth of a copy on the GPU, the best of eight."""
        gpu = cuda.get_current_device()
        count, lanes = gpu.MULTIPROCESSOR_COUNT, FLOAT32_LANES.get(tuple(gpu.compute_capability), 128)
        source, target = cuda.device_array(COPY_BYTES, np.uint8), cuda.device_array(COPY_BYTES, np.uint8)
        seconds = min(self.seconds_of(lambda: target.copy_to_device(source)) for _ in range(8))
        how = f"{count} multiprocessors of {lanes} lanes at {gpu.CLOCK_RATE // 1000} MHz"
        return Peak(2e3 * count * lanes * gpu.CLOCK_RATE, 2 * COPY_BYTES / seconds, how)

    def processor(self, threads: int) -> str:
        """The name of the GPU and its architecture."""
        gpu = cuda.get_current_device()
        text = gpu.name.decode() if isinstance(gpu.name, bytes) else gpu.name
        return f"{text}, sm_{gpu.compute_capability[0]}{gpu.compute_capability[1]}"

    def arithmetic(self, threads: int) -> str:
        return f"GPU {self.processor(threads)}, by whose clock each step is timed until it is done"
