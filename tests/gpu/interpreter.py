"""Runs compiled CUDA kernels without a GPU: PTX, the text that ptxas would take, one instruction after the other.

All threads of some blocks go in step, a NumPy array for each register, with a number for each thread. Where they part,
those that are furthest behind go first, so that they meet again. A barrier holds threads until all of their block are
there.

What a GPU would do without a word is a ``KernelError`` here: an address outside of every array that the kernel was
given, or that is no multiple of what is loaded; shared memory read before it was written; a barrier that some threads
pass by; and a race, two threads that use one number, of which one writes, with no barrier between them.
"""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MOST_THREADS = 1 << 14
"""Threads that go in step: arrays that fit the cache."""

NOBODY, SEVERAL = 0, -1
"""In place of the number of a thread, counted from 1: memory full of zeros is not touched before it is used."""

SECTOR, BANKS, WARP = 32, 32, 32
"""Bytes that memory moves at least; banks of four bytes of shared memory; threads that share an instruction."""

TYPES: dict[str, type] = {
    "pred": np.bool_,
    **dict.fromkeys(("u8", "b8"), np.uint8),
    **dict.fromkeys(("u16", "b16"), np.uint16),
    **dict.fromkeys(("u32", "b32"), np.uint32),
    **dict.fromkeys(("u64", "b64"), np.uint64),
    "s8": np.int8,
    "s16": np.int16,
    "s32": np.int32,
    "s64": np.int64,
    "f32": np.float32,
    "f64": np.float64,
}


class KernelError(Exception):
    """What a kernel must not do."""


@dataclass
class Area:
    """Memory of an array that a kernel was given, and who used which of its numbers in this launch."""

    start: int
    size: int
    itemsize: int

    def __post_init__(self) -> None:
        self.bytes = np.frombuffer((ctypes.c_uint8 * self.size).from_address(self.start), np.uint8)
        self.users = Users(self.size // self.itemsize)


class Users:
    """The last thread that wrote each number, and that read it, and in which period between two barriers."""

    def __init__(self, count: int) -> None:
        self.writer, self.reader, self.written, self.read = np.zeros((4, count), np.int64)

    def load(self, at: np.ndarray, threads: np.ndarray, period: np.ndarray | int) -> np.ndarray:
        """Where a race is: others wrote what is read."""
        bad = (self.writer[at] != threads) & (self.writer[at] != NOBODY) & (self.written[at] == period)
        others = (self.reader[at] != threads) & (self.reader[at] != NOBODY) & (self.read[at] == period)
        self.reader[at] = np.where(others, SEVERAL, threads)
        self.reader[at[self.reader[at] != threads]] = SEVERAL
        self.read[at] = period
        return bad

    def store(self, at: np.ndarray, threads: np.ndarray, period: np.ndarray | int) -> np.ndarray:
        """Where a race is: others wrote or read what is written."""
        bad = (self.writer[at] != threads) & (self.writer[at] != NOBODY) & (self.written[at] == period)
        bad |= (self.reader[at] != threads) & (self.reader[at] != NOBODY) & (self.read[at] == period)
        self.writer[at], self.written[at] = threads, period
        return bad | (self.writer[at] != threads)


@dataclass
class Counts:
    """What the warps of a launch did."""

    instructions: Counter[str] = field(default_factory=Counter)
    """Instructions that a warp issued, by name."""
    requested: Counter[str] = field(default_factory=Counter)
    """Bytes that threads loaded from and stored to global memory."""
    moved: Counter[str] = field(default_factory=Counter)
    """Bytes of the sectors that these are in, counted once for each instruction of a warp."""
    turns: Counter[str] = field(default_factory=Counter)
    """Turns that shared memory took, one word of each bank in a turn."""
    least_turns: Counter[str] = field(default_factory=Counter)
    """Turns that it would take without conflicts."""

    def count(self, name: str, warps: np.ndarray) -> None:
        self.instructions[name] += np.unique(warps).size

    def count_global(self, what: str, warps: np.ndarray, addresses: np.ndarray, size: int) -> None:
        self.requested[what] += addresses.size * size
        self.moved[what] += np.unique(warps * (1 << 50) + addresses.astype(np.int64) // SECTOR).size * SECTOR

    def count_shared(self, what: str, lanes: np.ndarray, words: np.ndarray, per_thread: int) -> None:
        """Of 32 threads with a word each, half of them with two, or a quarter with four."""
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


class Frame:
    """The registers of threads in step, by their numbers in the launch, and which of them go on now: ``active``, or all
    where it is None."""

    def __init__(self, lanes: np.ndarray, params: dict[str, Any], special: dict[str, np.ndarray]) -> None:
        self.lanes, self.count = lanes, lanes.size
        self.params, self.special = params, special
        self.registers: dict[str, np.ndarray] = {}
        self.active: np.ndarray | None = None

    def all(self, values: np.ndarray) -> np.ndarray:
        """Those of the active threads."""
        return values if self.active is None else values[self.active]

    def write(self, register: str, dtype: type, values: Any) -> None:
        values = _as(np.asarray(values), dtype)
        if self.active is None:
            self.registers[register] = np.broadcast_to(values, (self.count,))
            return
        # A copy: registers that were moved share their numbers.
        found = self.registers.get(register)
        changed = np.zeros(self.count, dtype) if found is None else found.copy()
        changed[self.active] = values
        self.registers[register] = changed


def _as(values: np.ndarray, dtype: type) -> np.ndarray:
    """The same bits, as another type; of a narrower one as many as there are, of a wider one extended."""
    if values.dtype == dtype:
        return values
    size = np.dtype(dtype).itemsize
    if values.dtype.itemsize == size:
        return values.view(dtype)
    signed = values.dtype.kind == "i"
    return values.astype(f"{'i' if signed else 'u'}{size}").view(dtype)


@dataclass
class Block:
    """Instructions that are run one after the other, and how it goes on."""

    instructions: list[tuple[str, Callable[..., None]]] = field(default_factory=list)
    end: str = "next"  # or "branch", "barrier", "return"
    target: str = ""
    condition: Callable[[Frame], np.ndarray] | None = None


class Function:
    """A kernel, or what it calls."""

    def __init__(self, program: Program, name: str, params: str, body: str) -> None:
        self.program, self.name = program, name
        self.params = [(line.split()[-1], line.split()[-2][1:]) for line in params.split(",") if line.strip()]
        self.types = {}
        self.blocks = [Block()]
        self.labels: dict[str, int] = {}
        # Braces alone in a line only limit where a name is known.
        body = re.sub(r"^\s*[{}]\s*$", "", body, flags=re.MULTILINE)
        for labelled in body.split(";"):
            *labels, statement = (part.strip() for part in re.split(r":\s", labelled))
            for label in labels:
                if self.blocks[-1].instructions or len(self.blocks) == 1:
                    self.blocks.append(Block())
                self.labels[label] = len(self.blocks) - 1
            if statement:
                self._add(" ".join(statement.split()))
        self.blocks.append(Block(end="return"))

    def _add(self, statement: str) -> None:
        if statement.startswith(".reg"):
            _, dtype, *names = statement.replace(",", " ").split()
            self.types |= {name.partition("<")[0]: TYPES[dtype[1:]] for name in names}
        elif not statement.startswith("."):
            predicate = re.match(r"@(!?)(%\w+) ", statement)
            name, _, operands = statement[predicate.end() if predicate else 0 :].partition(" ")
            parts = name.split(".")
            if parts[0] in ("bra", "ret", "bar"):
                block = self.blocks[-1]
                block.end = {"bra": "branch", "ret": "return", "bar": "barrier"}[parts[0]]
                block.target = operands
                if predicate:
                    block.condition = self._condition(*predicate.groups())
                self.blocks.append(Block())
            else:
                assert not predicate, statement
                self.blocks[-1].instructions.append((statement, self._instruction(parts, operands)))

    def _condition(self, negated: str, register: str) -> Callable[[Frame], np.ndarray]:
        read = self._reader(register, np.bool_)
        return (lambda frame: ~read(frame)) if negated else read

    def type_of(self, register: str) -> type:
        return self.types[register if register in self.types else register.rstrip("0123456789")]

    def _reader(self, operand: str, dtype: type) -> Callable[[Frame], Any]:
        """Reads a register, a number in the text, or the address of a shared array."""
        if "." in operand:
            return lambda frame: _as(frame.all(frame.special[operand]), dtype)
        if operand.startswith("%"):
            return lambda frame: _as(frame.all(frame.registers[operand]), dtype)
        if operand in self.program.shared:
            constant = np.array(self.program.shared[operand]).astype(dtype)
        elif re.match("0[fFdD]", operand):
            bits = np.array(int(operand[2:], 16), "u4" if operand[1] in "fF" else "u8")
            constant = _as(bits, dtype)
        else:
            constant = np.array(int(operand)).astype(dtype)
        return lambda frame: constant

    def _instruction(self, parts: list[str], operands: str) -> Callable[..., None]:
        if parts[0] == "call":
            return self._call(operands)
        # A group in braces is one operand.
        names = re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^\s,]+", operands)
        if parts[0] in ("ld", "st"):
            return self._memory(parts, names)
        dtype = TYPES[parts[-1]]
        if parts[0] == "mov" and "{" in operands:
            return self._packing(names, dtype)
        if parts[0] == "cvta":
            parts = ["mov", parts[-1]]
        result, *sources = names
        into = self.type_of(result)
        compute = operation(parts)
        if parts[0] == "selp":
            types: Sequence[type] = (dtype, dtype, np.bool_)
        elif parts[0] in ("shl", "shr"):
            types = (dtype, np.uint32)
        elif parts[0] == "bfi":
            types = (dtype, dtype, np.uint32, np.uint32)
        else:
            types = (dtype,) * len(sources)
        readers = [self._reader(source, kind) for source, kind in zip(sources, types, strict=True)]
        return lambda frame, _: frame.write(result, into, compute(*(read(frame) for read in readers)))

    def _packing(self, names: list[str], dtype: type) -> Callable[..., None]:
        """The halves of a register of 64 bits to two of 32, or the other way round."""
        halves = re.findall(r"%\w+", names[0] if names[0].startswith("{") else names[1])
        assert np.dtype(dtype).itemsize == 8
        if names[0].startswith("{"):
            read = self._reader(names[1], np.uint64)

            def unpack(frame: Frame, _: Any) -> None:
                bits = read(frame)
                frame.write(halves[0], self.type_of(halves[0]), (bits & np.uint64(0xFFFFFFFF)).astype(np.uint32))
                frame.write(halves[1], self.type_of(halves[1]), (bits >> np.uint64(32)).astype(np.uint32))

            return unpack
        low, high = (self._reader(half, np.uint32) for half in halves)
        into = self.type_of(names[0])

        def pack(frame: Frame, _: Any) -> None:
            bits = high(frame).astype(np.uint64) << np.uint64(32) | low(frame).astype(np.uint64)
            frame.write(names[0], into, bits)

        return pack

    def _memory(self, parts: list[str], names: list[str]) -> Callable[..., None]:
        dtype = TYPES[parts[-1]]
        place, registers = names if parts[0] == "st" else reversed(names)
        values = re.findall(r"%\w+", registers)
        base, _, offset = place.strip("[]").partition("+")
        if "param" in parts:
            if parts[0] == "st":
                read = self._reader(values[0], dtype)
                return lambda frame, _: frame.params.update({base: read(frame)})
            into = self.type_of(values[0])
            return lambda frame, _: frame.write(values[0], into, _as(np.asarray(frame.params[base]), dtype))
        address, offset = self._reader(base, np.uint64), np.uint64(int(offset or 0) % (1 << 64))
        space = "shared" if "shared" in parts else "global"
        if parts[0] == "ld":
            types = [self.type_of(value) for value in values]

            def load(frame: Frame, launch: Launch) -> None:
                loaded = launch.access(space, address(frame) + offset, frame, dtype, len(values))
                for value, kind, numbers in zip(values, types, loaded, strict=True):
                    frame.write(value, kind, numbers)

            return load
        readers = [self._reader(value, dtype) for value in values]
        return lambda frame, launch: launch.access(
            space, address(frame) + offset, frame, dtype, len(values), [read(frame) for read in readers]
        )

    def _call(self, operands: str) -> Callable[..., None]:
        result, name, arguments = re.fullmatch(r"\((\w+)\), (\w+), \( ?(.*?) ?\)", operands).groups()

        def call(frame: Frame, launch: Launch) -> None:
            function = self.program.functions[name]
            values = (frame.params[argument] for argument in arguments.split(", "))
            params = dict(zip((param for param, _ in function.params), values, strict=True))
            inner = Frame(frame.all(frame.lanes), params, {})
            launch.run(function, inner)
            frame.params[result] = inner.params["func_retval0"]

        return call


class Program:
    """PTX: its kernel, what that calls, and where its shared arrays are."""

    def __init__(self, text: str) -> None:
        text = re.sub(r"//.*", "", text)
        self.shared: dict[str, int] = {}
        self.shared_size = 0
        for align, name, size in re.findall(r"\.shared \.align (\d+) \.b8 (\w+)\[(\d+)\]", text):
            self.shared[name] = -(-self.shared_size // int(align)) * int(align)
            self.shared_size = self.shared[name] + int(size)
        self.functions: dict[str, Function] = {}
        header = r"(\.visible \.entry|\.func +\([^)]*\)) (\w+)\s*\(([^)]*)\)\s*\{\n(.*?)\n\}"
        for kind, name, params, body in re.findall(header, text, re.DOTALL):
            self.functions[name] = Function(self, name, params, body)
            if kind == ".visible .entry":
                self.kernel = self.functions[name]


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
        for what, sizes, number in (
            ("tid", block, lanes % size),
            ("ctaid", grid, blocks[self.block_of]),
        ):
            for axis, index in zip("xyz", np.unravel_index(number, sizes, "F"), strict=True):
                special[f"%{what}.{axis}"] = index.astype(np.uint32)
                special[f"%n{what}.{axis}"] = np.full(lanes.size, sizes["xyz".index(axis)], np.uint32)
        params = program.kernel.params
        assert len(params) == len(arguments)
        values = {
            name: np.array(value).astype(TYPES[kind]) for (name, kind), value in zip(params, arguments, strict=True)
        }
        self.frame = Frame(lanes, values, special)
        words = len(blocks) * -(-program.shared_size // 4)
        self.shared = np.zeros(words * 4, np.uint8)
        self.shared_users = Users(words)
        self.text = ""

    def run(self, function: Function, frame: Frame) -> None:
        """All threads of the frame, from the first instruction to the last."""
        at = np.zeros(frame.count, np.int64)
        waits = np.zeros(frame.count, bool)
        end = len(function.blocks)
        together: int | None = 0  # where all threads are, as long as they are in one place
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
            block = function.blocks[now]
            for self.text, instruction in block.instructions:
                instruction(frame, self)
                if self.counts is not None:
                    self.counts.count(self.text.partition(" ")[0], self.warp_of[frame.all(frame.lanes)])
            if self.counts is not None and block.end != "next":
                self.counts.count(block.end, self.warp_of[frame.all(frame.lanes)])
            following: Any = end if block.end == "return" else now + 1
            if block.end == "branch":
                target = function.labels[block.target]
                following = target if block.condition is None else np.where(block.condition(frame), target, following)
            if np.ndim(following) and (following == following[0]).all():
                following = int(following[0])
            if frame.active is None:
                at[:] = following
            else:
                at[frame.active] = following
            if block.end == "barrier":
                self.text = "bar.sync"
                self._arrive(frame, waits)
            together = int(at[0]) if not waits.any() and (at == at[0]).all() else None

    def _arrive(self, frame: Frame, waits: np.ndarray) -> None:
        """The active threads wait, and go on where their whole block does."""
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
        """Loads ``count`` numbers in a row for each active thread, or stores ``values`` there."""
        lanes = frame.all(frame.lanes)
        addresses = np.broadcast_to(addresses, lanes.shape)
        size = np.dtype(dtype).itemsize
        if (addresses % np.uint64(size * count)).any():
            raise self._fault(
                f"an address that is no multiple of {size * count}", lanes[addresses % (size * count) > 0]
            )
        what = "load" if values is None else "store"
        if space == "shared":
            words = -(-self.program.shared_size // 4)
            if (addresses + np.uint64(size * count) > np.uint64(self.program.shared_size)).any():
                raise self._fault("an address outside of shared memory", lanes)
            at = (addresses.astype(np.int64) + self.block_of[lanes] * words * 4) // size
            if self.counts is not None:
                per_thread = size * count // 4
                groups = self.warp_of[lanes] * WARP + self.in_block[lanes] % WARP
                self.counts.count_shared(what, groups, addresses.astype(np.int64) // 4, per_thread)
            numbers = self.shared.view(dtype)
            users, per_number = self.shared_users, size // 4
            return self._exchange(
                numbers, at, values, count, lanes, users, per_number, self.period[self.block_of[lanes]]
            )
        if self.counts is not None:
            self.counts.count_global(what, self.warp_of[lanes], addresses, size * count)
        found: list[np.ndarray] | None = None
        left = np.ones(lanes.shape, bool)
        for area in self.areas:
            inside = (addresses >= area.start) & (addresses + np.uint64(size * count) <= area.start + area.size) & left
            if not inside.any():
                continue
            whole = inside.all()
            at = (addresses if whole else addresses[inside]).astype(np.int64) - area.start
            those = lanes if whole else lanes[inside]
            given = values if values is None or whole else [np.broadcast_to(v, lanes.shape)[inside] for v in values]
            if size != area.itemsize:
                raise self._fault(f"{size} bytes of an array of numbers of {area.itemsize}", those)
            some = self._exchange(area.bytes.view(dtype), at // size, given, count, those, area.users, 1, 0)
            if whole:
                return some
            left &= ~inside
            if some is not None:
                found = found or [np.zeros(lanes.shape, dtype) for _ in range(count)]
                for target, numbers in zip(found, some, strict=True):
                    target[inside] = numbers
        if left.any():
            raise self._fault("an address outside of every array", lanes[left])
        return found

    def _exchange(
        self,
        numbers: np.ndarray,
        at: np.ndarray,
        values: Sequence[np.ndarray] | None,
        count: int,
        lanes: np.ndarray,
        users: Users,
        words: int,
        period: np.ndarray | int,
    ) -> list[np.ndarray] | None:
        """Loads or stores, and notes who did: each number has so many words of ``users``."""
        threads = self.threads[lanes]
        for k in range(count * words):
            word = at * words + k
            if values is None:
                if users is self.shared_users and (users.writer[word] == NOBODY).any():
                    raise self._fault("shared memory that nobody has written", lanes[users.writer[word] == NOBODY])
                bad = users.load(word, threads, period)
            else:
                bad = users.store(word, threads, period)
            if bad.any():
                raise self._fault("a race: another thread uses the same number", lanes[bad])
        if values is None:
            return [numbers[at + k] for k in range(count)]
        for k, value in enumerate(values):
            numbers[at + k] = value
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
    most: int | None = None,
) -> int:
    """Runs all blocks of a kernel, or ``most`` of them, at even distances; returns how many."""
    count, threads = int(np.prod(grid)), int(np.prod(block))
    chosen = min(most or count, count)
    blocks = np.arange(chosen) * (count - 1) // max(1, chosen - 1)
    step = max(1, MOST_THREADS // threads)
    with np.errstate(all="ignore"):
        for first in range(0, blocks.size, step):
            launch = Launch(program, arguments, grid, block, areas, blocks[first : first + step], counts)
            launch.run(program.kernel, launch.frame)
    return blocks.size


COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("eq", "equ"), np.equal),
    **dict.fromkeys(("ne", "neu"), np.not_equal),
    **dict.fromkeys(("lt", "ltu", "lo"), np.less),
    **dict.fromkeys(("le", "leu", "ls"), np.less_equal),
    **dict.fromkeys(("gt", "gtu", "hi"), np.greater),
    **dict.fromkeys(("ge", "geu", "hs"), np.greater_equal),
}
ROUNDED = {"rzi": np.trunc, "rni": np.rint, "rmi": np.floor, "rpi": np.ceil}
ALIKE: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "not": np.invert,
    "abs": np.abs,
    "neg": np.negative,
    "min": np.minimum,
    "max": np.maximum,
    "mov": lambda a: a,
    "ex2": np.exp2,
    "rcp": np.reciprocal,
    "sqrt": np.sqrt,
    "lg2": np.log2,
    "selp": lambda a, b, p: np.where(p, a, b),
}


def operation(parts: list[str]) -> Callable[..., Any]:
    """What an instruction computes, by the parts of its name. ``approx`` is exact here, and nothing is flushed to 0."""
    name, *how = parts
    dtype = np.dtype(TYPES[parts[-1]])
    if name in ALIKE:
        return ALIKE[name]
    if name == "setp":
        return _comparison(how[0], dtype)
    if name == "cvt":
        return _conversion(how[:-2], np.dtype(TYPES[how[-2]]), dtype)
    if name == "mul":
        if "wide" in how:
            return lambda a, b: np.multiply(a, b, dtype=f"{dtype.kind}{2 * dtype.itemsize}")
        return (lambda a, b: _high(a, b, dtype)) if "hi" in how else np.multiply
    if name in ("fma", "mad"):
        return _fused(dtype, down="rm" in how)
    if name == "div":
        return np.divide if dtype.kind == "f" else _quotient
    if name in ("shl", "shr"):
        return _shift(name, dtype)
    if name == "bfi":
        return _inserted
    raise NotImplementedError(".".join(parts))


def _comparison(how: str, dtype: np.dtype) -> Callable[[Any, Any], Any]:
    if dtype.kind != "f":
        return COMPARISONS[how]
    if how in ("nan", "num"):
        return lambda a, b: (np.isnan(a) | np.isnan(b)) == (how == "nan")
    compare = COMPARISONS[how]
    if how.endswith("u") and len(how) == 3:
        return lambda a, b: compare(a, b) | np.isnan(a) | np.isnan(b)
    return lambda a, b: compare(a, b) & ~(np.isnan(a) | np.isnan(b))


def _conversion(how: list[str], target: np.dtype, source: np.dtype) -> Callable[[Any], Any]:
    def convert(a: Any) -> Any:
        if source.kind == "f":
            for mode in how:
                a = ROUNDED[mode](a) if mode in ROUNDED else a
            if target.kind != "f":
                limits = np.iinfo(target)
                a = np.clip(np.nan_to_num(a.astype(np.longdouble)), limits.min, limits.max)
        if "sat" in how:
            a = np.clip(np.nan_to_num(a, nan=0.0), 0, 1)
        return np.asarray(a).astype(target)

    return convert


def _fused(dtype: np.dtype, down: bool) -> Callable[[Any, Any, Any], Any]:
    """a b + c, rounded once; rarely twice, in float32 beyond 53 bits, in float64 beyond 64."""
    if dtype.kind != "f":
        return lambda a, b, c: a * b + c
    wide = np.float64 if dtype == np.float32 else np.longdouble

    def fused(a: Any, b: Any, c: Any) -> Any:
        exact = a.astype(wide) * b + c
        rounded = exact.astype(dtype)
        return np.where(rounded > exact, np.nextafter(rounded, dtype.type(-np.inf)), rounded) if down else rounded

    return fused


def _high(a: np.ndarray, b: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The upper half of the product's bits."""
    whole = a.astype(object) * b.astype(object)
    return np.asarray(whole >> 8 * dtype.itemsize).astype(dtype)


def _quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Rounded towards 0."""
    if (b == 0).any():
        raise KernelError("a division by 0")
    quotient = a // b
    return quotient + ((quotient < 0) & (quotient * b != a)).astype(quotient.dtype)


def _shift(name: str, dtype: np.dtype) -> Callable[[Any, Any], Any]:
    bits = 8 * dtype.itemsize

    def shift(a: Any, by: Any) -> Any:
        inside = np.minimum(by, bits - 1).astype(dtype)
        shifted = np.left_shift(a, inside) if name == "shl" else np.right_shift(a, inside)
        return shifted if dtype.kind == "i" and name == "shr" else np.where(by < bits, shifted, dtype.type(0))

    return shift


def _inserted(a: np.ndarray, b: np.ndarray, start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """b, with some bits of a in place of its own."""
    mask = ((np.uint64(1) << length.astype(np.uint64)) - np.uint64(1)) << start.astype(np.uint64)
    return (b & ~mask) | (a << start.astype(np.uint64) & mask)
