"""What a recorder notes, what it repeats, and the memory that it holds."""

from __future__ import annotations

import threading
import weakref
from typing import NamedTuple

import numba
import numpy as np
import pytest

from tinyalexnet.devices import device
from tinyalexnet.devices.cpu import memory, recording
from tinyalexnet.devices.cpu.memory import LEAST_BYTES
from tinyalexnet.devices.cpu.recording import Recorder, contiguous, done, joined, made, not_again
from tinyalexnet.devices.cpu.threads import SMALL_WORK, OneNumbaThread, ParallelKernel, StreamingKernel, products

LARGE = (LEAST_BYTES // 8, 3)


def kernel(function):
    return ParallelKernel(dispatcher(function))


def dispatcher(function):
    return type("Dispatcher", (), {"py_func": function, "__call__": lambda self, *a: function(*a)})()


@kernel
def add(x, y, out):
    np.add(x, y, out=out)


@pytest.fixture(autouse=True)
def running(monkeypatch):
    """As if Numba's threads served all Python threads at once: no kernel here is Numba's."""
    monkeypatch.setattr(ParallelKernel, "one_at_a_time", False)
    monkeypatch.setattr(ParallelKernel, "is_forked", False)


def place(array):
    return array.__array_interface__["data"][0]


def test_kernels_and_numpy_are_repeated_in_order_with_what_the_arrays_hold_then():
    x, y = np.arange(6.0).reshape(2, 3), np.ones((2, 3))

    def run():
        total = np.empty((2, 3))
        add(x, y, total)
        turned = contiguous(total.T)  # a copy
        both = joined([turned, turned], 1)
        done(np.multiply, both, 2, both)
        return made(np.add.reduce, both, 0)

    result, repeat = Recorder().recorded(run)
    np.testing.assert_array_equal(result, 2 * np.tile((x + y).sum(axis=1), 2))
    assert ParallelKernel.note is Recorder.active is None
    x[...], y[...] = 5 * x, 7
    repeat()
    np.testing.assert_array_equal(result, 2 * np.tile((x + y).sum(axis=1), 2))


def test_a_streaming_kernel_is_repeated_by_the_loop_that_it_had():
    called = []
    whole, alone = (dispatcher(lambda *_, name=name: called.append(name)) for name in ("whole", "alone"))
    kernel = StreamingKernel(whole, alone)
    small, large = np.zeros(10), np.zeros(1 << 16)
    _, repeat = Recorder().recorded(lambda: (kernel(small), kernel(large)))
    repeat()
    assert called == ["alone", "whole"] * 2


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="needs two threads")
def test_small_work_is_repeated_by_one_thread_and_the_number_is_restored():
    before, seen = numba.get_num_threads(), []

    def run():
        for work in (SMALL_WORK, SMALL_WORK - 1):
            with products(work):
                done(lambda: seen.append(numba.get_num_threads()))

    _, repeat = Recorder().recorded(run)
    repeat()
    assert seen == [before, 1] * 2
    assert numba.get_num_threads() == before


def test_after_a_call_that_fails_the_number_of_threads_is_what_it_was():
    before, fails = numba.get_num_threads(), [False]

    def run():
        with OneNumbaThread():
            done(lambda: 1 / (not fails[0]))

    _, repeat = Recorder().recorded(run)
    fails[0] = True
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            repeat()
        assert numba.get_num_threads() == before
    fails[0] = False
    repeat()


def test_a_view_is_not_made_again():
    """To copy it to itself would take time, and nothing else."""
    x, made_of = np.arange(6.0), []

    def view(array):
        made_of.append(1)
        return array.reshape(2, 3)

    (found, same), repeat = Recorder().recorded(lambda: (made(view, x), contiguous(x)))
    repeat()
    assert np.shares_memory(found, x)
    assert same is x
    assert made_of == [1]


class Pair(NamedTuple):
    x: np.ndarray
    factor: float


def test_memory_is_used_again_within_a_pass_and_no_array_is_kept():
    x, places, kept = np.ones(LARGE), [], []

    @kernel
    def scale(pair, lists, out):
        np.multiply(pair.x, pair.factor, out=out)
        out += lists[0][1][0]

    def run():
        y = x
        for factor in (2.0, 3.0, 5.0):
            out = memory.empty(LARGE, np.float64)
            scale(Pair(y, factor), [(0, [np.ones(3)])], out)
            places.append(place(out))
            kept.append(weakref.ref(out))
            y = out
        return y

    recorder = Recorder()
    out, repeat = recorder.recorded(run)
    assert places[0] == places[2] != places[1]
    assert [ref() is None for ref in kept] == [True, True, False]
    assert recorder._pool.held() == 2 * x.nbytes
    for value in (1.0, 4.0):
        x.fill(value)
        for block in recorder._pool._blocks:
            block.memory.fill(0xFF)
        repeat()
        np.testing.assert_array_equal(out, np.full(LARGE, ((value * 2 + 1) * 3 + 1) * 5 + 1))


def test_a_recorder_has_memory_of_its_own():
    """Nobody else gets it, however long ago it was used; results stay when the recorder is gone."""
    recorder, before = Recorder(), memory.held()
    (first, second), _ = recorder.recorded(lambda: [memory.empty(LARGE, np.float64) for _ in range(2)])
    assert recorder._pool.held() == 2 * first.nbytes
    assert memory.held() == before + 2 * first.nbytes
    free = place(first)
    del first
    other = memory.empty(LARGE, np.float64)
    assert not np.shares_memory(other, second)
    assert place(other) != free
    (third, fourth), _ = recorder.recorded(lambda: [memory.empty(LARGE, np.float64) for _ in range(2)])
    assert place(third) == free
    assert not np.shares_memory(fourth, second)
    second.fill(7)
    del recorder, third, fourth
    others = [memory.empty(LARGE, np.float64) for _ in range(3)]
    for array in others:
        array.fill(1)
    assert (second == 7).all()


def test_memory_of_a_recorder_is_not_given_back_with_the_common_one():
    x = np.ones(LARGE)

    def run():
        between = memory.empty(LARGE, np.float64)
        done(np.add, x, 1, between)
        return made(np.add.reduce, between, 0)

    out, repeat = Recorder().recorded(run)
    memory.release()
    for _ in range(memory.LIFETIME + 1):
        memory.empty(LARGE, np.uint8)
    x.fill(2)
    repeat()
    np.testing.assert_array_equal(out, np.full(3, 3.0 * len(x)))


@pytest.mark.parametrize(("more", "is_repeated"), [(-1, False), (0, True)])
def test_too_many_bytes_are_not_held(monkeypatch, more, is_repeated):
    """What is asked for after that comes from the common pool, and everything is freed as usual."""
    array = np.zeros(LARGE)
    monkeypatch.setattr(recording, "MOST_BYTES", array.nbytes)
    recorder = Recorder()
    found, repeat = recorder.recorded(
        lambda: [memory.empty(LARGE, np.float64) for _ in range(4)], 3 * array.nbytes + more
    )
    assert (repeat is not None) is is_repeated
    held = 4 * array.nbytes if is_repeated else 0
    assert recorder._pool.held() == held
    found, repeat = recorder.recorded(lambda: [memory.empty(LARGE, np.float64) for _ in range(8)], 3 * array.nbytes)
    assert repeat is None
    assert len({place(one) for one in found}) == 8
    assert recorder._pool.held() == held  # that of the recording before


def test_the_device_of_compiled_kernels_records(backend):
    hardware = device(backend)
    if backend == "cpu":
        assert hardware.can_record is not numba.config.DISABLE_JIT
        assert isinstance(hardware.recorder(), Recorder)
    else:
        assert not hardware.can_record


def test_not_again():
    recorder = Recorder()
    x = np.zeros(3)
    assert recorder.recorded(lambda: (not_again(), 5)[1]) == (5, None)
    _, repeat = recorder.recorded(lambda: done(np.add, x, 1, x))
    not_again()  # outside
    repeat()
    np.testing.assert_array_equal(x, [2, 2, 2])


def test_other_threads_are_not_noted_and_cannot_record_meanwhile():
    x, y, z = np.zeros((3, 3))
    found = []

    def other():
        done(np.add, y, 1, y)
        not_again()
        add(y, 1, y)
        found.append(memory.empty(LARGE, np.float64))
        found.append(Recorder().recorded(lambda: done(np.add, z, 1, z)))

    def run():
        done(np.add, x, 1, x)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        done(np.add, x, 1, x)

    recorder = Recorder()
    _, repeat = recorder.recorded(run)
    repeat()
    np.testing.assert_array_equal((x, y, z), [[4, 4, 4], [2, 2, 2], [1, 1, 1]])
    assert not recorder._pool.has(found[0])
    assert found[1] == (None, None)


def test_what_is_repeated_inside_of_a_recording_is_repeated_by_it_too():
    x = np.zeros(3)

    def run():
        with OneNumbaThread():
            add(x, 1, x)

    _, inner = Recorder().recorded(run)
    _, outer = Recorder().recorded(inner)
    assert Recorder().recorded(lambda: Recorder().recorded(lambda: 7))[0] == (7, None)
    outer()
    np.testing.assert_array_equal(x, [3, 3, 3])


def test_after_an_error_nothing_is_noted_and_the_next_one_records():
    recorder, x = Recorder(), np.zeros(3)
    with pytest.raises(ZeroDivisionError):
        recorder.recorded(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        recorder.recorded(lambda: (memory.empty(LARGE, np.float64), 1 / 0))
    assert ParallelKernel.note is Recorder.active is None
    assert recorder._pool.held() == 0
    assert not recorder._pool.has(memory.empty(LARGE, np.float64))
    _, repeat = recorder.recorded(lambda: add(x, 1, x))
    repeat()
    np.testing.assert_array_equal(x, [2, 2, 2])


def test_while_kernels_are_only_named_nothing_is_recorded(monkeypatch):
    monkeypatch.setattr(ParallelKernel, "instead", staticmethod(lambda kernel, types: None))
    x = np.zeros(3)
    assert Recorder().recorded(lambda: add(x, 1, x)) == (None, None)
    np.testing.assert_array_equal(x, [0, 0, 0])


def test_a_forked_process_records_although_its_parent_did():
    def run():
        recording._after_fork()  # as in the new process, which has no other thread that records
        return Recorder().recorded(lambda: add(x, 1, x))

    x = np.zeros(3)
    lock = Recorder.lock
    try:
        with lock:
            _, repeat = run()
        repeat()
    finally:
        Recorder.lock = lock
    np.testing.assert_array_equal(x, [2, 2, 2])
