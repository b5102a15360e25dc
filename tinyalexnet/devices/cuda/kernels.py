"""Kernels: Python functions that Numba compiles for the GPU, once for each list of types, and their launches.

A launch is the hot path of a step that is not captured. It looks the types up, packs the arguments into one buffer of
eight bytes for each number, and calls the driver. Numba's own launch types each argument anew, which takes several
times as long (measured: docs/gpu.md).
"""

import ctypes
import functools
import re
import struct
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np
from numba import cuda

from . import cubins
from .arrays import DeviceArray, check_size
from .driver import driver, one_at_a_time

THREADS = 256
"""Threads of a block."""


class Kernel:
    """A function that every thread runs; ``launch`` and ``launch_blocks`` start it.

    With ``bounds``, the threads of every launch and the blocks that a multiprocessor should hold, the compiler gives a
    thread as many registers as that allows. No fast-math: NaN and infinity must survive.
    """

    def __init__(self, function: Callable[..., None], bounds: tuple[int, int] | None = None) -> None:
        self.py_func, self.bounds = function, bounds
        self.__doc__, self.__module__ = function.__doc__, function.__module__
        self._ready: dict[tuple[Any, ...], _Ready] = {}

    @property
    def name(self) -> str:
        """As in "maxpool.forward": the operation or the module, and the function."""
        parts = [part for part in self.__module__.split(".") if part not in ("tinyalexnet", "ops", "devices", "cuda")]
        return ".".join([*parts, self.py_func.__name__.lstrip("_")])

    def types(self, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """Numba's types of these arguments."""
        return tuple(
            numba.types.Array(numba.from_dtype(argument.dtype), argument.ndim, "C")
            if isinstance(argument, DeviceArray)
            else numba.typeof(argument)
            for argument in arguments
        )

    def ptx(self, types: tuple[Any, ...], capability: tuple[int, int]) -> str:
        """The kernel as PTX, the assembly language of all NVIDIA GPUs."""
        text: str = cuda.compile_ptx(self.py_func, types, cc=capability, launch_bounds=self.bounds)[0]
        return text

    def __call__(self, *arguments: Any) -> None:
        raise TypeError(f"{self.name} is a kernel: launch(kernel, count, *arguments) runs it")


class _Ready:
    """A kernel in machine code, with room for the arguments of a launch."""

    __slots__ = ("_buffer", "_pointers", "at", "function", "pack")

    def __init__(self, function: Any, numbers: list[Any]) -> None:
        self.function = function
        formats = {float: "d", np.float64: "d", np.float32: "f4x"}
        layout = struct.Struct("<" + "".join(formats.get(type(number), "q") for number in numbers))
        self._buffer = ctypes.create_string_buffer(layout.size)
        base = ctypes.addressof(self._buffer)
        self._pointers = (ctypes.c_void_p * len(numbers))(*range(base, base + layout.size, 8))
        self.at = ctypes.addressof(self._pointers)
        self.pack = functools.partial(layout.pack_into, self._buffer, 0)


Listener = tuple[Callable[[str], object], Callable[[float], object], list[str]]
_listeners: list[Listener] = []


@contextmanager
def listening(on_start: Callable[[str], object], on_end: Callable[[float], object]) -> Any:
    """Reports each kernel that is compiled meanwhile; gives the list of their names."""
    listener: Listener = on_start, on_end, []
    _listeners.append(listener)
    try:
        yield listener[2]
    finally:
        _listeners.remove(listener)


def launch(kernel: Kernel, count: int, *arguments: Any) -> None:
    """Runs a kernel with one thread for each of ``count`` elements; the spare threads of the last block do nothing."""
    check_size("an array", count)
    # A GPU refuses a launch of no blocks.
    if count:
        launch_blocks(kernel, (-(-count // THREADS),), THREADS, *arguments)


def launch_blocks(kernel: Kernel, blocks: tuple[int, ...], threads: int, *arguments: Any) -> None:
    """Runs a kernel with so many blocks along each axis, each of so many threads.

    Arguments are device arrays, integers, floats of Python (float64) or of NumPy, and tuples of integers; TypeError for
    others.
    """
    numbers: list[Any] = []
    types: list[Any] = []
    for argument in arguments:
        kind = type(argument)
        if kind is DeviceArray:
            word, slots = argument._argument or argument.argument()
            types.append(word)
            numbers += slots
        elif isinstance(argument, tuple):
            types += kind, len(argument)
            numbers += argument
        else:
            types.append(kind)
            numbers.append(argument)
    key = tuple(types)
    ready = kernel._ready.get(key) or _compile(kernel, key, arguments, numbers)
    with one_at_a_time:
        ready.pack(*numbers)
        driver().launch(ready.function, (*blocks, 1, 1)[:3], threads, ready.at)


def _compile(kernel: Kernel, key: tuple[Any, ...], arguments: tuple[Any, ...], numbers: list[Any]) -> _Ready:
    """The machine code for arguments of these types: from the disk if it is there."""
    _refuse_others(kernel, arguments)
    gpu, types = driver(), kernel.types(arguments)
    place = cubins.place(kernel.py_func, kernel.bounds, types, gpu)
    found = cubins.read(place)
    if found is None:
        found = _assembled(kernel, types)
        cubins.write(place, *found)
    name, code = found
    ready = kernel._ready[key] = _Ready(gpu.load(code, name, kernel.name), numbers)
    return ready


def _refuse_others(kernel: Kernel, arguments: tuple[Any, ...]) -> None:
    """TypeError if an argument is none that a launch can pack. Arguments of the types of an earlier launch are packed
    without this check."""
    for count, argument in enumerate(arguments):
        is_tuple = isinstance(argument, tuple)
        allowed = (int, np.integer) if is_tuple else (DeviceArray, int, float, np.integer, np.float32)
        for part in argument if is_tuple else (argument,):
            if not isinstance(part, allowed):
                what = f"holds a {type(part).__name__}" if is_tuple else f"is a {type(part).__name__}"
                raise TypeError(
                    f"argument {count} of {kernel.name} {what}, but must be a device array, a number or a tuple of ints"
                )


def _assembled(kernel: Kernel, types: tuple[Any, ...]) -> tuple[str, bytes]:
    """A kernel's name in machine code, and the code; reports that it is compiled."""
    start = time.perf_counter()
    for on_start, _, names in _listeners:
        names.append(kernel.name)
        on_start(kernel.name)
    ptx = kernel.ptx(types, driver().capability)
    name = re.search(r"\.entry (\w+)", ptx)[1]  # type: ignore[index]
    code = driver().assemble(ptx)
    for _, on_end, _ in _listeners:
        on_end(time.perf_counter() - start)
    return name, code
