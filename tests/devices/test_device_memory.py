"""The memory of device arrays, with a driver that only gives addresses: without a GPU."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from tinyalexnet.devices.cuda import arrays, driver, memory


class Addresses:
    """A driver that has ``room`` for so many pieces of memory."""

    def __init__(self, room=100):
        self.asked, self.freed, self.room, self.is_capturing = [], [], room, False

    def allocate(self, size):
        if len(self.asked) - len(self.freed) == self.room:
            raise driver.DriverError("out of memory")
        self.asked.append(size)
        return len(self.asked) << 20

    def free(self, address):
        self.freed.append(address)


@pytest.fixture
def gpu():
    return Addresses()


@pytest.fixture
def pool(gpu):
    return memory.DeviceMemoryPool(gpu)


def test_an_array_is_what_was_asked_for(pool, gpu):
    array = pool.empty((3, 5, 7), np.float64)
    assert (array.shape, array.dtype, array.ndim, array.size, array.nbytes) == ((3, 5, 7), np.float64, 3, 105, 840)
    assert len(array) == 3
    assert repr(array) == "DeviceArray(shape=(3, 5, 7), dtype=float64)"
    assert array.argument() == ("<f8 3", (0, 0, 105, 8, array.address, 3, 5, 7, 280, 56, 8))
    assert array.__cuda_array_interface__ == {
        "shape": (3, 5, 7),
        "typestr": "<f8",
        "data": (array.address, False),
        "version": 3,
    }
    assert gpu.asked == [1024]
    assert pool.empty((), np.float32).shape == ()
    assert pool.empty((4, 0), np.float32).argument()[1][2:4] == (0, 4)


def test_a_view_has_another_shape_and_the_same_elements(pool):
    array = pool.empty((4, 6), np.float32)
    assert array.reshape(4, 6) is array.reshape((4, 6)) is array
    for shape in ((24,), (2, 12), (2, 3, 4), (1, 24, 1)):
        view = array.reshape(shape)
        assert (view.shape, view.address, view.memory) == (shape, array.address, array.memory)
    assert array.reshape(-1).shape == array.flat().shape == (24,)
    assert array.reshape(3, -1).shape == (3, 8)
    assert array.flat().flat() is not array
    for wrong in ((5, 5), (-1, 5), (25,)):
        with pytest.raises(ValueError, match=r"shape is \(.*\), but must have 24 elements as \(4, 6\)"):
            array.reshape(wrong)


def test_a_new_pool_has_nothing_and_release_gives_everything_back(pool, gpu):
    array = pool.empty((300,), np.float32)
    address = array.address
    del array
    pool.release(but=frozenset({address}))
    assert gpu.freed == []
    pool.release()
    assert gpu.freed == [address]
    pool.empty((300,), np.float32)
    assert len(gpu.asked) == 2


def test_memory_is_used_again_when_nothing_refers_to_it(pool, gpu):
    first, second = pool.empty((300,), np.float32), pool.empty((300,), np.float32)
    places = {first.address, second.address}
    assert len(places) == 2
    del first, second
    again = [pool.empty((5, 60), np.float32), pool.empty((299,), np.float32)]
    assert {array.address for array in again} == places
    assert len(gpu.asked) == 2
    pool.empty((600,), np.float32)
    assert len(gpu.asked) == 3


@pytest.mark.parametrize("view", [lambda a: a.reshape(30, 10).flat(), lambda a: a.flat(), lambda a: a.reshape(2, -1)])
def test_a_view_keeps_the_memory(pool, gpu, view):
    kept = view(pool.empty((300,), np.float32))
    gc.collect()
    other = pool.empty((300,), np.float32)
    assert len(gpu.asked) == 2
    assert other.address != kept.address
    del kept
    gc.collect()
    pool.empty((300,), np.float32)
    assert len(gpu.asked) == 2


def test_a_closed_pool_keeps_nothing(pool, gpu):
    """That of a graph, whose results may live longer than the graph."""
    held, other = pool.empty((300,), np.float32), pool.empty((300,), np.float32)
    del other
    pool.close()
    assert len(gpu.freed) == 1
    del held
    assert len(gpu.freed) == 2


def test_free_memory_is_given_back_if_memory_runs_out():
    gpu = Addresses(room=3)
    pool = memory.DeviceMemoryPool(gpu)
    held = [pool.empty((100,), np.float32) for _ in range(2)]
    pool.empty((1000,), np.float32)
    held.append(pool.empty((2000,), np.float32))
    assert len(gpu.freed) == 1
    with pytest.raises(driver.DriverError, match="out of memory"):
        held.append(pool.empty((3000,), np.float32))


def test_nothing_is_given_back_while_a_step_is_captured():
    """The graph refers to it."""
    gpu = Addresses(room=2)
    pool = memory.DeviceMemoryPool(gpu)
    pool.empty((1000,), np.float32)
    held = pool.empty((2000,), np.float32)
    gpu.is_capturing = True
    with pytest.raises(driver.DriverError, match="out of memory"):
        pool.empty((3000,), np.float32)
    assert gpu.freed == []
    assert held.size == 2000


def test_sizes_are_those_that_kernels_can_count(monkeypatch):
    monkeypatch.setattr(arrays, "MAX_SIZE", 7)
    arrays.check_size("x", 7)
    with pytest.raises(ValueError, match="x has 8 elements, but may have at most 7 on a GPU: take a smaller batch"):
        arrays.check_size("x", 8)


@pytest.mark.cuda
def test_arrays_that_were_sent_are_received_by_pinned_memory(rng, monkeypatch):
    """And the host gets copies of its own, which the next exchange leaves alone."""
    values = [rng.standard_normal((3, 5)), rng.integers(0, 9, 7), np.zeros((0, 3)), rng.standard_normal(4)]
    arrays, waits, gpu = [memory.to_device(value) for value in values], [], driver.driver()
    copy = gpu.copy_to_host
    monkeypatch.setattr(
        gpu, "copy_to_host", lambda array, address, wait=True: waits.append(wait) or copy(array, address, wait)
    )
    for expected in ([True, True, True], [False, False, True]):
        waits.clear()
        found = memory.received(arrays)
        assert waits == expected
        for one, value in zip(found, values, strict=True):
            np.testing.assert_array_equal(one, value, strict=True)
        for at in (0, 1):
            values[at] = -values[at]
            memory.send(arrays[at], values[at])
        np.testing.assert_array_equal(found[0], -values[0])
