"""NVIDIA's driver: the calls that this package makes of it, through ``cuda.bindings``, and nothing else.

One object stands for one GPU: its memory, its one stream, code, launches and graphs. The emulator of the tests has the
same methods, so nothing above this module knows if there is a GPU.

All work is in one stream, in the order in which it was asked for. Copies from and to the host wait; launches and copies
on the GPU do not.
"""

import ctypes
import functools
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..machine import at_fork

one_at_a_time = threading.RLock()
"""Held by the Python thread that launches, copies or makes an array; if it captures a step, until the capture's end:
what another thread launched meanwhile would become a part of the step."""


class DriverError(RuntimeError):
    """A refusal of the driver, by its own name."""


class Function(NamedTuple):
    """A kernel in the GPU's memory, and its name in reports."""

    handle: Any
    name: str


class Event:
    """A mark in the stream."""

    def __init__(self, handle: Any, destroy: Callable[[Any], object]) -> None:
        self.handle, self._destroy = handle, destroy

    def __del__(self) -> None:
        self._destroy(self.handle)


class Driver:
    """One of the GPUs that the driver shows, by its number; after the last one comes the first again.

    State
        ``name``, ``capability`` as in (9, 0), ``multiprocessors``, ``clock`` in Hz; ``version``, the driver's CUDA as
        in "13.0"; ``is_capturing``, if launches are recorded in place of run.
    Errors
        ImportError if there is no driver or no GPU.
    """

    def __init__(self, number: int = 0) -> None:
        try:
            from cuda.bindings import driver as calls
        except ImportError:
            raise ImportError("cuda-bindings is not installed") from None
        self._calls: Any = calls
        try:
            self._check(calls.cuInit(0))
            count = self._check(calls.cuDeviceGetCount())
            # Without any, the driver's own refusal of number 0 becomes the error.
            gpu = self._check(calls.cuDeviceGet(number % max(1, count)))
        except DriverError as error:
            raise ImportError(str(error)) from None
        except RuntimeError:  # of cuda.bindings, which looks for the library at the first call
            raise ImportError("there is no CUDA driver") from None
        self._context = self._check(calls.cuDevicePrimaryCtxRetain(gpu))
        self._thread = threading.local()
        self._bind()
        self._stream = int(self._check(calls.cuStreamCreate(calls.CUstream_flags.CU_STREAM_NON_BLOCKING)))
        self._handle = calls.CUstream(self._stream)
        of = calls.CUdevice_attribute
        attribute = functools.partial(self._attribute, gpu)
        self.name = self._check(calls.cuDeviceGetName(128, gpu)).partition(b"\0")[0].decode()
        self.capability = (
            attribute(of.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
            attribute(of.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR),
        )
        self.multiprocessors = attribute(of.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
        self.clock = 1000 * attribute(of.CU_DEVICE_ATTRIBUTE_CLOCK_RATE)
        number = int(self._check(calls.cuDriverGetVersion()))
        self.version = f"{number // 1000}.{number % 1000 // 10}"
        self.bus_id = self._check(calls.cuDeviceGetPCIBusId(32, gpu)).partition(b"\0")[0].decode()
        self.is_capturing = False

    def _attribute(self, gpu: Any, which: Any) -> int:
        return int(self._check(self._calls.cuDeviceGetAttribute(which, gpu)))

    def _check(self, result: Any) -> Any:
        """The values of a call, without its error code."""
        code, *values = result
        if int(code):
            raise DriverError(f"the CUDA driver answers {code.name}")
        return values[0] if len(values) == 1 else values

    def _bind(self) -> None:
        """The driver's context belongs to a thread; each thread takes it once."""
        if not getattr(self._thread, "bound", False):
            self._check(self._calls.cuCtxSetCurrent(self._context))
            self._thread.bound = True

    # Memory. Addresses are Python integers.

    def allocate(self, size: int) -> int:
        self._bind()
        if self.is_capturing:
            raise DriverError("memory was asked for while a step is captured, which would not be there at its replay")
        return int(self._check(self._calls.cuMemAlloc(size)))

    def free(self, address: int) -> None:
        self._bind()
        self._check(self._calls.cuMemFree(address))

    @functools.cached_property
    def total_bytes(self) -> int:
        self._bind()
        return int(self._check(self._calls.cuMemGetInfo())[1])

    def free_bytes(self) -> int:
        self._bind()
        return int(self._check(self._calls.cuMemGetInfo())[0])

    def pinned(self, size: int) -> np.ndarray:
        """Memory of the host that the GPU copies from by itself, while the host goes on."""
        self._bind()
        address = int(self._check(self._calls.cuMemAllocHost(size)))
        block = (ctypes.c_uint8 * size).from_address(address)
        weakref.finalize(block, self._calls.cuMemFreeHost, address)
        array: np.ndarray = np.ctypeslib.as_array(block)
        return array

    def copy_to_device(self, address: int, array: np.ndarray, wait: bool = True) -> None:
        """Without ``wait``, the array must be in pinned memory and stay as it is until the copy is done."""
        self._bind()
        self._check(self._calls.cuMemcpyHtoDAsync(address, array.ctypes.data, array.nbytes, self._handle))
        if wait:
            self.wait()

    def copy_to_host(self, array: np.ndarray, address: int, wait: bool = True) -> None:
        """Without ``wait``, the array must be in pinned memory; it has the elements when the copy is done."""
        self._bind()
        self._check(self._calls.cuMemcpyDtoHAsync(array.ctypes.data, address, array.nbytes, self._handle))
        if wait:
            self.wait()

    def copy_on_device(self, target: int, source: int, size: int) -> None:
        self._bind()
        self._check(self._calls.cuMemcpyDtoDAsync(target, source, size, self._handle))

    # Code.

    def assemble(self, ptx: str) -> bytes:
        """PTX as machine code of this GPU."""
        self._bind()
        calls, text = self._calls, ptx.encode() + b"\0"
        state = self._check(calls.cuLinkCreate(0, [], []))
        try:
            kind = calls.CUjitInputType.CU_JIT_INPUT_PTX
            self._check(calls.cuLinkAddData(state, kind, text, len(text), b"kernel", 0, [], []))
            address, size = self._check(calls.cuLinkComplete(state))
            return ctypes.string_at(int(address), size)
        finally:
            calls.cuLinkDestroy(state)

    def load(self, code: bytes, entry: str, name: str) -> "Function":
        """The kernel at ``entry`` in machine code, ready to be launched; it stays until the process ends."""
        self._bind()
        module = self._check(self._calls.cuModuleLoadData(code))
        return Function(self._check(self._calls.cuModuleGetFunction(module, entry.encode())), name)

    def launch(self, function: "Function", blocks: Sequence[int], threads: int, arguments: int) -> None:
        """``arguments`` is the address of an array of pointers, one to each argument."""
        if not getattr(self._thread, "bound", False):
            self._bind()
        x, y, z = blocks
        (code,) = self._calls.cuLaunchKernel(function.handle, x, y, z, threads, 1, 1, 0, self._handle, arguments, 0)
        if int(code):
            raise DriverError(f"the CUDA driver answers {code.name}")

    # Time.

    def wait(self) -> None:
        self._bind()
        self._check(self._calls.cuStreamSynchronize(self._handle))

    def event(self) -> "Event":
        """A mark in the stream, behind all that was asked for. In a captured step, each replay sets it anew."""
        self._bind()
        external = self._calls.CUevent_record_flags.CU_EVENT_RECORD_EXTERNAL if self.is_capturing else 0
        event = self._check(self._calls.cuEventCreate(0))
        self._check(self._calls.cuEventRecordWithFlags(event, self._handle, int(external)))
        return Event(event, self._calls.cuEventDestroy)

    def wait_for(self, event: "Event") -> None:
        """Waits until the event has come."""
        self._bind()
        self._check(self._calls.cuEventSynchronize(event.handle))

    def seconds_between(self, start: "Event", end: "Event") -> float:
        """By the GPU's clock, when the second event has come."""
        self.wait_for(end)
        return float(self._check(self._calls.cuEventElapsedTime(start.handle, end.handle))) / 1e3

    # Graphs.

    def begin_capture(self) -> None:
        """From now on launches, and copies on the GPU, are recorded and not run."""
        self._bind()
        mode = self._calls.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._check(self._calls.cuStreamBeginCapture(self._handle, mode))
        self.is_capturing = True

    def end_capture(self) -> Any:
        """The graph of what was recorded, ready to be replayed."""
        self.is_capturing = False
        graph = self._check(self._calls.cuStreamEndCapture(self._handle))
        try:
            return self._check(self._calls.cuGraphInstantiate(graph, 0))
        finally:
            self._calls.cuGraphDestroy(graph)

    def replay(self, graph: Any) -> None:
        self._bind()
        self._check(self._calls.cuGraphLaunch(graph, self._handle))

    def forget(self, graph: Any) -> None:
        self._bind()
        self._check(self._calls.cuGraphExecDestroy(graph))


@functools.cache
def driver() -> Driver:
    """The driver of this process.

    Errors
        As ``Driver``; RuntimeError in a process that was forked from one that has used the GPU.
    """
    if _forked:
        raise RuntimeError(
            "the GPU is used in a process that was forked after its first use, but must be used in one of "
            "multiprocessing.get_context('spawn')"
        )
    return Driver(_chosen[0])


_chosen = [0]
_forked: list[bool] = []


def choose_gpu(number: int) -> None:
    """Before its first use: the GPU of this process is ``number`` of those that ``CUDA_VISIBLE_DEVICES`` shows, or all.

    After the last one comes the first again.

    Errors
        RuntimeError if this process uses another one already.
    """
    if driver.cache_info().currsize and number != _chosen[0]:
        raise RuntimeError(f"number is {number}, but must be {_chosen[0]}, the GPU that this process uses already")
    _chosen[0] = number


def _after_fork() -> None:
    """NVIDIA's driver does not work in a forked process, whose threads and context it has not made."""
    if driver.cache_info().currsize:
        _forked.append(True)
        driver.cache_clear()
    one_at_a_time.release()


at_fork(before=one_at_a_time.acquire, after_in_parent=one_at_a_time.release, after_in_child=_after_fork)
