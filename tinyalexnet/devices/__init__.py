"""Devices: where arrays are and where kernels run. One object for each backend, with one interface.

``device("cuda")`` is an NVIDIA GPU; ``device("cpu")`` and ``device("reference")`` are this machine's processors. Code
above this package asks the device and never compares the names of backends.
"""

import functools
from typing import Any

import numpy as np

from .cuda.driver import choose_gpu
from .host import Device, Peak

__all__ = ["BACKENDS", "PRECISIONS", "Device", "Peak", "check_backend", "choose_gpu", "device", "to_device", "to_host"]

BACKENDS = ("reference", "cpu", "cuda")

PRECISIONS = ("float32", "tf32")
"""Of matrix products. Only a GPU has another one than "float32": ``Device.precisions``."""


def check_backend(backend: str) -> None:
    """ValueError if ``backend`` is not one of BACKENDS."""
    if backend not in BACKENDS:
        raise ValueError(f"backend is {backend!r}, but must be one of {', '.join(map(repr, BACKENDS))}")


def device(backend: str) -> Device:
    """The device of a backend.

    Errors
        ValueError if there is no such backend; ImportError if "cuda" finds no GPU, or cannot use it.
    """
    check_backend(backend)
    return _device(backend)


@functools.cache
def _device(backend: str) -> Device:
    """Imported at the first call: Numba takes most of a second, and its CUDA half needs a GPU."""
    if backend == "reference":
        return Device()
    if backend == "cpu":
        from .cpu.device import Cpu

        return Cpu()
    from .cuda.device import Cuda

    return Cuda()


def to_device(array: np.ndarray) -> Any:
    """A copy of a NumPy array on the GPU, for layers with ``backend="cuda"``; errors as ``device``."""
    return device("cuda").to_device(array)


def to_host(array: Any) -> np.ndarray:
    """A copy of a GPU's array as a NumPy array, made when the kernels that compute it are done.

    A NumPy array is returned as it is.
    """
    return array if isinstance(array, np.ndarray) else device("cuda").to_host(array)
