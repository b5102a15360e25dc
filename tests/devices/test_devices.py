"""The interface of the devices: arrays, threads, time, compilation and memory."""

from __future__ import annotations

import functools
import sys
import time
from types import SimpleNamespace
from unittest import mock

import numba
import numpy as np
import pytest
from backends import JIT
from numba.core import event
from numba.core.registry import CPUDispatcher
from threadpoolctl import threadpool_info

from tinyalexnet import Conv2d, Dense, to_device, to_host
from tinyalexnet.benchmark import memory_estimate
from tinyalexnet.devices import BACKENDS, check_backend, choose_gpu, device, host, machine
from tinyalexnet.devices.cpu import device as cpu_device
from tinyalexnet.devices.cpu import memory
from tinyalexnet.devices.cpu.compiler import most_threads, parallel, stamped
from tinyalexnet.devices.cuda import device as cuda_device
from tinyalexnet.devices.cuda import driver as cuda_driver


def test_one_device_for_each_backend(backend):
    found = device(backend)
    assert found.name == backend
    assert found.on_host
    assert found is device(backend)
    assert device("reference") is not device("cpu")
    assert BACKENDS == ("reference", "cpu", "cuda")


@pytest.mark.parametrize(
    ("name", "compiles", "fixed_memory", "makes_temporaries"),
    [("reference", False, 50_000_000, True), ("cpu", True, 200_000_000, False)],
)
def test_what_a_device_of_the_host_says_of_itself(name, compiles, fixed_memory, makes_temporaries):
    found = device(name)
    assert (found.compiles, found.fixed_memory, found.makes_temporaries) == (compiles, fixed_memory, makes_temporaries)
    assert not found.reuses_by_size
    assert found.by_image is compiles


@pytest.mark.parametrize("name", ["gpu", "", "CPU", None])
def test_an_unknown_backend_is_refused(name):
    for call in (device, check_backend, lambda name: Conv2d(1, 1, 1, backend=name)):
        with pytest.raises(ValueError, match=f"backend is {name!r}, but must be one of 'reference', 'cpu', 'cuda'"):
            call(name)


def test_a_gpu_that_is_missing_is_one_sentence(monkeypatch):
    def missing():
        raise ImportError("there is no driver")

    monkeypatch.setattr(cuda_device, "driver", missing)
    for call in (lambda: device("cuda"), lambda: to_device(np.ones(2)), lambda: Dense(2, 3, backend="cuda")):
        with pytest.raises(ImportError, match="backend is 'cuda', but there is no driver: it needs") as caught:
            call()
        assert "\n" not in str(caught.value)


class Refusal(int):
    name = "CUDA_ERROR_NO_DEVICE"


class Calls:
    """The driver's calls on a machine with some GPUs: the numbers asked for are noted, most others answer 1."""

    CUstream_flags = CUdevice_attribute = mock.MagicMock()

    def __init__(self, count):
        self.asked, self.count = [], count

    def __getattr__(self, name):
        others = {
            "cuDeviceGetCount": lambda: (0, self.count),
            "cuDeviceGet": self._get,
            "cuDeviceGetName": lambda size, gpu: (0, b"GPU\0"),
            "cuDeviceGetPCIBusId": lambda size, gpu: (0, b"0000:01:00.0\0"),
            "cuCtxSetCurrent": lambda context: (0,),
        }
        return others.get(name, lambda *given: (0, 1))

    def _get(self, number):
        self.asked.append(number)
        return (0, number) if number < self.count else (Refusal(100), None)


@pytest.fixture
def with_gpus(monkeypatch):
    """Makes a machine with some GPUs, whose driver this process has not used."""

    def made(count):
        calls = Calls(count)
        bindings = SimpleNamespace(driver=calls)
        monkeypatch.setitem(sys.modules, "cuda", SimpleNamespace(bindings=bindings))
        monkeypatch.setitem(sys.modules, "cuda.bindings", bindings)
        return calls

    monkeypatch.setattr(cuda_driver, "_chosen", [0])
    monkeypatch.setattr(cuda_driver, "driver", functools.cache(cuda_driver.driver.__wrapped__))
    return made


@pytest.mark.parametrize(("number", "taken"), [(None, 0), (0, 0), (2, 2), (3, 0), (7, 1)])
def test_a_process_may_choose_its_gpu(with_gpus, number, taken):
    """Of three; number 3 is the first one again."""
    calls = with_gpus(3)
    if number is not None:
        choose_gpu(number)
    cuda_driver.driver()
    assert calls.asked == [taken]
    choose_gpu(number or 0)  # which it has
    with pytest.raises(RuntimeError, match=f"number is 9, but must be {number or 0}, the GPU that this process uses"):
        choose_gpu(9)


def test_without_a_gpu_any_number_is_refused_as_the_first(with_gpus):
    with_gpus(0)
    choose_gpu(1)
    with pytest.raises(ImportError, match=r"^the CUDA driver answers CUDA_ERROR_NO_DEVICE$"):
        cuda_driver.driver()


def test_arrays_of_the_host_are_themselves(backend, rng):
    found, array = device(backend), rng.standard_normal((2, 3))
    assert found.holds(array)
    assert not found.holds([1.0])
    assert found.to_device(array) is array
    assert found.to_host(array) is array
    assert to_host(array) is array
    found.write(array.T, np.arange(6).reshape(3, 2))
    np.testing.assert_array_equal(array, [[0, 2, 4], [1, 3, 5]])
    found.check_layout("x", array[:, ::2])


def test_which_arrays_can_be_written(backend, rng):
    array = rng.standard_normal((4, 4))
    assert device(backend).is_writeable(array)
    assert not device(backend).is_writeable(array[:, ::2])
    array.setflags(write=False)
    assert not device(backend).is_writeable(array)


def test_a_step_is_timed(backend):
    done = []
    seconds = device(backend).seconds_of(lambda: done.append(time.sleep(0.02)))
    assert 0.02 <= seconds < 1
    assert len(done) == 1
    assert device(backend).wait() is None


@pytest.mark.skipif(most_threads() < 2, reason="needs two threads")
def test_threads_are_limited_and_restored():
    def fail():
        with device("cpu").limit_threads(1):
            assert numba.get_num_threads() == 1
            raise RuntimeError("inside")

    assert device("cpu").most_threads() == most_threads()
    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert numba.get_num_threads() == most_threads()


def test_the_reference_limits_the_blas():
    def threads():
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    assert device("reference").most_threads() == machine.cores()
    before = threads()
    with device("reference").limit_threads(1):
        assert threads() == {1}
    assert threads() == before


@pytest.mark.compiled
def test_compilation_is_reported():
    """By the outermost function alone, and nothing the second time."""

    def plus_one(x):
        for i in numba.prange(x.size):
            x[i] += 1

    plus_one.__module__ = "tinyalexnet.ops.example.cpu"
    kernel, events = numba.njit(parallel=True)(plus_one), []
    with device("cpu").report_compilation(events.append, events.append) as names:
        kernel(np.zeros(3))
        kernel(np.zeros(3))
    assert names == ["example.cpu.plus_one"]
    name, seconds = events
    assert name == names[0]
    assert seconds > 0
    kernel(np.zeros(3, np.float32))
    assert len(events) == 2  # what is compiled later is not reported


def test_only_the_outermost_compilation_is_reported():
    """By Numba's events alone, without the JIT too."""
    told = []
    inner, outer = ({"dispatcher": SimpleNamespace(py_func=function)} for function in (machine.cores, memory_estimate))
    with device("cpu").report_compilation(told.append, told.append) as names:
        for how, data in ((event.start_event, outer), (event.start_event, inner), (event.end_event, inner)):
            how("numba:compile", data)
        assert told == ["tinyalexnet.benchmark.memory.memory_estimate"]
        event.end_event("numba:compile", outer)
    assert names == told[:1]
    assert told[1] >= 0


def test_a_function_that_numba_does_not_cache_is_left_as_it_is():
    assert stamped(machine.cores) is machine.cores
    dispatcher = CPUDispatcher(machine.cores)
    assert stamped(dispatcher) is dispatcher
    dispatcher.enable_caching()
    assert stamped(dispatcher) is dispatcher


def test_the_host_sends_at_once_and_runs_a_step_as_it_is(backend, rng):
    target, values = np.zeros((3, 4), np.float32), rng.standard_normal((3, 4)).astype(np.float32)
    device(backend).send(target, values)
    np.testing.assert_array_equal(target, values)
    calls = []
    step = device(backend).captured(lambda: calls.append("step") or 7, lambda: calls.append("prepare"))
    assert calls == []
    assert step() == 7
    assert calls == ["step"]
    assert device(backend).number(0.1, np.dtype(np.float32)) == 0.1


def test_nothing_is_compiled_by_the_reference():
    with device("reference").report_compilation(pytest.fail, pytest.fail) as names:
        pass
    assert names == []
    assert not device("reference").compiles
    assert device("cpu").compiles


def test_memory(backend, monkeypatch):
    monkeypatch.setattr(machine, "available_memory", lambda: 12345)
    assert device(backend).free_memory() == 12345
    memory.release()
    assert device(backend).held_memory() == 0
    held = memory.empty((memory.LEAST_BYTES,), np.uint8)
    assert device("cpu").held_memory() == held.nbytes
    assert device("reference").held_memory() == 0
    del held
    device("reference").release_memory()
    assert device("cpu").held_memory() > 0
    device("cpu").release_memory()
    assert device("cpu").held_memory() == 0


def test_the_peak_of_the_host_is_the_best_of_eight_products_and_copies(monkeypatch):
    """A product of n x n matrices has 2 n³ operations; a copy reads and writes each byte."""
    monkeypatch.setattr(host, "PEAK_SIZE", 4)
    monkeypatch.setattr(host, "COPY_BYTES", 100)
    seconds = iter([9.0] * 7 + [2.0] + [9.0] * 7 + [5.0])
    monkeypatch.setattr(host.Device, "seconds_of", lambda self, run: (run(), next(seconds))[1])
    found = device("reference").peak(2)
    assert (found.peak, found.bandwidth) == (2 * 4**3 / 2, 2 * 100 / 5)


def test_the_peak_is_measured(backend, monkeypatch):
    monkeypatch.setattr(host, "PEAK_SIZE", 64)
    monkeypatch.setattr(host, "COPY_BYTES", 1 << 20)
    found = device(backend).peak(1)
    assert found.peak > 1e6
    assert found.bandwidth > 1e6
    assert found.how == ""


def test_the_hardware_by_name(backend):
    assert device(backend).processor(3) == f"3 threads, {machine.cpu_name()}"


def test_what_computes_products(monkeypatch):
    """BLAS for the reference alone."""
    assert device("reference").arithmetic(1) == f"BLAS {', '.join(machine.blas_names())}"
    for features, bits in (("+avx,+avx2,+avx512f", 512), ("+avx,+avx2", 256), ("+neon", 128)):
        monkeypatch.setattr(cpu_device, "FEATURES", features)
        assert device("cpu").arithmetic(1) == f"vectors of {bits} bits"


@pytest.mark.skipif(not JIT, reason="plain functions have no options")
def test_a_kernel_keeps_the_order_of_a_sum():
    @parallel
    def total(x, out):
        for k in numba.prange(1):
            found = np.float32(0)
            for i in range(x.size):
                found += x[i]
            out[k] = found

    # Added in order the ones are lost, one after the other; in any vector register they are not.
    x = np.ones(1025, np.float32)
    x[0] = 2**24
    out = np.empty(1, np.float32)
    total(x, out)
    assert out[0] == 2**24
    assert total.compiled.targetoptions["error_model"] == "numpy"


@pytest.mark.parametrize("name", ["reference", "cpu"])
def test_the_host_sends_and_receives_by_writing(name):
    """What a GPU does by way of pinned memory."""
    target, array = np.zeros(3, np.float32), np.arange(3, dtype=np.float32)
    device(name).send(target, array)
    assert target.tolist() == [0, 1, 2]
    (found,) = device(name).received([target])
    assert found is target


@pytest.mark.parametrize("name", ["reference", "cpu"])
def test_what_is_done_and_joined_outside_of_a_recording_just_runs(name):
    hardware, target = device(name), np.zeros(3)
    hardware.done(np.add, np.ones(3), 2.0, target)
    assert target.tolist() == [3, 3, 3]
    assert hardware.joined([target, np.ones(2)]).tolist() == [3, 3, 3, 1, 1]
