"""Device arrays in memory that is used again: after the second step, training allocates nothing.

Allocating is slower than many kernels, and freeing waits for all of them. Kernels run in launch order, so memory can be
used again once no Python object refers to it, directly or through a view: all its readers were launched earlier.
"""

import math
import weakref
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..machine import at_fork
from .arrays import DeviceArray, Memory
from .driver import DriverError, driver, one_at_a_time

GRAIN = 512
"""Sizes and addresses are multiples of this many bytes, as the driver's are: each array begins with a whole vector."""


class DeviceMemoryPool:
    """Memory by size, from a driver."""

    def __init__(self, gpu: Any) -> None:
        self._gpu, self._closed = gpu, False
        self._free: defaultdict[int, list[int]] = defaultdict(list)
        self.used: set[int] = set()
        """Addresses that ``empty`` has given away since this set was last cleared."""

    def empty(self, shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> DeviceArray:
        """A device array of arbitrary elements that nobody else holds."""
        kind = dtype if isinstance(dtype, np.dtype) else np.dtype(dtype)
        count = math.prod(shape)
        size = -(-count * kind.itemsize // GRAIN) * GRAIN or GRAIN
        free = self._free[size]
        address = free.pop() if free else self._new(size)
        self.used.add(address)
        return DeviceArray(Memory(address, size, self._give_back), shape, kind, count)

    def release(self, but: frozenset[int] = frozenset()) -> None:
        """Gives free memory back to the driver, except for the addresses of ``but``."""
        for free in self._free.values():
            for address in [address for address in free if address not in but]:
                free.remove(address)
                self._gpu.free(address)

    def close(self) -> None:
        """Gives free memory back to the driver, and from now on all memory as soon as nothing refers to it."""
        self._closed = True
        self.release()

    def _give_back(self, address: int, size: int) -> None:
        if self._closed:
            self._gpu.free(address)
        else:
            self._free[size].append(address)

    def _new(self, size: int) -> int:
        try:
            return int(self._gpu.allocate(size))
        except DriverError:
            if self._gpu.is_capturing:
                raise
            # The free memory may have other sizes, of a batch that is no longer computed.
            self.release()
            return int(self._gpu.allocate(size))


_pools: list[DeviceMemoryPool] = []
"""The last one serves: a graph's own while it is captured, before that the one of all other arrays."""
at_fork(after_in_child=_pools.clear)


def pool() -> DeviceMemoryPool:
    """The pool that serves ``empty`` now."""
    if not _pools:
        _pools.append(DeviceMemoryPool(driver()))
    return _pools[-1]


def empty(shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> DeviceArray:
    """A device array of arbitrary elements that nobody else holds."""
    with one_at_a_time:
        return (_pools[-1] if _pools else pool()).empty(shape, dtype)


@contextmanager
def serving(own: DeviceMemoryPool) -> Iterator[None]:
    """All arrays that are made meanwhile get memory of this pool."""
    pool()
    _pools.append(own)
    try:
        yield
    finally:
        _pools.remove(own)


def to_device(array: np.ndarray) -> DeviceArray:
    """A copy of a host array on the device."""
    host = np.asarray(array, order="C")
    target = empty(host.shape, host.dtype)
    write(target, host)
    return target


def write(target: DeviceArray, array: Any) -> None:
    """Copies the elements of an array, of the host or of the device, into ``target``.

    Errors
        ValueError if it has another shape or dtype.
    """
    host = _fitting(target, array)
    with one_at_a_time:
        target.forget()
        if host is None:
            driver().copy_on_device(target.address, array.address, target.nbytes)
        elif host.nbytes:
            driver().copy_to_device(target.address, host)


def send(target: DeviceArray, array: Any) -> None:
    """``write`` that does not wait: the elements go to pinned memory, and the GPU copies them from there when it has
    done all that it was asked before. The pinned memory is kept for the next time."""
    host = _fitting(target, array)
    if host is None or not host.nbytes:
        write(target, array)
        return
    with one_at_a_time:
        target.forget()
        gpu, staging = driver(), _staging.get(target.memory)
        if staging is None:
            staging = _staging[target.memory] = _Staging(gpu.pinned(host.nbytes))
        elif staging.sent is not None:
            gpu.wait_for(staging.sent)
        np.copyto(staging.pinned.view(host.dtype).reshape(host.shape), host)
        gpu.copy_to_device(target.address, staging.pinned, wait=False)
        staging.sent = gpu.event()


@dataclass
class _Staging:
    """Pinned memory of one device array, and the mark behind its last copy, after which the host may use it."""

    pinned: np.ndarray
    sent: Any = None

    def copied(self, array: DeviceArray) -> np.ndarray:
        """What came of the array, which has this memory."""
        with one_at_a_time:
            driver().wait_for(self.sent)
        return self.pinned.view(array.dtype).reshape(array.shape).copy()


_staging: weakref.WeakKeyDictionary[Memory, _Staging] = weakref.WeakKeyDictionary()


def _fitting(target: DeviceArray, array: Any) -> np.ndarray | None:
    """``array`` as a contiguous host array, or None if it is one of the device."""
    host = None if isinstance(array, DeviceArray) else np.asarray(array, order="C")
    given = array if host is None else host
    if (given.shape, given.dtype) != (target.shape, target.dtype):
        raise ValueError(f"array has shape {given.shape} and dtype {given.dtype}, but must have those of {target}")
    return host


def to_host(array: DeviceArray) -> np.ndarray:
    """A copy of a device array on the host, made when the kernels that compute it are done."""
    host = np.empty(array.shape, array.dtype)
    if host.nbytes:
        with one_at_a_time:
            driver().copy_to_host(host, array.address)
    return host


def received(arrays: list[DeviceArray]) -> list[np.ndarray]:
    """``to_host`` of several arrays. Those that ``send`` has written to come by way of their pinned memory, at the full
    rate of the link between GPU and host, and the GPU copies them while the host copies the ones before."""
    stagings = [_staging.get(array.memory) if array.nbytes else None for array in arrays]
    with one_at_a_time:
        for array, staging in zip(arrays, stagings, strict=True):
            if staging is not None:
                driver().copy_to_host(staging.pinned, array.address, wait=False)
                staging.sent = driver().event()
    return [
        to_host(array) if staging is None else staging.copied(array)
        for array, staging in zip(arrays, stagings, strict=True)
    ]
