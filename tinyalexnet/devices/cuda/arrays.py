"""Arrays on the GPU: a place in memory, a shape and a dtype. Always C-contiguous."""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

MAX_SIZE = (1 << 31) - 1
"""Elements of an array: kernels count them in 32 bits."""


def check_size(name: str, size: int) -> None:
    """ValueError if an array has more elements than kernels can count."""
    if size > MAX_SIZE:
        raise ValueError(f"{name} has {size} elements, but may have at most {MAX_SIZE} on a GPU: take a smaller batch")


class Memory:
    """A piece of device memory. When nothing refers to it any more, ``give_back`` gets its address.

    ``kept`` is what ``DeviceArray.keep`` was given of the elements.
    """

    __slots__ = ("__weakref__", "_give_back", "address", "kept", "size")

    def __init__(self, address: int, size: int, give_back: Callable[[int, int], None]) -> None:
        self.address, self.size, self._give_back = address, size, give_back
        self.kept: dict[Any, Any] = {}

    def __del__(self) -> None:
        self._give_back(self.address, self.size)


@functools.cache
def _kind(dtype: np.dtype, ndim: int) -> str:
    """One string for each pair: a string is hashed once, and launches look it up again and again."""
    return f"{dtype.str} {ndim}"


class DeviceArray:
    """A C-contiguous array in the memory of the GPU; ``to_device`` makes it, ``to_host`` reads it.

    State
        ``shape``, ``dtype``, ``size``, ``ndim``, ``nbytes`` as NumPy's; ``memory``, which all views of one array share.
        Made when they are first asked for: ``flat``, and ``argument`` for launches.
    """

    _argument: tuple[str, tuple[int, ...]] | None = None
    _flat: "DeviceArray | None" = None

    def __init__(self, memory: Memory, shape: tuple[int, ...], dtype: np.dtype, size: int) -> None:
        self.memory, self.shape, self.dtype, self.size = memory, shape, dtype, size

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def address(self) -> int:
        """Of the first element."""
        return self.memory.address

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """For CuPy, PyTorch and Numba, which can then read the array where it is."""
        return {"shape": self.shape, "typestr": self.dtype.str, "data": (self.address, False), "version": 3}

    def reshape(self, *shape: Any) -> "DeviceArray":
        """A view of the same elements in another shape; one size may be -1.

        Errors
            ValueError if the sizes do not fit.
        """
        if len(shape) == 1 and not isinstance(shape[0], int):
            shape = tuple(shape[0])
        if -1 in shape:
            rest = -math.prod(shape)
            shape = tuple(self.size // max(rest, 1) if size == -1 else size for size in shape)
        if shape == self.shape:
            return self
        if math.prod(shape) != self.size:
            raise ValueError(f"shape is {shape}, but must have {self.size} elements as {self.shape}")
        return DeviceArray(self.memory, shape, self.dtype, self.size)

    def flat(self) -> "DeviceArray":
        """A view with one axis, as most kernels take an array; the array itself if it has one."""
        if len(self.shape) == 1:
            return self
        flat = self._flat
        if flat is None:
            dtype, size = self.dtype, self.size
            flat = self._flat = DeviceArray(self.memory, (size,), dtype, size)
            itemsize = dtype.itemsize
            flat._argument = _kind(dtype, 1), (0, 0, size, itemsize, self.memory.address, size, itemsize)
        return flat

    def argument(self) -> tuple[str, tuple[int, ...]]:
        """For launches: dtype and rank in one word, and the numbers that stand for the array in a kernel's arguments.

        These are, in Numba's order: two unused pointers, elements, bytes of one, address, shape, strides.
        """
        if self._argument is None:
            itemsize, shape = self.dtype.itemsize, self.shape
            strides = [itemsize] * len(shape)
            for axis in range(len(shape) - 1, 0, -1):
                strides[axis - 1] = strides[axis] * shape[axis]
            numbers = 0, 0, self.size, itemsize, self.memory.address, *shape, *strides
            self._argument = _kind(self.dtype, len(shape)), numbers
        return self._argument

    def keep(self, key: Any, value: Any) -> None:
        """Keeps what a forward has computed of these elements, for ``kept`` of its backward."""
        self.memory.kept[self.shape, key] = value

    def kept(self, key: Any) -> Any:
        """What ``keep`` was given under that key, once; None if there is nothing, or the elements have changed."""
        return self.memory.kept.pop((self.shape, key), None)

    def forget(self) -> None:
        """To be called by whoever changes the elements; all views forget too."""
        self.memory.kept.clear()

    def __reduce__(self) -> Any:
        """A copy, or what was pickled, has memory of its own."""
        from .memory import to_device, to_host

        return to_device, (to_host(self),)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype})"
