"""Device arrays in memory that is used again: after the second step, training allocates nothing.

Allocating is slower than many kernels, and freeing waits for all of them. Kernels run in launch order, so memory can be
used again once no Python object refers to it, directly or through a view: all its readers were launched earlier.
"""

import functools
import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

from .runtime import cuda

GRAIN = 512
"""Sizes are multiples of this many bytes, as the driver's are."""


class DeviceMemoryPool:
    """Memory by size. ``allocate`` gives a device array of so many bytes."""

    def __init__(self, allocate: Callable[[int], Any]) -> None:
        self._allocate = allocate
        self._free: defaultdict[int, list[Any]] = defaultdict(list)

    def empty(self, shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> Any:
        """A C-contiguous device array of arbitrary elements that nobody else holds."""
        count, itemsize = math.prod(shape), np.dtype(dtype).itemsize
        size = max(1, -(-count * itemsize // GRAIN)) * GRAIN
        block = self._free[size].pop() if self._free[size] else self._new(size)
        memory = block.gpu_data
        # Every view of a device array refers to its pointer. Its finaliser runs when the last of them is gone.
        pointer = cuda.cudadrv.driver.MemoryPointer(
            memory.context, memory.device_pointer, size, finalizer=functools.partial(self._free[size].append, block)
        )
        strides = tuple(itemsize * math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
        return cuda.cudadrv.devicearray.DeviceNDArray(shape, strides, dtype, gpu_data=pointer)

    def release(self) -> None:
        """Gives back free memory."""
        self._free.clear()

    def _new(self, size: int) -> Any:
        try:
            return self._allocate(size)
        except cuda.cudadrv.driver.CudaAPIError:
            # The free memory may have other sizes, of a batch that is no longer computed.
            self.release()
            return self._allocate(size)


_pool = DeviceMemoryPool(lambda size: cuda.device_array(size, np.uint8))
empty = _pool.empty


def to_device(array: np.ndarray) -> Any:
    """A copy of a host array on the device."""
    host = np.asarray(array, order="C")
    target = empty(host.shape, host.dtype)
    target.copy_to_device(host)
    return target
