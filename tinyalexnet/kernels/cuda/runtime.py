"""What the CUDA kernels share: how Numba compiles and launches them, and the arrays on the device.

The only module that imports ``numba.cuda``: that of ``numba-cuda``, the maintained package, where it is installed, or
the simulator where NUMBA_ENABLE_CUDASIM=1, which runs each CUDA thread as one of Python's. Kernels take it from here
under its own name, by which the simulator finds it.
"""

from __future__ import annotations

import functools
import time
import warnings
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import cuda as cuda

SIMULATED = bool(numba.config.ENABLE_CUDASIM)
"""The simulator starts every thread of a block, one of Python's each, also those that have nothing to do."""

if SIMULATED:
    from .simulator import close_race

    close_race()

THREADS = 32 if SIMULATED else 256
"""Threads of a block."""

MOST_NUMBERS = (1 << 31) - 1
"""Of an array: ``load`` counts them in 32 bits."""

kernel = cuda.jit
"""Decorator of a kernel, a function that every thread runs. No fast-math: NaN and infinity must survive."""

device = (lambda function: function) if SIMULATED else cuda.jit(device=True)
"""Decorator of a function that kernels call, which does not know what thread it is in. The simulator can call it as it
is, which saves most of its time."""


def check() -> None:
    """ImportError where there is neither a GPU that can be used nor the simulator."""
    if not cuda.is_available():
        raise ImportError(
            "backend is 'cuda', but Numba finds no GPU: it needs an NVIDIA GPU, its driver, and pip install "
            "'tinyalexnet[cuda12]' or 'tinyalexnet[cuda13]'; NUMBA_ENABLE_CUDASIM=1 simulates one, slowly"
        )


def seconds_of(step: Callable[[], object]) -> float:
    """How long the GPU takes for what ``step()`` launches, by its own clock: from one event to another, and then waits.

    The simulator has no events, and computes at once.
    """
    if SIMULATED:
        begin = time.perf_counter()
        step()
        return time.perf_counter() - begin
    start, end = cuda.event(), cuda.event()
    start.record()
    step()
    end.record()
    end.synchronize()
    return float(cuda.event_elapsed_time(start, end)) / 1e3


def wait() -> None:
    """Waits until all that was launched is done."""
    cuda.synchronize()


LANES = {(7, 0): 64, (7, 5): 64, (8, 0): 64}
"""Multiply-adds of float32 that a multiprocessor does in a clock, by architecture; the others do 128."""


def peak() -> tuple[float, str] | None:
    """Float operations in a second that the GPU can do at its highest clock, and how that comes; None if simulated."""
    if SIMULATED:
        return None
    gpu = cuda.get_current_device()
    count, lanes, clock = gpu.MULTIPROCESSOR_COUNT, LANES.get(tuple(gpu.compute_capability), 128), gpu.CLOCK_RATE
    return 2e3 * count * lanes * clock, f"{count} multiprocessors of {lanes} lanes at {clock // 1000} MHz"


def bandwidth(count: int) -> float:
    """Bytes in a second that a copy of ``count`` bytes from the GPU to itself reads and writes, the best of several."""
    source, target = cuda.device_array(count, np.uint8), cuda.device_array(count, np.uint8)
    return 2 * count / min(seconds_of(lambda: target.copy_to_device(source)) for _ in range(8))


def free_memory() -> int | None:
    """Bytes of the GPU that are free; None in the simulator."""
    return None if SIMULATED else int(cuda.current_context().get_memory_info()[0])


def name() -> str:
    """The name of the GPU, and which CUDA architecture it has."""
    if SIMULATED:
        return "simulator"
    gpu = cuda.get_current_device()
    text = gpu.name.decode() if isinstance(gpu.name, bytes) else gpu.name
    return f"{text}, sm_{gpu.compute_capability[0]}{gpu.compute_capability[1]}"


def to_host(array: Any) -> np.ndarray:
    """A copy of a device array as a NumPy array; waits for what computes it."""
    host: np.ndarray = array.copy_to_host()
    return host


def write(target: Any, array: np.ndarray) -> None:
    """Copies the numbers of a host array to one on the device."""
    target.copy_to_device(np.ascontiguousarray(array))


def is_on_device(array: object) -> bool:
    return bool(cuda.cudadrv.devicearray.is_cuda_ndarray(array))


def stand_in(name: str, array: Any) -> np.ndarray:
    """For checks, which look at shape and dtype: a NumPy array that has both, and the memory of one number.

    Errors
        TypeError where the array is not on the device, ValueError where it is strided or too large. Nothing is copied
        unasked.
    """
    if not is_on_device(array):
        raise TypeError(f"{name} is a {type(array).__name__}, but must be an array on the device, made by to_device")
    if not array.is_c_contiguous():
        raise ValueError(f"{name} is strided, but must be C-contiguous on a GPU")
    check_size(name, array.size)
    return np.broadcast_to(np.zeros((), array.dtype), array.shape)


def check_size(name: str, count: int) -> None:
    """ValueError where an array has more numbers than kernels can count."""
    if count > MOST_NUMBERS:
        raise ValueError(
            f"{name} has {count} numbers, but may have at most {MOST_NUMBERS} on a GPU: take a smaller batch"
        )


def launch(function: Any, count: int, *arguments: Any) -> None:
    """Runs a kernel with a thread for each of ``count`` numbers, and up to a block's more, which have nothing to do."""
    check_size("an array", count)
    launch_blocks(function, (-(-count // THREADS),), THREADS, *arguments)


def launch_blocks(function: Any, blocks: tuple[int, ...], threads: int, *arguments: Any) -> None:
    """Runs a kernel with so many blocks along each axis, of so many threads."""
    _configured(function, blocks, threads)(*arguments)


def _configured(function: Any, blocks: tuple[int, ...], threads: int) -> Any:
    with warnings.catch_warnings():
        # Numba warns of few blocks, which small batches and the last stage of a sum have.
        warnings.filterwarnings("ignore", "Grid size")
        return function[blocks, threads]


if not SIMULATED:  # where a kernel itself holds how it was last configured
    _configured = functools.lru_cache(maxsize=1024)(_configured)


def are_fours(array: Any, run: int) -> bool:
    """Whether every four numbers, counted from any multiple of ``run`` on, can be loaded as one."""
    return run % 4 == 0 and (SIMULATED or array.device_ctypes_pointer.value % 16 == 0)


if SIMULATED:

    @device
    def load(array, index):  # type: ignore[no-untyped-def]
        """Number ``index`` of a flat array, in 32 bits, from 0 to 2³¹ - 1."""
        return array[index]

    @device
    def store(array, index, number):  # type: ignore[no-untyped-def]
        """Writes the number that ``load`` would read."""
        array[index] = number

    @device
    def load_four(array, index):  # type: ignore[no-untyped-def]
        """Four numbers in a row of a flat array, from a multiple of 16 bytes on, as a tuple: one load of float32s."""
        return array[index], array[index + 1], array[index + 2], array[index + 3]

    @device
    def store_four(array, index, four):  # type: ignore[no-untyped-def]
        """Writes four numbers where ``load_four`` would read them."""
        for i in range(4):
            array[index + i] = four[i]

else:
    # Numba loads and stores one number of an array at a time, by an index of 64 bits which counts from the end where it
    # is negative: for each it compares and adds. These say which machine instruction to take instead.
    from llvmlite import ir
    from numba.cuda.extending import intrinsic

    @intrinsic
    def load(typing_context, array, index):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            return builder.load(_address(context, builder, signature, arguments))

        return array.dtype(array, numba.types.int32), generate

    @intrinsic
    def store(typing_context, array, index, number):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            builder.store(arguments[2], _address(context, builder, signature, arguments))
            return context.get_dummy_value()

        return numba.types.void(array, numba.types.int32, array.dtype), generate

    @intrinsic
    def load_four(typing_context, array, index):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            four = builder.load(_address_of_four(context, builder, signature, arguments), align=16)
            numbers = [builder.extract_element(four, ir.IntType(32)(i)) for i in range(4)]
            return context.make_tuple(builder, signature.return_type, numbers)

        return numba.types.UniTuple(array.dtype, 4)(array, numba.types.intp), generate

    @intrinsic
    def store_four(typing_context, array, index, four):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            address = _address_of_four(context, builder, signature, arguments)
            numbers = address.type.pointee(ir.Undefined)
            for i in range(4):
                number = builder.extract_value(arguments[2], i)
                numbers = builder.insert_element(numbers, number, ir.IntType(32)(i))
            builder.store(numbers, address, align=16)
            return context.get_dummy_value()

        return numba.types.void(array, numba.types.intp, numba.types.UniTuple(array.dtype, 4)), generate

    def _address(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.gep(array.data, [arguments[1]])

    def _address_of_four(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature, arguments)
        vector = ir.VectorType(context.get_data_type(signature.args[0].dtype), 4)
        return builder.bitcast(address, vector.as_pointer(address.type.addrspace))


@device
def divided(index, by):  # type: ignore[no-untyped-def]
    """divmod of numbers from 0 to 2³² - 1, and not of all that 64 bits hold, which takes several times as long."""
    quotient = np.int64(np.uint32(index) // np.uint32(by))
    return quotient, index - quotient * by


@device
def position(index, shape):  # type: ignore[no-untyped-def]
    """(n, h, w, c) of element ``index`` of an array of ``shape``, the last axis running fastest."""
    index, c = divided(index, shape[3])
    index, w = divided(index, shape[2])
    n, h = divided(index, shape[1])
    return n, h, w, c


@device
def windows_over(pixel, kernel, stride, outputs):  # type: ignore[no-untyped-def]
    """The first window along one axis that holds ``pixel``, counted with the padding, and the one behind the last."""
    first = divided(pixel - kernel, stride)[0] + 1 if pixel >= kernel else 0
    return first, min(outputs, divided(pixel, stride)[0] + 1)
