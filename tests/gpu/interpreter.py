"""Runs compiled CUDA kernels without a GPU: it executes PTX, one instruction after the other, on the host.

All threads of some blocks run in step. A register is a NumPy array with one element for each thread. If threads take
different branches, those that are furthest behind run first, so that all meet again. A barrier holds threads until all
threads of their block are there.

These mistakes pass in silence on a GPU and raise a ``KernelError`` here: an address outside of every array that the
kernel was given, or one that is not a multiple of the size of the load; shared memory that is read before it was
written, or while a copy to it is on its way; a barrier that some threads of a block do not reach; an instruction for
whole warps that a part of a warp runs; and a race: two threads use one element, at least one of them writes, and no
barrier is between them.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from arithmetic import TYPES, KernelError
from copies import Copies
from program import Frame, Function, Program

MAX_THREADS = 1 << 14
"""Threads that run in step: their registers fit in the cache."""

NOBODY, SEVERAL = 0, -1
"""In place of a thread, which are counted from 1, so that memory full of zeros is not touched before it is used."""

SECTOR, BANKS, WARP = 32, 32, 32
"""Bytes that memory moves at least; banks of shared memory, of four bytes each; threads that share an instruction."""


class Users:
    """For each element: the last thread that wrote it and the last that read it, and between which barriers."""

    def __init__(self, count: int) -> None:
        self.writer, self.reader, self.written, self.read = np.zeros((4, count), np.int64)

    def load(self, at: np.ndarray, threads: np.ndarray, period: np.ndarray | int) -> np.ndarray:
        """Notes a load of elements ``at``; true for each that another thread wrote in this period."""
        bad = (self.writer[at] != threads) & (self.writer[at] != NOBODY) & (self.written[at] == period)
        others = (self.reader[at] != threads) & (self.reader[at] != NOBODY) & (self.read[at] == period)
        self.reader[at] = np.where(others, SEVERAL, threads)
        self.reader[at[self.reader[at] != threads]] = SEVERAL
        self.read[at] = period
        return bad

    def store(self, at: np.ndarray, threads: np.ndarray, period: np.ndarray | int) -> np.ndarray:
        """Notes a store to elements ``at``; true for each that another thread wrote or read in this period."""
        bad = (self.writer[at] != threads) & (self.writer[at] != NOBODY) & (self.written[at] == period)
        bad |= (self.reader[at] != threads) & (self.reader[at] != NOBODY) & (self.read[at] == period)
        self.writer[at], self.written[at] = threads, period
        return bad | (self.writer[at] != threads)


@dataclass
class Area:
    """The memory of an array that a kernel was given, and its users in this launch."""

    start: int
    size: int
    itemsize: int

    def __post_init__(self) -> None:
        self.bytes = np.frombuffer((ctypes.c_uint8 * self.size).from_address(self.start), np.uint8)
        self.users = Users(self.size // self.itemsize)


@dataclass
class Counts:
    """Counts of a launch."""

    instructions: Counter[str] = field(default_factory=Counter)
    """Instructions that warps issued, by name."""
    requested: Counter[str] = field(default_factory=Counter)
    """Bytes that threads loaded from global memory and stored to it."""
    moved: Counter[str] = field(default_factory=Counter)
    """Bytes of the sectors that hold them, counted once for each instruction of a warp."""
    turns: Counter[str] = field(default_factory=Counter)
    """Turns of shared memory; in one turn each bank serves one word."""
    least_turns: Counter[str] = field(default_factory=Counter)
    """Turns without bank conflicts."""

    def count(self, name: str, warps: np.ndarray) -> None:
        self.instructions[name] += np.unique(warps).size

    def count_global(self, what: str, warps: np.ndarray, addresses: np.ndarray, size: int) -> None:
        self.requested[what] += addresses.size * size
        self.moved[what] += np.unique(warps * (1 << 50) + addresses.astype(np.int64) // SECTOR).size * SECTOR

    def count_shared(self, what: str, lanes: np.ndarray, words: np.ndarray, per_thread: int) -> None:
        """A turn serves 32 threads with one word each, 16 with two, or eight with four."""
        together = lanes // (WARP // per_thread)
        group = np.repeat(together, per_thread)
        word = (words[:, None] + np.arange(per_thread)).ravel()
        pairs = np.unique(group * (1 << 40) + word)
        of, bank = pairs >> 40, pairs % BANKS
        groups, index = np.unique(of, return_inverse=True)
        per_bank = np.zeros((groups.size, BANKS), np.int64)
        np.add.at(per_bank, (index, bank), 1)
        self.turns[what] += int(per_bank.max(1).sum())
        self.least_turns[what] += groups.size


class Launch:
    """Some blocks of a kernel that run in step, and the memory that they see."""

    def __init__(
        self,
        program: Program,
        arguments: Sequence[Any],
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        areas: Sequence[Area],
        blocks: np.ndarray,
        counts: Counts | None,
    ) -> None:
        self.program, self.areas, self.counts = program, areas, counts
        size = int(np.prod(block))
        lanes = np.arange(len(blocks) * size)
        self.block_of = lanes // size
        self.threads = blocks[self.block_of] * size + lanes % size + 1
        self.warp_of = self.block_of * -(-size // WARP) + lanes % size // WARP
        self.in_block = lanes % size
        self.block_size = size
        self.period = np.zeros(len(blocks), np.int64)
        special = {}
        for name, sizes, index in (("tid", block, lanes % size), ("ctaid", grid, blocks[self.block_of])):
            for axis, along in zip("xyz", np.unravel_index(index, sizes, "F"), strict=True):
                special[f"%{name}.{axis}"] = along.astype(np.uint32)
                special[f"%n{name}.{axis}"] = np.full(lanes.size, sizes["xyz".index(axis)], np.uint32)
        params = program.kernel.params
        assert len(params) == len(arguments)
        values = {
            name: np.array(value).astype(TYPES[kind]) for (name, kind), value in zip(params, arguments, strict=True)
        }
        self.frame = Frame(lanes, values, special)
        words = len(blocks) * -(-program.shared_size // 4)
        self.shared = np.zeros(words * 4, np.uint8)
        self.shared_users = Users(words)
        self.copies = Copies(lanes.size)
        self.on_its_way = np.zeros(words, bool)
        self.text = ""

    def run(self, function: Function, frame: Frame) -> None:
        """All threads of the frame, from the first instruction to the last."""
        at = np.zeros(frame.count, np.int64)
        waits = np.zeros(frame.count, bool)
        end = len(function.blocks)
        together: int | None = 0  # the basic block of all threads, as long as they are in the same one
        while True:
            if together is None:
                runs = (at < end) & ~waits
                if not runs.any():
                    if waits.any():
                        raise self._fault("a barrier that some threads of a block do not reach", np.flatnonzero(waits))
                    return
                now = int(at[runs].min())
                active = np.flatnonzero(runs & (at == now))
                frame.active = None if active.size == frame.count else active
            elif together == end:
                return
            else:
                now, frame.active = together, None
            following = self._run_block(function, now, frame)
            at[slice(None) if frame.active is None else frame.active] = following
            if function.blocks[now].end == "barrier":
                self.text = "bar.sync"
                self._arrive(frame, waits)
            together = int(at[0]) if not waits.any() and (at == at[0]).all() else None

    def _run_block(self, function: Function, now: int, frame: Frame) -> Any:
        """Runs a basic block; the index of the next one, or one for each active thread if they differ."""
        block = function.blocks[now]
        for self.text, instruction in block.instructions:
            instruction(frame, self)
            if self.counts is not None:
                self.counts.count(self.text.partition(" ")[0], self.warp_of[frame.of_active(frame.lanes)])
        if self.counts is not None and block.end != "next":
            self.counts.count(block.end, self.warp_of[frame.of_active(frame.lanes)])
        following: Any = len(function.blocks) if block.end == "return" else now + 1
        if block.end == "branch":
            target = function.labels[block.target]
            following = target if block.condition is None else np.where(block.condition(frame), target, following)
        if np.ndim(following) and (following == following[0]).all():
            following = int(following[0])
        return following

    def _arrive(self, frame: Frame, waits: np.ndarray) -> None:
        """The active threads wait at a barrier; the threads of a block that is complete go on."""
        waits[slice(None) if frame.active is None else frame.active] = True
        whole = np.bincount(self.block_of[waits], minlength=self.period.size) == self.block_size
        self.period[whole] += 1
        waits[whole[self.block_of]] = False

    def access(
        self,
        space: str,
        addresses: np.ndarray,
        frame: Frame,
        dtype: type,
        count: int,
        values: Sequence[np.ndarray] | None = None,
    ) -> list[np.ndarray] | None:
        """Loads ``count`` elements in a row for each active thread, or stores ``values`` there."""
        lanes = frame.of_active(frame.lanes)
        addresses = np.broadcast_to(addresses, lanes.shape)
        size = np.dtype(dtype).itemsize * count
        if (addresses % np.uint64(size)).any():
            raise self._fault(f"an address that is not a multiple of {size}", lanes[addresses % np.uint64(size) > 0])
        access = self._access_shared if space == "shared" else self._access_global
        return access(addresses, lanes, np.dtype(dtype), count, values)

    def copy(self, to: np.ndarray, source: np.ndarray, sizes: np.ndarray, frame: Frame) -> None:
        """Starts to copy ``sizes`` bytes, up to 16, to shared memory for each active thread; the rest becomes 0."""
        lanes = frame.of_active(frame.lanes)
        to, source, sizes = (np.broadcast_to(values, lanes.shape) for values in (to, source, sizes))
        if (sizes > 16).any():
            raise self._fault("a copy of more than 16 bytes", lanes[sizes > 16])
        wrong = (to % np.uint64(16) > 0) | (source % np.uint64(16) > 0)
        if wrong.any():
            raise self._fault("an address that is not a multiple of 16", lanes[wrong])
        values = [np.zeros(lanes.shape, np.float32) for _ in range(4)]
        for k, value in enumerate(values):
            reads = sizes > 4 * k
            if reads.any():
                there = source[reads] + np.uint64(4 * k)
                found = self._access_global(there, lanes[reads], np.dtype(np.float32), 1, None)
                assert found is not None
                value[reads] = found[0]
        self._access_shared(to, lanes, np.dtype(np.float32), 4, values)
        self._mark(to, lanes, True)
        self.copies.start(lanes, to, values)

    def commit(self, frame: Frame) -> None:
        self.copies.commit(frame.of_active(frame.lanes))

    def wait(self, left: int, frame: Frame) -> None:
        """Active threads wait until all but ``left`` of their groups of copies are there."""
        for there in self.copies.wait(frame.of_active(frame.lanes), left):
            self._mark(there.addresses, there.lanes, False)
            self._access_shared(there.addresses, there.lanes, np.dtype(np.float32), 4, there.values, counted=False)

    def _mark(self, addresses: np.ndarray, lanes: np.ndarray, on_its_way: bool) -> None:
        words = addresses.astype(np.int64) // 4 + self.block_of[lanes] * -(-self.program.shared_size // 4)
        self.on_its_way[words[:, None] + np.arange(4)] = on_its_way

    def check_warps(self, frame: Frame) -> None:
        """KernelError if only a part of a warp is active."""
        lanes = frame.of_active(frame.lanes)
        active = np.bincount(self.warp_of[lanes])[self.warp_of[lanes]]
        if (active != WARP).any():
            raise self._fault("an instruction for whole warps, run by a part of one", lanes[active != WARP])

    def _access_shared(
        self, addresses: np.ndarray, lanes: np.ndarray, dtype: np.dtype, count: int, values: Any, counted: bool = True
    ) -> list[np.ndarray] | None:
        outside = addresses + np.uint64(dtype.itemsize * count) > np.uint64(self.program.shared_size)
        if outside.any():
            raise self._fault("an address outside of shared memory", lanes[outside])
        if self.counts is not None and counted:
            per_thread = dtype.itemsize * count // 4
            groups = self.warp_of[lanes] * WARP + self.in_block[lanes] % WARP
            what = "load" if values is None else "store"
            self.counts.count_shared(what, groups, addresses.astype(np.int64) // 4, per_thread)
        of_block = self.block_of[lanes]
        at = (addresses.astype(np.int64) + of_block * -(-self.program.shared_size // 4) * 4) // dtype.itemsize
        words = dtype.itemsize // 4
        self._note(at, count, lanes, self.shared_users, words, self.period[of_block], values is None)
        return self._exchange(self.shared.view(dtype), at, values, count)

    def _access_global(
        self, addresses: np.ndarray, lanes: np.ndarray, dtype: np.dtype, count: int, values: Any
    ) -> list[np.ndarray] | None:
        size = np.uint64(dtype.itemsize * count)
        if self.counts is not None:
            what = "load" if values is None else "store"
            self.counts.count_global(what, self.warp_of[lanes], addresses, int(size))
        found: list[np.ndarray] | None = None
        left = np.ones(lanes.shape, bool)
        for area in self.areas:
            inside = (addresses >= area.start) & (addresses + size <= area.start + area.size) & left
            if not inside.any():
                continue
            whole = inside.all()
            at = (addresses if whole else addresses[inside]).astype(np.int64) - area.start
            those = lanes if whole else lanes[inside]
            given = values if values is None or whole else [np.broadcast_to(v, lanes.shape)[inside] for v in values]
            if dtype.itemsize != area.itemsize:
                raise self._fault(f"{dtype.itemsize} bytes of an array of elements of {area.itemsize}", those)
            self._note(at // dtype.itemsize, count, those, area.users, 1, 0, values is None)
            some = self._exchange(area.bytes.view(dtype), at // dtype.itemsize, given, count)
            if whole:
                return some
            left &= ~inside
            if some is not None:
                found = found or [np.zeros(lanes.shape, dtype) for _ in range(count)]
                for target, elements in zip(found, some, strict=True):
                    target[inside] = elements
        if left.any():
            raise self._fault("an address outside of every array", lanes[left])
        return found

    def _note(
        self, at: np.ndarray, count: int, lanes: np.ndarray, users: Users, words: int, period: Any, is_load: bool
    ) -> None:
        """Notes the users of ``count`` elements from ``at`` on; ``users`` has so many ``words`` for each element."""
        threads = self.threads[lanes]
        for k in range(count * words):
            word = at * words + k
            if is_load and users is self.shared_users and (users.writer[word] == NOBODY).any():
                raise self._fault("shared memory that nobody has written", lanes[users.writer[word] == NOBODY])
            if users is self.shared_users and self.on_its_way[word].any():
                raise self._fault("shared memory that a copy may be writing", lanes[self.on_its_way[word]])
            bad = (users.load if is_load else users.store)(word, threads, period)
            if bad.any():
                raise self._fault("a race: another thread uses the same element", lanes[bad])

    @staticmethod
    def _exchange(elements: np.ndarray, at: np.ndarray, values: Any, count: int) -> list[np.ndarray] | None:
        if values is None:
            return [elements[at + k] for k in range(count)]
        for k, value in enumerate(values):
            elements[at + k] = value
        return None

    def _fault(self, what: str, lanes: np.ndarray) -> KernelError:
        thread = int(self.threads[lanes[0]]) - 1
        block, thread = divmod(thread, self.block_size)
        return KernelError(f"{what}: block {block}, thread {thread}, at {self.text!r}")


def run(
    program: Program,
    arguments: Sequence[Any],
    grid: tuple[int, int, int],
    block: tuple[int, int, int],
    areas: Sequence[Area],
    counts: Counts | None = None,
    block_limit: int | None = None,
) -> int:
    """Runs all blocks of a kernel, or ``block_limit`` of them at even distances; returns their number."""
    count, threads = int(np.prod(grid)), int(np.prod(block))
    chosen = min(block_limit or count, count)
    blocks = np.arange(chosen) * (count - 1) // max(1, chosen - 1)
    step = max(1, MAX_THREADS // threads)
    with np.errstate(all="ignore"):
        for first in range(0, blocks.size, step):
            launch = Launch(program, arguments, grid, block, areas, blocks[first : first + step], counts)
            launch.run(program.kernel, launch.frame)
    return blocks.size
