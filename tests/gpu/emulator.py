"""A GPU that is not there: Numba's own classes and compiler, but memory of the host, and kernels that are interpreted.

python tests/gpu/emulator.py SCRIPT [ARGUMENT ...]     runs a script on it: bench.py --backend cuda, say

Needs numba-cuda, whose compiler works without a GPU. Call ``install`` before the package's kernels are imported.
``interpreter`` runs the launches. docs/emulator.md says how, and what this finds.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import runpy
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import interpreter
import numpy as np
from interpreter import Area, Counts
from program import Program

ARCHITECTURE = (9, 0)
"""The compute capability of an H100."""

ALIGNMENT = 512
"""Addresses of new memory are multiples of this many bytes, as the driver's are."""

NOT_WRITTEN = 0xFF
"""Every byte of memory that is new, or used again. Read as a float, it is NaN."""


@dataclass
class Counted:
    """A launch: the counts of ``ran`` of its ``blocks``, and the bytes of all arrays that it was given."""

    kernel: str
    counts: Counts
    ran: int
    blocks: int
    array_bytes: int


@dataclass
class State:
    """The notes of the emulator, and how it runs launches.

    ``launched`` has a key for each kernel and the types that it was given, in order. ``requests`` lists the requests to
    the driver: copies and new memory. If ``on_launch`` is set, it is called with each launch's ``Counted``. If
    ``block_limit`` is set, only so many blocks of each launch run.
    """

    installed: bool = False
    launched: dict[tuple[Any, tuple[Any, ...]], None] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    on_launch: Callable[[Counted], object] | None = None
    block_limit: int | None = None


state = State()


def install() -> None:
    """Replaces the driver by the emulator; a second call does nothing.

    Errors
        ImportError if numba-cuda is not installed.
    """
    try:
        import numba_cuda  # noqa: F401
    except ImportError:
        raise ImportError("an emulated GPU needs numba-cuda: pip install 'tinyalexnet[cuda12]'") from None
    if state.installed:
        return
    state.installed = True
    from numba import cuda
    from numba.cuda import compiler, dispatcher
    from numba.cuda.cudadrv import devices, driver

    gpu = SimpleNamespace(
        compute_capability=ARCHITECTURE, name="emulated", MULTIPROCESSOR_COUNT=132, CLOCK_RATE=1_980_000
    )
    context = SimpleNamespace(
        device=gpu,
        memalloc=lambda size: _allocate(driver, context, size),
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
    dispatcher.CUDADispatcher.call = _launch


@functools.cache
def compiled(kernel: Any, types: tuple[Any, ...]) -> str:
    """A kernel as PTX."""
    return compile_for(kernel, types, ARCHITECTURE)


def compile_for(kernel: Any, types: tuple[Any, ...], architecture: tuple[int, int]) -> str:
    """A kernel as PTX, with its launch bounds."""
    from numba import cuda

    bounds = kernel.targetoptions.get("launch_bounds")
    text: str = cuda.compile_ptx(kernel.py_func, types, cc=architecture, launch_bounds=bounds)[0]
    return text


class _Event:
    seconds = 0.0

    def record(self) -> None:
        self.seconds = time.perf_counter()

    def synchronize(self) -> None:
        pass


def _allocate(driver: Any, context: Any, size: int) -> Any:
    """Memory of the host that looks like a GPU's."""
    state.requests.append("memory")
    block = np.full(size + ALIGNMENT, NOT_WRITTEN, np.uint8)
    address = -(-block.ctypes.data // ALIGNMENT) * ALIGNMENT
    return driver.MemoryPointer(context, ctypes.c_void_p(address), size, owner=block)


def _poisoning(base: type) -> type:
    class Poisoned(base):  # type: ignore[misc]
        """Memory that is used again loses its old contents. It is known by its finaliser: a pool's."""

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
    state.requests.append(name)
    ctypes.memmove(_address(target), _address(source), size)


@functools.cache
def _program(kernel: Any, types: tuple[Any, ...]) -> Program:
    return Program(compiled(kernel, types))


def _launch(dispatcher: Any, arguments: tuple[Any, ...], configuration: Any) -> None:
    """Runs a kernel to its end. It takes the place of ``CUDADispatcher.call``."""
    types = tuple(dispatcher.typeof_pyval(argument) for argument in arguments)
    state.launched[dispatcher, types] = None
    program = _program(dispatcher, types)
    values: list[Any] = []
    areas: dict[int, Area] = {}
    for kind, argument in zip(types, arguments, strict=True):
        values += _passed(kind, argument, areas)
    counts = Counts() if state.on_launch else None
    grid, block = configuration.griddim, configuration.blockdim
    ran = interpreter.run(program, values, grid, block, list(areas.values()), counts, state.block_limit)
    if state.on_launch and counts is not None:
        array_bytes = sum(area.size for area in areas.values())
        state.on_launch(Counted(dispatcher.py_func.__name__, counts, ran, math.prod(grid), array_bytes))


def _passed(kind: Any, argument: Any, areas: dict[int, Area]) -> Iterator[Any]:
    """The scalars that stand for an argument in the kernel's PTX; adds the memory of an array to ``areas``."""
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


def main() -> None:
    """Runs the script that the command names."""
    import emulator  # this module is __main__, and the kernels that are launched refer to the other one

    if len(sys.argv) < 2:
        sys.exit("usage: python tests/gpu/emulator.py SCRIPT [ARGUMENT ...]")
    try:
        emulator.install()
    except ImportError as error:
        sys.exit(str(error))
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
