"""What threads share and forked processes inherit: Numba's threads, the memory pool's lock."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import numba
import numpy as np
import pytest

from tinyalexnet.devices.cpu import memory, threads
from tinyalexnet.devices.cpu.threads import ParallelKernel, StreamingKernel

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@pytest.mark.parametrize(("more", "split"), [(-1, False), (0, True)])
def test_few_products_hold_numba_to_one_thread(more, split):
    before = numba.get_num_threads()

    def fails():
        with threads.products(threads.SMALL_WORK + more):
            assert numba.get_num_threads() == (before if split else 1)
            with threads.products(0):
                assert numba.get_num_threads() == 1
            assert numba.get_num_threads() == (before if split else 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert numba.get_num_threads() == before


@pytest.fixture
def kernels(monkeypatch):
    """The state before any kernel has run; gives a setter of what Numba says of its threads."""
    monkeypatch.setattr(ParallelKernel, "one_at_a_time", None)
    monkeypatch.setattr(ParallelKernel, "is_forked", False)
    monkeypatch.setattr(ParallelKernel, "lock", threading.Lock())

    def say(layer, vendor="GNU"):
        def threading_layer():
            if not layer:
                raise ValueError("Threading layer is not initialized.")
            return layer

        monkeypatch.setattr(threads.numba, "threading_layer", threading_layer)
        monkeypatch.setitem(sys.modules, "numba.np.ufunc.omppool", SimpleNamespace(openmp_vendor=vendor))

    return say


def kernel(function):
    return ParallelKernel(type("Dispatcher", (), {"py_func": function, "__call__": lambda self, *a: function(*a)})())


@pytest.mark.parametrize(("layer", "waits"), [("workqueue", True), ("omp", False), ("tbb", False)])
def test_kernels_of_two_threads_take_turns_where_numba_needs_it(kernels, layer, waits):
    kernels(layer)
    held = []
    run = kernel(lambda: held.append(ParallelKernel.lock.locked()))
    run()
    run()
    # The first call starts Numba's threads, and only then does it say which they are.
    assert held == [True, waits]


@pytest.mark.parametrize(
    ("layer", "vendor", "refused"),
    [
        ("omp", "GNU", True),
        ("omp", "Intel", False),
        ("workqueue", "GNU", False),
        ("tbb", "GNU", False),
        ("", "", False),
    ],
)
def test_after_a_fork_a_kernel_that_cannot_run_says_so(kernels, layer, vendor, refused):
    kernels(layer, vendor)
    calls = []
    run = kernel(lambda: calls.append(1))
    ParallelKernel.lock.acquire()  # as another thread did
    threads._after_fork()
    kernels("workqueue")
    if refused:
        with pytest.raises(RuntimeError, match=r"^a compiled kernel is called in a process .*'spawn'.*workqueue$"):
            run()
    else:
        run()
    assert len(calls) == (not refused)


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # of a process with threads: that is the test
def test_a_fork_while_another_thread_asks_for_memory_leaves_the_pool_usable():
    stop = threading.Event()

    def ask():
        # coverage.py has a lock of its own: a child that is forked while this thread holds it would wait for ever.
        sys.settrace(None)
        while not stop.is_set():
            memory.empty((memory.LEAST_BYTES,), np.uint8)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(10):
            child = multiprocessing.get_context("fork").Process(target=memory.empty, args=((1 << 20,), np.uint8))
            child.start()
            child.join(60)
            assert child.exitcode == 0
    finally:
        stop.set()
        thread.join(60)


SCRIPT = """
import hashlib, multiprocessing, sys, threading
import numpy as np
from tinyalexnet import Conv2d, ReLU, Sequential

x = np.random.default_rng(0).standard_normal((40, 27, 27, 8)).astype(np.float32)

def digest(_=None):
    net = Sequential([("conv1", Conv2d(8, 16, 3, padding="SAME", rng=0)), ("relu1", ReLU())])
    out = [net.forward(x)]
    out += [net.backward(out[0]), net.grads["conv1.w"]]
    return hashlib.sha256(b"".join(a.tobytes() for a in out)).hexdigest()

if __name__ == "__main__":
    expected, found = digest(), []
    if sys.argv[1] == "threads":
        run = lambda: found.extend(digest() for _ in range(20))
        started = [threading.Thread(target=run) for _ in range(3)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
    else:
        with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
            try:
                found = pool.map_async(digest, [0]).get(120)
            except RuntimeError as error:
                print(error)
    assert set(found) <= {expected}
    print(len(found))
"""


def outcome(layer, mode):
    """The last line that the script prints, under one of Numba's threading layers."""
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SCRIPT, mode],
        env={**os.environ, "NUMBA_THREADING_LAYER": layer},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout.splitlines()


@pytest.mark.compiled
@pytest.mark.parametrize("layer", ["default", "workqueue"])
def test_networks_in_three_threads_compute_what_one_does(layer):
    assert outcome(layer, "threads") == ["60"]


@needs_fork
@pytest.mark.compiled
def test_a_forked_pool_works_or_says_why_not():
    assert outcome("workqueue", "fork") == ["1"]
    lines = outcome("default", "fork")
    assert lines in (["1"], [lines[0], "0"])
    assert lines == ["1"] or lines[0].startswith("a compiled kernel is called in a process that was forked after")


@pytest.mark.parametrize("missing", [False, True], ids=["Numba's inner functions", "its public ones"])
def test_the_functions_set_the_threads_that_numba_tells(monkeypatch, missing):
    before = numba.get_num_threads()
    threads.numba_threads.cache_clear()
    if missing:
        monkeypatch.setattr(threads, "parallel", SimpleNamespace())
    try:
        get, put = threads.numba_threads()
        assert get() == before
        put(1)
        assert numba.get_num_threads() == get() == 1
        put(before)
        assert numba.get_num_threads() == before
    finally:
        threads.numba_threads.cache_clear()


def test_a_small_call_has_an_ordinary_loop(monkeypatch):
    """Also in a forked process, and while kernels are only noted."""
    called, noted = [], []
    monkeypatch.setattr(ParallelKernel, "one_at_a_time", False)
    of_all, alone = (kernel(lambda *_, name=name: called.append(name)).compiled for name in ("all", "alone"))
    run, half = StreamingKernel(of_all, alone), np.zeros(threads.SMALL_BYTES // 2, np.uint8)
    assert threads.SMALL_BYTES == 65_536
    run(half, 0.5, half[:-1])
    run(half, 0.5, half)
    run(0.5, half)
    assert called == ["alone", "all", "alone"]
    threads.call_for(threads.SMALL_BYTES, run, 1)  # where the arrays do not tell
    threads.call_for(threads.SMALL_BYTES - 1, run, half, half)
    assert called[3:] == ["all", "alone"]
    del called[3:]
    monkeypatch.setattr(ParallelKernel, "is_forked", True)
    run(half)
    with pytest.raises(RuntimeError, match="forked"):
        run(half, half)
    assert called[3:] == ["alone"]
    monkeypatch.setattr(
        ParallelKernel, "instead", staticmethod(lambda kernel, types: noted.append((kernel, len(types))))
    )
    run(half, 1)
    run(half, half)
    assert noted == [(alone, 2), (of_all, 2)]
    assert called[4:] == []
