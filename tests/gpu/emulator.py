"""A GPU that is not there: Numba's own classes and compiler, but memory of the host, and kernels run step by step.

python tests/emulated_gpu.py SCRIPT [ARGUMENT ...]     runs a script on it: bench.py --backend cuda, say

Needs numba-cuda, whose compiler works without a GPU. ``install`` comes before the package's kernels are imported.
Launches are run by ``ptx_interpreter``.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import runpy
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import ptx_interpreter
from ptx_interpreter import Area, Counts, Program

ARCHITECTURE = (9, 0)
"""An H100's."""

ALIGNMENT = 512
"""Of what the driver gives."""

NOT_WRITTEN = 0xFF
"""Every byte of memory that is new, or used again: no number, where it is read as a float."""

state = SimpleNamespace(installed=False, launched={}, asked=[], count=None, most_blocks=None)
"""Whether the emulation is in place; what was launched, pairs of a function and the types that it was given, in a
dictionary to keep their order; what was asked of the driver, copies and new memory; what to call with each launch's
``Counted``; and how many blocks of each to run."""


@dataclass
class Counted:
    """A launch: what so many of its blocks did, and the bytes of all arrays that it was given."""

    kernel: str
    counts: Counts
    ran: int
    blocks: int
    array_bytes: int


def install() -> None:
    """Puts the emulation in the place of the driver; ImportError where numba-cuda is not installed."""
    try:
        import numba_cuda  # noqa: F401
    except ImportError:
        raise ImportError("an emulated GPU needs numba-cuda: pip install 'tinyalexnet[cuda12]'") from None
    state.installed = True
    from numba import cuda
    from numba.cuda import compiler, dispatcher
    from numba.cuda.cudadrv import devices, driver

    gpu = SimpleNamespace(
        compute_capability=ARCHITECTURE, name="emulated", MULTIPROCESSOR_COUNT=132, CLOCK_RATE=1_980_000
    )
    context = SimpleNamespace(
        device=gpu,
        memalloc=lambda size: _Memory(driver, context).allocate(size),
        synchronize=lambda: None,
        get_memory_info=lambda: (80 << 30, 80 << 30),
    )
    devices._runtime.ensure_context = contextlib.nullcontext
    devices._runtime.get_or_create_context = lambda number=None: context
    for module in (cuda, compiler, dispatcher):
        module.get_current_device = lambda: gpu
    cuda.is_available = lambda: True
    cuda.event = _Event
    cuda.event_elapsed_time = lambda start, end: 1e3 * (end.seconds - start.seconds)
    driver._to_core_stream = lambda stream: stream
    for name in ("host_to_device", "device_to_host", "device_to_device"):
        setattr(driver, name, functools.partial(_copy, name))
    driver.MemoryPointer = _poisoning(driver.MemoryPointer)
    dispatcher.CUDADispatcher.call = _call


class _Event:
    seconds = 0.0

    def record(self) -> None:
        self.seconds = time.perf_counter()

    def synchronize(self) -> None:
        pass


class _Memory:
    """Gives memory of the host as if it were a GPU's."""

    def __init__(self, driver: Any, context: Any) -> None:
        self.driver, self.context = driver, context

    def allocate(self, size: int) -> Any:
        state.asked.append("memory")
        block = np.full(size + ALIGNMENT, NOT_WRITTEN, np.uint8)
        address = -(-block.ctypes.data // ALIGNMENT) * ALIGNMENT
        return self.driver.MemoryPointer(self.context, ctypes.c_void_p(address), size, owner=block)


def _poisoning(base: type) -> type:
    class Poisoned(base):  # type: ignore[misc]
        """What is used again holds no more of what was there."""

        def __init__(self, context: Any, pointer: Any, size: int, owner: Any = None, finalizer: Any = None) -> None:
            super().__init__(context, pointer, size, owner, finalizer)
            if finalizer is not None:
                ctypes.memset(self.device_pointer_value, NOT_WRITTEN, size)

    return Poisoned


def _address(array: Any) -> int:
    if isinstance(array, np.ndarray):
        return array.ctypes.data
    return int(array.device_ctypes_pointer.value)


def _copy(name: str, target: Any, source: Any, size: int, stream: Any = 0) -> None:
    state.asked.append(name)
    ctypes.memmove(_address(target), _address(source), size)


@functools.cache
def compiled(function: Any, types: tuple[Any, ...]) -> str:
    """A kernel as PTX."""
    from numba import cuda

    text: str = cuda.compile_ptx(function, types, cc=ARCHITECTURE)[0]
    return text


@functools.cache
def _program(function: Any, types: tuple[Any, ...]) -> Program:
    return Program(compiled(function, types))


def _call(dispatcher: Any, arguments: tuple[Any, ...], configuration: Any) -> None:
    """Launches a kernel, and waits for it."""
    types = tuple(dispatcher.typeof_pyval(argument) for argument in arguments)
    state.launched[dispatcher.py_func, types] = None
    program = _program(dispatcher.py_func, types)
    values, areas = [], {}
    for kind, argument in zip(types, arguments, strict=True):
        values += _passed(kind, argument, areas)
    counts = Counts() if state.count else None
    where = configuration.griddim, configuration.blockdim
    ran = ptx_interpreter.run(program, values, *where, list(areas.values()), counts, state.most_blocks)
    if counts is not None:
        array_bytes = sum(area.size for area in areas.values())
        state.count(Counted(dispatcher.py_func.__name__, counts, ran, math.prod(where[0]), array_bytes))


def _passed(kind: Any, argument: Any, areas: dict[int, Area]) -> Iterator[Any]:
    """An argument as the numbers that a kernel takes, as Numba passes them."""
    from numba import types

    if isinstance(kind, types.Array):
        start, itemsize = _address(argument), argument.dtype.itemsize
        if argument.size:
            known = areas.setdefault(start, Area(start, argument.size * itemsize, itemsize))
            assert known.size == argument.size * itemsize, "arrays overlap"
        yield from (0, 0, argument.size, itemsize, start, *argument.shape, *argument.strides)
    elif isinstance(kind, types.BaseTuple):
        for part, value in zip(kind, argument, strict=True):
            yield from _passed(part, value, areas)
    else:
        yield argument


if __name__ == "__main__":
    import emulated_gpu  # what the script's kernels refer to is not this module, whose name is __main__

    try:
        emulated_gpu.install()
    except ImportError as error:
        sys.exit(str(error))
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
