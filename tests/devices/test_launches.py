"""Launches: the types of a kernel's arguments, and how they reach it. With --backend cuda."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from typing import NamedTuple

import numba
import numpy as np
import pytest
from numba import cuda

from tinyalexnet import to_device, to_host
from tinyalexnet.devices.cuda.driver import driver
from tinyalexnet.devices.cuda.graph import Graph
from tinyalexnet.devices.cuda.kernels import listening
from tinyalexnet.devices.cuda.memory import empty
from tinyalexnet.devices.cuda.runtime import kernel, launch, launch_blocks

pytestmark = pytest.mark.cuda


class Place(NamedTuple):
    row: int
    column: int


@kernel
def put(value, out):
    """Every element is the value."""
    index = cuda.grid(1)
    if index < out.size:
        out[index] = value


@kernel
def put_sum(first, pair, place, third, out):
    index = cuda.grid(1)
    if index < out.size:
        out[index] = first + pair[0] + 10 * pair[1] + 100 * place.row + 1000 * place.column + third


@kernel
def put_corners(x, out):
    """The first element along each axis, and the last of all."""
    if cuda.grid(1) == 0:
        out[0], out[1], out[2], out[3] = x[0, 0, 0], x[1, 0, 0], x[0, 1, 0], x[0, 0, 1]
        out[4] = x[x.shape[0] - 1, x.shape[1] - 1, x.shape[2] - 1]


@kernel
def put_identity(out):
    index = cuda.grid(1)
    if index < out.size:
        out[index] = 1000 * cuda.blockIdx.x + cuda.threadIdx.x


def found(function, *arguments, size=7, dtype=np.float64):
    out = to_device(np.zeros(size, dtype))
    launch(function, size, *arguments, out)
    return to_host(out)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, numba.int64),
        (-(2**40) - 1, numba.int64),
        (np.int32(-5), numba.int32),
        (np.uint8(200), numba.uint8),
        (np.int64(2**62), numba.int64),
        (True, numba.boolean),
        (0.1, numba.float64),
        (np.float64(0.1), numba.float64),
        (np.float32(0.1), numba.float32),
    ],
)
def test_a_number_arrives_in_its_own_type(value, expected):
    assert put.types((value,)) == (expected,)
    assert found(put, value).tolist() == [float(value)] * 7


def test_numbers_of_different_types_in_turn():
    """Each list of types has a kernel of its own; values of the same types do not."""
    values = [0.1, np.float32(0.1), 2, np.float32(0.3), -7, 0.7, True, 12]
    assert [found(put, value)[0] for value in values] == [float(value) for value in values]
    with listening(lambda name: None, lambda seconds: None) as compiled:
        ready = dict(put._ready)
        assert [found(put, value)[0] for value in (0.25, 9, np.float32(0.5))] == [0.25, 9, 0.5]
    assert put._ready == ready
    assert compiled == []


def test_tuples_and_numbers_between_arrays():
    assert found(put_sum, 0.5, (1, 2), Place(3, 4), np.float32(0.25)).tolist() == [4321.75] * 7
    assert found(put_sum, 0.5, (-1, 2), Place(row=5, column=-6), np.float32(1)).tolist() == [-5479.5] * 7
    assert put_sum.types((Place(3, 4),))[0].instance_class is Place
    assert put_sum.types(((3, 4),)) == (numba.types.UniTuple(numba.int64, 2),)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint8])
def test_arrays_arrive_with_their_shape(rng, dtype):
    x = rng.integers(0, 100, (3, 4, 5)).astype(dtype)
    on_device = to_device(x)
    assert put_corners.types((on_device,)) == (numba.types.Array(numba.from_dtype(np.dtype(dtype)), 3, "C"),)
    expected = [x[0, 0, 0], x[1, 0, 0], x[0, 1, 0], x[0, 0, 1], x[2, 3, 4]]
    assert found(put_corners, on_device, dtype=dtype).tolist() == [*expected, 0, 0]
    y = x.reshape(5, 2, 6)
    expected = [y[0, 0, 0], y[1, 0, 0], y[0, 1, 0], y[0, 0, 1], y[4, 1, 5]]
    assert found(put_corners, on_device.reshape(5, 2, 6), dtype=dtype).tolist() == [*expected, 0, 0]


def test_blocks_and_threads_are_those_that_were_asked_for():
    out = to_device(np.full(12, -1))
    launch_blocks(put_identity, (2,), 4, out)
    assert to_host(out).tolist() == [0, 1, 2, 3, 1000, 1001, 1002, 1003, -1, -1, -1, -1]


def test_no_elements_are_no_launch(monkeypatch):
    gpu = driver()
    monkeypatch.setattr(gpu, "launch", lambda *_: pytest.fail("a launch"))
    launch(put, 0, 1.0, empty((0,), np.float64))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros(3), "is a ndarray"),
        (None, "is a NoneType"),
        ("x", "is a str"),
        ([1, 2], "is a list"),
        (1j, "is a complex"),
        (np.float16(1), "is a float16"),
        ((1, 2.0), "holds a float"),
        ((1, (2, 3)), "holds a tuple"),
        ((1, None), "holds a NoneType"),
    ],
)
def test_other_arguments_are_refused(wrong, message):
    message = f"argument 0 of .*put {message}, but must be a device array, a number or a tuple of ints"
    with pytest.raises(TypeError, match=message):
        found(put, wrong)


def test_a_kernel_is_not_called():
    with pytest.raises(TypeError, match=r"put is a kernel: launch\(kernel, count, \*arguments\) runs it"):
        put(1.0, None)


def test_two_threads_launch_one_kernel_with_their_own_arguments(monkeypatch):
    """The arguments of a launch are packed into memory of the kernel, which another thread may use at any moment."""
    gpu = driver()
    launch_now = type(gpu).launch

    def slowly(self, *arguments):
        time.sleep(0.002)  # another thread comes to its turn, if it may
        launch_now(self, *arguments)

    monkeypatch.setattr(type(gpu), "launch", slowly)
    wrong = []

    def put_often(value):
        for _ in range(10):
            if not np.array_equal(found(put, value), np.full(7, value)):
                wrong.append(value)

    threads = [threading.Thread(target=put_often, args=(value,)) for value in (1.0, 2.0, 3.0)]
    found(put, 0.0)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_what_another_thread_asks_for_waits_until_a_step_is_captured():
    out, other = to_device(np.zeros(7)), to_device(np.zeros(7))
    threads = []

    def step():
        launch(put, 7, 1.0, out)
        if driver().is_capturing:
            threads.append(threading.Thread(target=lambda: launch(put, 7, 2.0, other)))
            threads[0].start()
            threads[0].join(0.05)
            assert threads[0].is_alive()

    graph = Graph(step)
    threads[0].join()
    np.testing.assert_array_equal(to_host(other), np.full(7, 2.0))
    launch(put, 7, 3.0, other)
    graph.replay()
    np.testing.assert_array_equal(to_host(other), np.full(7, 3.0))
    np.testing.assert_array_equal(to_host(out), np.full(7, 1.0))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # of a process with threads
def test_a_forked_process_says_that_it_cannot_use_the_gpu():
    driver()
    message = r"^the GPU is used in a process that was forked .*'spawn'\)$"
    with multiprocessing.get_context("fork").Pool(1) as pool, pytest.raises(RuntimeError, match=message):
        pool.apply_async(to_device, (np.ones(7),)).get(120)
    np.testing.assert_array_equal(found(put, 1.0), np.ones(7))
