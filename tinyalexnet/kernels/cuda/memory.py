"""Device arrays, made of memory that earlier ones have left: after the second step, training asks the driver for none.

Asking takes longer than many a kernel, and giving back waits for all of them. Kernels run in the order in which they
are launched, so memory may serve a new array as soon as nothing in Python refers to the old one, nor to a view of it:
what still reads the old one comes before what will write the new one.
"""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

from .runtime import SIMULATED, cuda, write

GRAIN = 512
"""Sizes are multiples of so many bytes, as the driver's are."""


class Pool:
    """Memory by size, as ``allocate`` gives it: a device array of so many bytes."""

    def __init__(self, allocate: Callable[[int], Any]) -> None:
        self._allocate = allocate
        self._free: defaultdict[int, list[Any]] = defaultdict(list)

    def empty(self, shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> Any:
        """A C-contiguous device array of arbitrary numbers that nobody else holds."""
        count, itemsize = math.prod(shape), np.dtype(dtype).itemsize
        size = max(1, -(-count * itemsize // GRAIN)) * GRAIN
        block = self._free[size].pop() if self._free[size] else self._new(size)
        memory = block.gpu_data
        # Every view of a device array refers to its pointer, which tells when it is let go.
        pointer = cuda.cudadrv.driver.MemoryPointer(
            memory.context, memory.device_pointer, size, finalizer=functools.partial(self._free[size].append, block)
        )
        strides = tuple(itemsize * math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
        return cuda.cudadrv.devicearray.DeviceNDArray(shape, strides, dtype, gpu_data=pointer)

    def release(self) -> None:
        """Gives back what is free."""
        self._free.clear()

    def _new(self, size: int) -> Any:
        try:
            return self._allocate(size)
        except cuda.cudadrv.driver.CudaAPIError:
            # What is free may be of other sizes, of a batch that is no longer computed.
            self.release()
            return self._allocate(size)


_pool = Pool(lambda size: cuda.device_array(size, np.uint8))
empty = cuda.device_array if SIMULATED else _pool.empty


def to_device(array: np.ndarray) -> Any:
    """A copy of a host array on the device."""
    host = np.ascontiguousarray(array)
    target = empty(host.shape, host.dtype)
    write(target, host)
    return target
