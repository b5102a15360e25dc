"""The pool of host memory: used again when nothing refers to it, never while anything does."""

from __future__ import annotations

import gc
import threading
import tracemalloc

import numpy as np
import pytest

from tinyalexnet import alexnet, l2_loss
from tinyalexnet.devices.cpu import memory
from tinyalexnet.devices.cpu.memory import LEAST_BYTES, LIFETIME, HostMemoryPool

ROWS = LEAST_BYTES // 40
SHAPE = (ROWS, 11)


def address(array):
    return array.ctypes.data


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_an_array_is_as_from_numpy(dtype):
    for shape in [SHAPE, (LEAST_BYTES,), (3, 0, 4), (2, 2), ()]:
        array = HostMemoryPool().empty(shape, dtype)
        assert (array.shape, array.dtype) == (shape, dtype)
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.nbytes < LEAST_BYTES or address(array) % 64 == 0  # a line of the cache


def test_memory_is_used_again_once_nothing_refers_to_it():
    pool = HostMemoryPool()
    first = pool.empty(SHAPE, np.float32)
    place = address(first)
    del first
    second = pool.empty(SHAPE[::-1], np.float32)
    assert address(second) == place
    assert pool.held() == second.nbytes


@pytest.mark.parametrize(("cached_bytes", "for_20"), [(10**9, 40), (0, 24)], ids=["last used", "smallest"])
def test_memory_of_up_to_twice_the_size_is_taken(monkeypatch, cached_bytes, for_20):
    """If it fits a cache, the last used; otherwise the smallest."""
    monkeypatch.setattr(memory, "CACHED_BYTES", cached_bytes)
    pool = HostMemoryPool()
    arrays = [pool.empty((ROWS, columns), np.float32) for columns in (40, 24, 11)]
    places = {array.shape[1]: address(array) for array in arrays}
    del arrays
    assert pool.held() == 4 * ROWS * (40 + 24 + 11)
    for columns, found in [
        (11, 11),
        (12, 24),
        (23, 24),
        (24, 24),
        (25, 40),
        (20, for_20),
        (40, 40),
        (12, 24),
        (20, 24),
    ]:
        assert address(pool.empty((ROWS, columns), np.float32)) == places[found]
    assert pool.held() == 4 * ROWS * (40 + 24 + 11)
    larger = pool.empty((ROWS, 41), np.float32)
    assert larger.size == 41 * ROWS
    assert pool.held() == 4 * ROWS * (40 + 24 + 11 + 41)


@pytest.mark.parametrize(("columns", "taken"), [(22, True), (23, False)])
def test_memory_of_more_than_twice_the_size_is_not_taken(columns, taken):
    pool = HostMemoryPool()
    pool.empty((ROWS, columns), np.float32)
    pool.empty((ROWS, 11), np.float32)
    assert pool.held() == 4 * ROWS * (columns if taken else columns + 11)


@pytest.mark.parametrize(
    "hold",
    [
        lambda array: array,
        lambda array: array[3:, ::2].T,
        lambda array: array.reshape(-1)[5:].view(np.uint8),
        memoryview,
        lambda array: {"deep": [array[1]]},
    ],
    ids=["array", "view of a view", "other dtype", "memoryview", "in a container"],
)
def test_what_is_held_is_never_handed_out(hold):
    pool = HostMemoryPool()
    array = pool.empty(SHAPE, np.float32)
    place = address(array)
    held = hold(array)
    del array
    others = [pool.empty(SHAPE, np.float32) for _ in range(3)]
    assert place not in map(address, others)
    del held
    assert address(pool.empty(SHAPE, np.float32)) == place


def test_what_was_not_asked_for_in_a_long_time_is_given_back():
    pool = HostMemoryPool()
    old = pool.empty(SHAPE, np.float32)
    old[...] = 7
    for _ in range(LIFETIME):
        pool.empty((ROWS, 12), np.float32)
    assert pool.held() == 4 * ROWS * (11 + 12)
    pool.empty((ROWS, 12), np.float32)
    assert pool.held() == 4 * ROWS * 12
    assert (old == 7).all()


def test_release_gives_everything_back_and_leaves_arrays_alone():
    pool = HostMemoryPool()
    array = pool.empty(SHAPE, np.float32)
    array[...] = 7
    pool.release()
    assert pool.held() == 0
    pool.empty(SHAPE, np.float32)[...] = 8
    assert (array == 7).all()


def test_threads_never_share_an_array():
    pool, mistakes = HostMemoryPool(), []

    def work(number):
        for _ in range(200):
            array = pool.empty(SHAPE, np.float32)
            array[::97] = number
            if not (array[::97] == number).all():
                mistakes.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not mistakes
    assert pool.held() <= 2 * 4 * (4 * ROWS * 11)  # each thread holds its last array while it asks for the next


@pytest.mark.compiled
def test_a_step_allocates_nothing_large_after_the_first_few():
    """tracemalloc sees what NumPy allocates. The rest is dw, 10 MB in all, and copies of filters, 4 MB at most."""
    net = alexnet()
    images = np.random.default_rng(0).standard_normal((16, 227, 227, 3), dtype=np.float32)

    def step():
        _, dout = l2_loss(net.forward(images))
        net.backward(dout)

    memory.release()  # what other tests have left would grow old meanwhile
    for _ in range(8):  # a step's results are made before the last step's are let go, so that one does not suffice
        step()
    gc.collect()
    held = memory.held()
    tracemalloc.start()
    try:
        step()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert memory.held() == held > 80e6
    assert peak < 20e6


@pytest.mark.compiled
def test_results_outlive_the_steps_that_follow():
    net = alexnet()
    rng = np.random.default_rng(0)
    images = [rng.standard_normal((2, 227, 227, 3), dtype=np.float32) for _ in range(3)]
    first = net.forward(images[0])
    net.backward(first.copy())
    kept, copies = [first, *net.grads.values()], [first.copy(), *(grad.copy() for grad in net.grads.values())]
    for other in images[1:]:
        net.backward(net.forward(other).copy())
    assert all(np.array_equal(a, b) for a, b in zip(kept, copies, strict=True))
