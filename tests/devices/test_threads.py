"""What threads share and forked processes inherit: BLAS's threads, Numba's threads, the memory pool's lock."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from tinyalexnet.devices.cpu import memory, threads
from tinyalexnet.devices.cpu.threads import OneBlasThread, ParallelKernel, StreamingKernel

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


class Limits:
    """Counts how often BLAS was limited, and how often that was taken back."""

    def __init__(self):
        self.set = self.restored = 0

    def __call__(self):
        self.set += 1
        return self

    def restore_original_limits(self):
        self.restored += 1


def test_blas_is_limited_until_the_last_thread_has_left_whatever_the_order():
    limits = Limits()
    blas, inside, leave = OneBlasThread(limits), threading.Event(), threading.Event()

    def other():
        with blas:
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=other)
    with blas:
        thread.start()
        assert inside.wait(60)
    assert (limits.set, limits.restored) == (1, 0)
    leave.set()
    thread.join(60)
    assert (limits.set, limits.restored) == (1, 1)
    with blas, blas:
        assert (limits.set, limits.restored) == (2, 1)
    assert (limits.set, limits.restored) == (2, 2)


def test_an_error_inside_gives_the_threads_back():
    limits = Limits()
    with pytest.raises(ZeroDivisionError), OneBlasThread(limits):
        _ = 1 // 0
    assert (limits.set, limits.restored) == (1, 1)


def test_after_a_fork_blas_is_not_limited_for_threads_that_are_gone():
    limits = Limits()
    blas = OneBlasThread(limits)
    blas.__enter__()  # as another thread did, which is not there after the fork
    blas._lock.acquire()
    blas.after_fork()
    assert (limits.set, limits.restored) == (1, 1)
    blas.after_fork()
    with blas:
        assert (limits.set, limits.restored) == (2, 1)
    assert limits.restored == 2


class Library:
    """A library as threadpoolctl sees it."""

    threading_layer = "pthreads"

    def __init__(self, path, count, user_api="blas", internal_api="blis"):
        self.filepath, self.count, self.user_api, self.calls = path, count, user_api, []
        self.internal_api = internal_api

    def get_num_threads(self):
        return self.count

    def set_num_threads(self, count):
        self.count = count
        self.calls.append(count)


@pytest.mark.parametrize(
    ("paths", "limited"),
    [
        (["/env/numpy.libs/libopenblas64.so", "/env/scipy.libs/libopenblas.so"], [1]),
        (["/conda/lib/libcblas.so"], [0]),
        (["/usr/lib/libblas.so", "/usr/lib/libopenblas.so"], [0, 1]),
    ],
    ids=["SciPy's own", "one for both", "two of the system"],
)
def test_the_blas_that_kernels_call_is_limited(monkeypatch, paths, limited):
    found = [*(Library(path, 4) for path in paths), Library("/env/libgomp.so", 4, "openmp")]
    controller = SimpleNamespace(lib_controllers=found)
    monkeypatch.setattr(threads, "ThreadpoolController", lambda: controller)
    threads._libraries.cache_clear()
    try:
        limit = threads.Limited()
        assert [library.count for library in found] == [1 if index in limited else 4 for index in range(len(found))]
        limit.restore_original_limits()
        assert [library.count for library in found] == [4] * len(found)
        found[limited[0]].count = 1
        threads.Limited().restore_original_limits()
        assert found[limited[0]].calls == [1, 4], "one thread is not set to one thread"
    finally:
        threads._libraries.cache_clear()


@pytest.mark.parametrize("names", [("", ""), ("", "64_"), ("", "_64"), ("scipy_", ""), ("scipy_", "64_")])
def test_the_threads_of_openblas_are_set_by_its_own_functions(names):
    library = Library("/env/libopenblas.so", 4, internal_api="openblas")
    get, put = object(), object()
    library.dynlib = SimpleNamespace(
        **{"openblas_get_num_threads": 0, "{}openblas_get_num_threads{}".format(*names): get},
        **{"{}openblas_set_num_threads{}".format(*names): put},
    )
    assert threads._blas(library) == (get, put)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"threading_layer": "openmp"}, ["openblas_get_num_threads", "openblas_set_num_threads"]),
        ({"internal_api": "mkl"}, ["openblas_get_num_threads", "openblas_set_num_threads"]),
        ({}, ["openblas_get_num_threads", "openblas_set_num_threads_"]),
    ],
    ids=["of OpenMP", "another library", "without such a function"],
)
def test_the_threads_of_others_are_set_by_threadpoolctl(change, names):
    library = Library("/env/libopenblas.so", 4, internal_api="openblas")
    library.dynlib = SimpleNamespace(**dict.fromkeys(names, 0))
    vars(library).update(change)
    assert threads._blas(library) == (library.get_num_threads, library.set_num_threads)


def blas_of_kernels():
    return [library.threads() for library in threads._libraries()]


def in_a_thread(call):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result(60)


def test_numbas_products_run_on_one_thread_inside_and_on_as_many_as_before_outside():
    before = blas_of_kernels()
    assert before
    with threads.one_blas_thread():
        assert set(blas_of_kernels()) == {1}
    assert blas_of_kernels() == before


@pytest.mark.parametrize("products", [threads.products, threads.blas_products])
@pytest.mark.parametrize(("more", "split"), [(-1, False), (0, True)])
def test_few_products_hold_numba_to_one_thread_and_those_of_blas_always_blas(products, more, split):
    before = blas_of_kernels(), numba.get_num_threads()
    inside = {1} if products is threads.blas_products else set(before[0])

    def fails():
        with products(threads.SMALL_WORK + more):
            assert set(blas_of_kernels()) == inside
            assert numba.get_num_threads() == (before[1] if split else 1)
            with products(0):
                assert numba.get_num_threads() == 1
            assert numba.get_num_threads() == (before[1] if split else 1)
            assert set(blas_of_kernels()) == inside
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert (blas_of_kernels(), numba.get_num_threads()) == before


def test_each_python_thread_can_hold_blas_to_one_thread_whoever_did_before():
    def inside():
        with threads.one_blas_thread():
            return blas_of_kernels()

    before = blas_of_kernels()
    with threadpool_limits(2, user_api="blas"):
        two = blas_of_kernels()
        assert set(inside()) == set(in_a_thread(inside)) == {1}
        assert in_a_thread(blas_of_kernels) == two
    assert set(in_a_thread(inside)) == {1}
    assert blas_of_kernels() == in_a_thread(blas_of_kernels) == before


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
    threads.one_blas_thread()._lock.acquire()
    threads._after_fork()
    with threads.one_blas_thread():
        pass
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
import numpy as np, scipy.linalg.cython_blas, threadpoolctl
from tinyalexnet import Conv2d, ReLU, Sequential

x = np.random.default_rng(0).standard_normal((40, 27, 27, 8)).astype(np.float32)

def digest(_=None):
    net = Sequential([("conv1", Conv2d(8, 16, 3, padding="SAME", rng=0)), ("relu1", ReLU())])
    out = [net.forward(x)]
    out += [net.backward(out[0]), net.grads["conv1.w"]]
    return hashlib.sha256(b"".join(a.tobytes() for a in out)).hexdigest()

def blas_threads():
    return [each["num_threads"] for each in threadpoolctl.threadpool_info() if each["user_api"] == "blas"]

if __name__ == "__main__":
    before, expected, found = blas_threads(), digest(), []
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
    assert blas_threads() == before
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
def test_networks_in_three_threads_compute_what_one_does_and_give_blas_back(layer):
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
    threads._numba_threads.cache_clear()
    if missing:
        monkeypatch.setattr(threads, "parallel", SimpleNamespace())
    try:
        get, put = threads._numba_threads()
        assert get() == before
        put(1)
        assert numba.get_num_threads() == get() == 1
        put(before)
        assert numba.get_num_threads() == before
    finally:
        threads._numba_threads.cache_clear()


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
        ParallelKernel, "record", staticmethod(lambda kernel, types: noted.append((kernel, len(types))))
    )
    run(half, 1)
    run(half, half)
    assert noted == [(alone, 2), (of_all, 2)]
    assert called[4:] == []
