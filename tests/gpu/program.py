"""PTX as a program: each instruction of the text becomes a Python function that acts on the registers of all threads.

``Program`` parses the text once. ``interpreter`` runs it, and gives the instructions access to memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from arithmetic import TYPES, operation
from warps import matrix_product


class Machine(Protocol):
    """The part of ``interpreter.Launch`` that instructions use."""

    def access(
        self,
        space: str,
        addresses: np.ndarray,
        frame: Frame,
        dtype: type,
        count: int,
        values: Sequence[np.ndarray] | None = None,
    ) -> list[np.ndarray] | None: ...

    def run(self, function: Function, frame: Frame) -> None: ...

    def copy(self, to: np.ndarray, source: np.ndarray, sizes: np.ndarray, frame: Frame) -> None: ...

    def commit(self, frame: Frame) -> None: ...

    def wait(self, left: int, frame: Frame) -> None: ...

    def check_warps(self, frame: Frame) -> None: ...


Instruction = Callable[["Frame", Machine], None]


class Frame:
    """The registers of threads that run in step.

    ``lanes`` are the threads' indices in the launch; ``active`` are the positions of those that run now, or None if all
    of them do.
    """

    def __init__(self, lanes: np.ndarray, params: dict[str, Any], special: dict[str, np.ndarray]) -> None:
        self.lanes, self.count = lanes, lanes.size
        self.params, self.special = params, special
        self.registers: dict[str, np.ndarray] = {}
        self.active: np.ndarray | None = None

    def of_active(self, values: np.ndarray) -> np.ndarray:
        return values if self.active is None else values[self.active]

    def write(self, register: str, dtype: type, values: Any) -> None:
        values = as_type(np.asarray(values), dtype)
        if self.active is None:
            self.registers[register] = np.broadcast_to(values, (self.count,))
            return
        # A copy, because after a mov two registers share one array.
        found = self.registers.get(register)
        changed = np.zeros(self.count, dtype) if found is None else found.copy()
        changed[self.active] = values
        self.registers[register] = changed


def as_type(values: np.ndarray, dtype: type) -> np.ndarray:
    """The same bits, read as another type: cut off if that is narrower, extended if it is wider."""
    if values.dtype == dtype:
        return values
    size = np.dtype(dtype).itemsize
    if values.dtype.itemsize == size:
        return values.view(dtype)
    signed = values.dtype.kind == "i"
    return values.astype(f"{'i' if signed else 'u'}{size}").view(dtype)


@dataclass
class BasicBlock:
    """Instructions that run one after the other, each with its text, and how the program goes on after them."""

    instructions: list[tuple[str, Instruction]] = field(default_factory=list)
    end: str = "next"  # or "branch", "barrier", "return"
    target: str = ""
    condition: Callable[[Frame], np.ndarray] | None = None


class Program:
    """A kernel, the functions that it calls, and the addresses of its shared arrays."""

    def __init__(self, text: str) -> None:
        text = re.sub(r"//.*", "", text)
        # Launch bounds stand between a kernel's parameters and its body.
        text = re.sub(r"^\.(maxntid|minnctapersm) .*\n", "", text, flags=re.MULTILINE)
        self.shared: dict[str, int] = {}
        self.shared_size = 0
        for align, name, size in re.findall(r"\.shared \.align (\d+) \.b8 (\w+)\[(\d+)\]", text):
            self.shared[name] = -(-self.shared_size // int(align)) * int(align)
            self.shared_size = self.shared[name] + int(size)
        self.functions: dict[str, Function] = {}
        header = r"(\.visible \.entry|\.func +\([^)]*\)) (\w+)\s*\(([^)]*)\)\s*\{\n(.*?)\n\}"
        for kind, name, params, body in re.findall(header, text, re.DOTALL):
            self.functions[name] = Function(self, params, body)
            if kind == ".visible .entry":
                self.kernel = self.functions[name]


class Function:
    """A kernel, or a function that it calls, as basic blocks in the order of the text."""

    def __init__(self, program: Program, params: str, body: str) -> None:
        self.program = program
        self.params = [(line.split()[-1], line.split()[-2][1:]) for line in params.split(",") if line.strip()]
        self.types: dict[str, type] = {}
        self.blocks = [BasicBlock()]
        self.labels: dict[str, int] = {}
        # A brace alone in a line only limits the scope of names.
        body = re.sub(r"^\s*[{}]\s*$", "", body, flags=re.MULTILINE)
        for labelled in body.split(";"):
            *labels, statement = (part.strip() for part in re.split(r":\s", labelled))
            for label in labels:
                if self.blocks[-1].instructions or len(self.blocks) == 1:
                    self.blocks.append(BasicBlock())
                self.labels[label] = len(self.blocks) - 1
            if statement:
                self._add(" ".join(statement.split()))
        self.blocks.append(BasicBlock(end="return"))

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
                self.blocks.append(BasicBlock())
            else:
                assert not predicate, statement
                self.blocks[-1].instructions.append((statement, self._instruction(parts, operands)))

    def _condition(self, negated: str, register: str) -> Callable[[Frame], np.ndarray]:
        read = self._reader(register, np.bool_)
        return (lambda frame: ~read(frame)) if negated else read

    def _type_of(self, register: str) -> type:
        return self.types[register if register in self.types else register.rstrip("0123456789")]

    def _reader(self, operand: str, dtype: type) -> Callable[[Frame], Any]:
        """A function that reads a register, a constant, or the address of a shared array."""
        if "." in operand:
            return lambda frame: as_type(frame.of_active(frame.special[operand]), dtype)
        if operand.startswith("%"):
            return lambda frame: as_type(frame.of_active(frame.registers[operand]), dtype)
        if operand in self.program.shared:
            constant = np.array(self.program.shared[operand]).astype(dtype)
        elif re.match("0[fFdD]", operand):
            bits = np.array(int(operand[2:], 16), "u4" if operand[1] in "fF" else "u8")
            constant = as_type(bits, dtype)
        else:
            constant = np.array(int(operand)).astype(dtype)
        return lambda frame: constant

    def _instruction(self, parts: list[str], operands: str) -> Instruction:
        if parts[0] == "call":
            return self._call(operands)
        # A group in braces is one operand.
        names = re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^\s,]+", operands)
        if parts[0] in ("ld", "st"):
            return self._memory(parts, names)
        if parts[0] == "cp":
            return self._copy(parts, names)
        if parts[0] == "mma":
            return self._matrix_product(parts, names)
        dtype = TYPES[parts[-1]]
        if parts[0] == "mov" and "{" in operands:
            return self._packing(names, dtype)
        if parts[0] == "cvta":
            parts = ["mov", parts[-1]]
        result, *sources = names
        into = self._type_of(result)
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

    def _packing(self, names: list[str], dtype: type) -> Instruction:
        """The halves of a register of 64 bits to two of 32, or the other way round."""
        halves = re.findall(r"%\w+", names[0] if names[0].startswith("{") else names[1])
        assert np.dtype(dtype).itemsize == 8
        if names[0].startswith("{"):
            read = self._reader(names[1], np.uint64)

            def unpack(frame: Frame, _: Any) -> None:
                bits = read(frame)
                frame.write(halves[0], self._type_of(halves[0]), (bits & np.uint64(0xFFFFFFFF)).astype(np.uint32))
                frame.write(halves[1], self._type_of(halves[1]), (bits >> np.uint64(32)).astype(np.uint32))

            return unpack
        low, high = (self._reader(half, np.uint32) for half in halves)
        into = self._type_of(names[0])

        def pack(frame: Frame, _: Any) -> None:
            bits = high(frame).astype(np.uint64) << np.uint64(32) | low(frame).astype(np.uint64)
            frame.write(names[0], into, bits)

        return pack

    def _memory(self, parts: list[str], names: list[str]) -> Instruction:
        """A load or a store, of one element or of several (``v2``, ``v4``)."""
        dtype = TYPES[parts[-1]]
        location, registers = names if parts[0] == "st" else reversed(names)
        values = re.findall(r"%\w+", registers)
        base = location.strip("[]").partition("+")[0]
        if "param" in parts:
            if parts[0] == "st":
                read = self._reader(values[0], dtype)
                return lambda frame, _: frame.params.update({base: read(frame)})
            into = self._type_of(values[0])
            return lambda frame, _: frame.write(values[0], into, as_type(np.asarray(frame.params[base]), dtype))
        address = self._address(location)
        space = "shared" if "shared" in parts else "global"
        if parts[0] == "ld":
            types = [self._type_of(value) for value in values]

            def load(frame: Frame, machine: Machine) -> None:
                loaded = machine.access(space, address(frame), frame, dtype, len(values))
                for value, kind, elements in zip(values, types, loaded, strict=True):
                    frame.write(value, kind, elements)

            return load
        readers = [self._reader(value, dtype) for value in values]
        return lambda frame, machine: machine.access(
            space, address(frame), frame, dtype, len(values), [read(frame) for read in readers]
        )

    def _copy(self, parts: list[str], names: list[str]) -> Instruction:
        """cp.async: starts a copy of 16 bytes, makes a group of copies, or waits for groups."""
        if "commit_group" in parts:
            return lambda frame, machine: machine.commit(frame)
        if "wait_group" in parts:
            return lambda frame, machine: machine.wait(int(names[0]), frame)
        assert parts == ["cp", "async", "cg", "shared", "global"], parts
        assert names[2] == "16"
        to, source = self._address(names[0]), self._address(names[1])
        size = self._reader(names[3], np.uint32) if len(names) > 3 else lambda frame: np.uint32(16)
        return lambda frame, machine: machine.copy(to(frame), source(frame), size(frame), frame)

    def _address(self, operand: str) -> Callable[[Frame], np.ndarray]:
        """A function that reads [register + constant]."""
        base, _, offset = operand.strip("[]").partition("+")
        narrow = base.startswith("%") and np.dtype(self._type_of(base)).itemsize == 4
        read, plus = self._reader(base, np.uint32 if narrow else np.uint64), np.uint64(int(offset or 0) % (1 << 64))
        return lambda frame: read(frame).astype(np.uint64) + plus

    def _matrix_product(self, parts: list[str], names: list[str]) -> Instruction:
        """mma.sync m16n8k8 of TF32, by whole warps."""
        assert parts[3:] == ["m16n8k8", "row", "col", "f32", "tf32", "tf32", "f32"], parts
        result, *operands = (re.findall(r"[%\w.]+", name) for name in names)
        readers = [[self._reader(register, np.float32) for register in operand] for operand in operands]

        def multiply(frame: Frame, machine: Machine) -> None:
            machine.check_warps(frame)
            lanes = frame.of_active(frame.lanes)
            values = [
                [np.ascontiguousarray(np.broadcast_to(read(frame), lanes.shape)) for read in operand]
                for operand in readers
            ]
            for register, elements in zip(result, matrix_product(*values), strict=True):
                frame.write(register, np.float32, elements)

        return multiply

    def _call(self, operands: str) -> Instruction:
        result, name, arguments = re.fullmatch(r"\((\w+)\), (\w+), \( ?(.*?) ?\)", operands).groups()

        def call(frame: Frame, machine: Machine) -> None:
            function = self.program.functions[name]
            values = (frame.params[argument] for argument in arguments.split(", "))
            params = dict(zip((param for param, _ in function.params), values, strict=True))
            inner = Frame(frame.of_active(frame.lanes), params, {})
            machine.run(function, inner)
            frame.params[result] = inner.params["func_retval0"]

        return call
