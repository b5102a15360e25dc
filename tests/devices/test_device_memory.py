"""The memory of device arrays, on Numba's own classes with addresses that nobody looks at: without a GPU."""

from __future__ import annotations

import ctypes
import gc
from types import SimpleNamespace

import numpy as np
import pytest

from tinyalexnet.devices.cuda import memory, runtime
from tinyalexnet.devices.cuda.device import Cuda


@pytest.fixture
def asked():
    """The sizes that were asked for."""
    return []


@pytest.fixture
def pool(asked):
    def allocate(size):
        asked.append(size)
        return SimpleNamespace(gpu_data=SimpleNamespace(device_pointer=ctypes.c_void_p(len(asked) << 20), context=None))

    return memory.DeviceMemoryPool(allocate)


def address(array):
    return array.device_ctypes_pointer.value


def test_an_array_is_what_was_asked_for(pool, asked):
    array = pool.empty((3, 5, 7), np.float64)
    assert (array.shape, array.dtype, array.strides) == ((3, 5, 7), np.float64, (280, 56, 8))
    assert array.is_c_contiguous()
    assert asked == [1024]
    assert pool.empty((), np.float32).shape == ()


def test_elements_of_the_host_are_written_to_a_device_array():
    """In the order of the device's: a view is copied first."""
    written = []
    cuda = object.__new__(Cuda)
    cuda.write(SimpleNamespace(copy_to_device=written.append), np.arange(6).reshape(2, 3).T)
    assert written[0].flags.c_contiguous
    np.testing.assert_array_equal(written[0], [[0, 3], [1, 4], [2, 5]])


def test_a_new_pool_has_nothing_and_release_gives_everything_back(pool, asked):
    array = pool.empty((300,), np.float32)
    del array
    pool.release()
    pool.empty((300,), np.float32)
    assert len(asked) == 2


def test_memory_is_used_again_when_nothing_refers_to_it(pool, asked):
    first, second = pool.empty((300,), np.float32), pool.empty((300,), np.float32)
    places = {address(first), address(second)}
    assert len(places) == 2
    del first, second
    again = [pool.empty((5, 60), np.float32), pool.empty((299,), np.float32)]
    assert {address(array) for array in again} == places
    assert len(asked) == 2
    pool.empty((600,), np.float32)
    assert len(asked) == 3


def part(array):
    """A view that Numba takes as a slice, and asks the driver for."""
    return SimpleNamespace(gpu_data=array.gpu_data.view(80, 1200))


@pytest.mark.parametrize("view", [lambda a: a.reshape(30, 10).ravel(), part, lambda a: part(a.reshape(30, 10))])
def test_a_view_keeps_the_memory(pool, asked, view):
    kept = view(pool.empty((300,), np.float32))
    gc.collect()
    other = pool.empty((300,), np.float32)
    assert len(asked) == 2
    assert address(other) >> 20 != kept.gpu_data.device_ctypes_pointer.value >> 20
    del kept
    gc.collect()
    pool.empty((300,), np.float32)
    assert len(asked) == 2


def test_free_memory_is_given_back_if_memory_runs_out(asked):
    limit = 3

    def allocate(size):
        if len(asked) == limit:
            raise runtime.cuda.cudadrv.driver.CudaAPIError(2, "out of memory")
        asked.append(size)
        # Stands for the block: when it is let go, there is room for one more.
        block = SimpleNamespace(gpu_data=SimpleNamespace(device_pointer=ctypes.c_void_p(1 << 20), context=None))
        return Giving(block, asked)

    pool = memory.DeviceMemoryPool(allocate)
    held = [pool.empty((100,), np.float32) for _ in range(2)]
    pool.empty((1000,), np.float32)
    held.append(pool.empty((2000,), np.float32))
    with pytest.raises(runtime.cuda.cudadrv.driver.CudaAPIError):
        held.append(pool.empty((2000,), np.float32))


class Giving:
    """A block that leaves the list when it is let go."""

    def __init__(self, block, asked):
        self.gpu_data, self._asked = block.gpu_data, asked

    def __del__(self):
        self._asked.pop()
