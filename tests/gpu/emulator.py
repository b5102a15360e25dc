"""A GPU that is not there: a driver with memory of the host, whose launches are interpreted.

python tests/gpu/emulator.py SCRIPT [ARGUMENT ...]     runs a script on it: bench.py --backend cuda, say

Needs numba-cuda, whose compiler works without a GPU. Call ``install`` before the package's kernels are imported.
``interpreter`` runs the launches. docs/emulator.md says how, and what this finds.
"""

from __future__ import annotations

import ctypes
import math
import runpy
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import interpreter
import numpy as np
from arithmetic import TYPES
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

    ``launched`` has the PTX of each kernel and the types that it was given, in order. ``requests`` lists the requests
    to the driver: copies, new memory, replays of graphs. If ``on_launch`` is set, it is called with each launch's
    ``Counted``. If ``block_limit`` is set, only so many blocks of each launch run.
    """

    installed: bool = False
    launched: dict[tuple[Any, tuple[Any, ...]], str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    on_launch: Callable[[Counted], object] | None = None
    block_limit: int | None = None


state = State()


@dataclass
class Function:
    """A kernel that is ready to be launched: its PTX, and the kernel and types that it was made from."""

    ptx: str
    name: str
    program: Program
    origin: tuple[Any, tuple[Any, ...]] | None = None


class EmulatedDriver:
    """What ``tinyalexnet.devices.cuda.driver.Driver`` has, for a GPU that is not there."""

    name, capability, multiprocessors, clock = "emulated", ARCHITECTURE, 132, 1_980_000_000
    version, bus_id = "emulated", ""
    total_bytes = 80 << 30

    def __init__(self) -> None:
        from tinyalexnet.devices.cuda.driver import DriverError

        self._error = DriverError
        self.is_capturing = False
        self._recorded: list[Callable[[], None]] = []
        self._invalid = False
        self._blocks: dict[int, np.ndarray] = {}

    def allocate(self, size: int) -> int:
        if self.is_capturing:
            raise self._error("memory was asked for while a step is captured")
        state.requests.append("memory")
        block = np.full(size + ALIGNMENT, NOT_WRITTEN, np.uint8)
        address = -(-block.ctypes.data // ALIGNMENT) * ALIGNMENT
        self._blocks[address] = block
        return address

    def free(self, address: int) -> None:
        del self._blocks[address]

    def free_bytes(self) -> int:
        return 80 << 30

    def pinned(self, size: int) -> np.ndarray:
        return np.full(size, NOT_WRITTEN, np.uint8)

    def copy_to_device(self, address: int, array: np.ndarray, wait: bool = True) -> None:
        self._refuse_to_wait()
        state.requests.append("host_to_device")
        ctypes.memmove(address, array.ctypes.data, array.nbytes)

    def copy_to_host(self, array: np.ndarray, address: int, wait: bool = True) -> None:
        self._refuse_to_wait()
        state.requests.append("device_to_host")
        ctypes.memmove(array.ctypes.data, address, array.nbytes)

    def copy_on_device(self, target: int, source: int, size: int) -> None:
        self._do(lambda: ctypes.memmove(target, source, size))

    def assemble(self, ptx: str) -> bytes:
        return ptx.encode()

    def load(self, code: bytes, entry: str, name: str) -> Function:
        return Function(code.decode(), name, Program(code.decode()))

    def launch(self, function: Function, blocks: Sequence[int], threads: int, arguments: int) -> None:
        kinds = [kind for _, kind in function.program.kernel.params]
        pointers = (ctypes.c_void_p * len(kinds)).from_address(arguments)
        values = [_read(at, kind) for at, kind in zip(pointers, kinds, strict=True)]
        state.launched[function.origin] = function.ptx
        self._do(lambda: self._run(function, blocks, threads, values))

    def _run(self, function: Function, blocks: Sequence[int], threads: int, values: list[Any]) -> None:
        areas: dict[int, Area] = {}
        for start, size, itemsize in self._arrays(values):
            known = areas.setdefault(start, Area(start, size, itemsize))
            assert known.size == size, "arrays overlap"
        counts = Counts() if state.on_launch else None
        grid, block = tuple(blocks), (threads, 1, 1)
        ran = interpreter.run(function.program, values, grid, block, list(areas.values()), counts, state.block_limit)
        if state.on_launch and counts is not None:
            array_bytes = sum(area.size for area in areas.values())
            name = function.origin[0].py_func.__name__
            state.on_launch(Counted(name, counts, ran, math.prod(grid), array_bytes))

    def _arrays(self, values: list[Any]) -> Iterator[tuple[int, int, int]]:
        """Start, bytes and bytes of an element of each array among a kernel's arguments.

        Numba passes an array as two null pointers, the number of elements, the bytes of one, the address, ...
        """
        for i in range(len(values) - 4):
            null, other, count, itemsize, start = (int(value) for value in values[i : i + 5])
            if null == other == 0 and count > 0 and self._holds(start, count * itemsize):
                yield start, count * itemsize, itemsize

    def _holds(self, start: int, size: int) -> bool:
        block = self._blocks.get(start)
        return block is not None and start + size <= block.ctypes.data + block.size

    def wait(self) -> None:
        self._refuse_to_wait()

    def wait_for(self, event: Any) -> None:
        self._refuse_to_wait()

    def event(self) -> Any:
        event = SimpleNamespace(seconds=0.0)
        self._do(lambda: setattr(event, "seconds", time.perf_counter()))
        return event

    def seconds_between(self, start: Any, end: Any) -> float:
        return float(end.seconds - start.seconds)

    def begin_capture(self) -> None:
        self.is_capturing, self._recorded, self._invalid = True, [], False

    def end_capture(self) -> list[Callable[[], None]]:
        self.is_capturing = False
        if self._invalid:
            raise self._error("the capture is invalid")
        return self._recorded

    def replay(self, graph: list[Callable[[], None]]) -> None:
        state.requests.append("replay")
        for launch in graph:
            launch()

    def forget(self, graph: list[Callable[[], None]]) -> None:
        graph.clear()

    def _do(self, work: Callable[[], object]) -> None:
        """Now, or at each replay of the step that is captured."""
        if self.is_capturing:
            self._recorded.append(work)  # type: ignore[arg-type]
        else:
            work()

    def _refuse_to_wait(self) -> None:
        """As the driver, which then also refuses to make the graph."""
        if self.is_capturing:
            self._invalid = True
            raise self._error("a copy from or to the host, or a wait, while a step is captured")


def _read(address: int, kind: str) -> Any:
    return np.frombuffer(ctypes.string_at(address, np.dtype(TYPES[kind]).itemsize), TYPES[kind])[0]


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
    from numba.cuda import dispatcher

    from tinyalexnet.devices.cuda import driver, kernels, memory

    # Numba compiles the functions that kernels call for the GPU that is there.
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=ARCHITECTURE)
    emulated = EmulatedDriver()
    driver.driver.cache_clear()

    def made(number: int) -> EmulatedDriver:
        emulated.name, emulated.bus_id = f"emulated GPU {number}", f"0000:0{number}:00.0"
        return emulated

    driver.Driver = made
    make_ready = kernels._compile

    def noted(kernel: Any, key: Any, arguments: Any, slots: Any) -> Any:
        ready = make_ready(kernel, key, arguments, slots)
        ready.function.origin = kernel, kernel.types(arguments)
        return ready

    kernels._compile = noted
    take = memory.DeviceMemoryPool.empty

    def poisoned(pool: Any, shape: Any, dtype: Any) -> Any:
        """Memory that is used again has lost its old contents."""
        array = take(pool, shape, dtype)
        ctypes.memset(array.address, NOT_WRITTEN, array.memory.size)
        return array

    memory.DeviceMemoryPool.empty = poisoned


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
