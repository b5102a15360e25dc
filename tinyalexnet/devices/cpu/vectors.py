"""Vectors in LLVM's language, for the innermost loops that LLVM does not find by itself."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

from .compiler import inner

VECTOR_BYTES = 64
"""A cache line, and a register of AVX-512."""

KINDS = {types.float32: (ir.FloatType(), "f32", 16), types.float64: (ir.DoubleType(), "f64", 8)}
"""LLVM's type for an element, its name there, and how many of them are a vector."""

ALIGNED = 1
"""Bytes of which an address is a multiple: a part of a buffer may begin anywhere."""

SIZE, INDEX, FLAG, BYTES = ir.IntType(64), ir.IntType(32), ir.IntType(1), ir.IntType(8).as_pointer()


def either(builder: Any, kind: Any, *incoming: tuple[Any, Any]) -> Any:
    """The value that belongs to the block from which this one is reached."""
    phi = builder.phi(kind)
    for value, origin in incoming:
        phi.add_incoming(value, origin.block)
    return phi


def called(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    """What a function of LLVM returns."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}"), arguments)


def fetch(builder: Any, address: Any) -> None:
    """Asks for the line at an address, so that it is in the cache when it is read."""
    to_read, to_keep, data = INDEX(0), INDEX(3), INDEX(1)
    called(builder, "prefetch.p0", ir.VoidType(), address, to_read, to_keep, data)


def function_of(module: Any, name: str, arguments: Sequence[Any], write: Callable[[Any], None]) -> Any:
    """A module's function of these arguments, without a result; ``write`` writes it, from its first block on, once.

    It is called, and never part of its caller: a kernel calls it from many places.
    """
    function = cgutils.get_or_insert_function(module, ir.FunctionType(ir.VoidType(), arguments), name)
    if not function.blocks:
        function.linkage = "internal"
        function.attributes.add("noinline")
        # LLVM would repeat the bodies of loops, which makes none of these faster; and kernels take longer to compile.
        function.attributes.add("optsize")
        write(ir.IRBuilder(function.append_basic_block("begin")))
    return function


class Vector:
    """A vector of elements. Of memory it reads and writes the first ``columns`` of them, if it is told how many."""

    def __init__(self, builder: Any, element: Any, columns: Any) -> None:
        self._real, self._name, self._lanes = KINDS[element]
        self.kind = ir.VectorType(self._real, self._lanes)
        self.zero = self.kind([self._real(0)] * self._lanes)
        self._mask = None
        if columns is not None:
            numbers = ir.VectorType(SIZE, self._lanes)
            self._mask = builder.icmp_signed(
                "<", numbers(list(range(self._lanes))), self._spread(builder, columns, numbers)
            )

    def _spread(self, builder: Any, value: Any, kind: Any) -> Any:
        undefined, all_first = kind(ir.Undefined), ir.VectorType(INDEX, self._lanes)([0] * self._lanes)
        return builder.shuffle_vector(builder.insert_element(undefined, value, INDEX(0)), undefined, all_first)

    def of_equal(self, builder: Any, address: Any) -> Any:
        """The element at an address, in each lane."""
        place = builder.bitcast(address, self._real.as_pointer())
        return self._spread(builder, builder.load(place, align=ALIGNED), self.kind)

    def multiply_add(self, builder: Any, x: Any, y: Any, total: Any) -> Any:
        return called(builder, f"fmuladd.v{self._lanes}{self._name}", self.kind, x, y, total)

    def load(self, builder: Any, address: Any) -> Any:
        place = builder.bitcast(address, self.kind.as_pointer())
        if self._mask is None:
            return builder.load(place, align=ALIGNED)
        name = f"masked.load.v{self._lanes}{self._name}.p0"
        return called(builder, name, self.kind, place, INDEX(ALIGNED), self._mask, self.zero)

    def stream(self, builder: Any, value: Any, address: Any) -> None:
        """As ``store``, but a whole vector past the caches, at a multiple of VECTOR_BYTES; a fence must follow."""
        if self._mask is not None:
            self.store(builder, value, address)
            return
        stored = builder.store(value, builder.bitcast(address, self.kind.as_pointer()), align=VECTOR_BYTES)
        stored.set_metadata("nontemporal", builder.module.add_metadata([INDEX(1)]))

    def store(self, builder: Any, value: Any, address: Any) -> None:
        place = builder.bitcast(address, self.kind.as_pointer())
        if self._mask is None:
            builder.store(value, place, align=ALIGNED)
        else:
            name = f"masked.store.v{self._lanes}{self._name}.p0"
            called(builder, name, ir.VoidType(), value, place, INDEX(ALIGNED), self._mask)


def along(
    begin: Any, element: Any, size: Any, carried: list[Any], body: Callable[..., list[Any]]
) -> tuple[Any, list[Any]]:
    """The loop over a row of so many elements, a vector at a time; the last ones may fill none.

    ``begin`` builds the block before it. ``body`` builds what is done with a vector: of a builder, the ``Vector``, its
    place, in bytes, and the ``carried`` values it makes the next ones. Returns the builder of what follows, and the
    last values there.
    """
    lanes, width = KINDS[element][2], element.bitwidth // 8
    chunk, whole, last, part, after = (
        ir.IRBuilder(begin.function.append_basic_block(name)) for name in ("chunk", "whole", "last", "part", "after")
    )
    filled = begin.mul(begin.and_(size, SIZE(-lanes)), SIZE(width))
    rest = begin.and_(size, SIZE(lanes - 1))
    begin.branch(chunk.block)
    place = either(chunk, SIZE, (SIZE(0), begin))
    values = [either(chunk, value.type, (value, begin)) for value in carried]
    chunk.cbranch(chunk.icmp_signed("<", place, filled), whole.block, last.block)
    following = body(whole, Vector(whole, element, None), place, values)
    for phi, value in zip((place, *values), (whole.add(place, SIZE(VECTOR_BYTES)), *following), strict=True):
        phi.add_incoming(value, whole.block)
    whole.branch(chunk.block)
    last.cbranch(last.icmp_signed("<", SIZE(0), rest), part.block, after.block)
    found = body(part, Vector(part, element, rest), place, values)
    part.branch(after.block)
    ends = [either(after, old.type, (old, last), (new, part)) for old, new in zip(values, found, strict=True)]
    return after, ends


def along_rows(begin: Any, element: Any, steps: Any, rows: Any, body: Callable[..., Any]) -> Any:
    """The loop over rows, as many and with as many elements as ``rows`` tells, a vector at a time as ``along``.

    ``begin`` builds the block before it. ``body`` builds what is done with a vector: of a builder, the ``Vector``, and
    its place, in bytes, in each of two arrays whose rows are ``steps`` elements apart. Returns the builder of what
    follows.
    """
    row, inside, after = (ir.IRBuilder(begin.function.append_basic_block(name)) for name in ("row", "in", "after"))
    (count, size), width = rows, SIZE(element.bitwidth // 8)
    begin.branch(row.block)
    number = either(row, SIZE, (SIZE(0), begin))
    starts = [row.mul(row.mul(number, step), width) for step in steps]
    row.cbranch(row.icmp_signed("<", number, count), inside.block, after.block)

    def of_row(builder: Any, vector: Vector, place: Any, _: list[Any]) -> list[Any]:
        body(builder, vector, *(builder.add(start, place) for start in starts))
        return []

    following, _ = along(inside, element, size, [], of_row)
    number.add_incoming(following.add(number, SIZE(1)), following.block)
    following.branch(row.block)
    return after


@inner
def empty_in_lines(size, dtype):  # type: ignore[no-untyped-def]
    """An array of one axis that begins at a multiple of VECTOR_BYTES. One of Numba's may not: each vector of it is in
    two lines of the cache then, and takes twice as long."""
    of_line = VECTOR_BYTES // np.empty(0, dtype).itemsize
    whole = np.empty(size + of_line, dtype)
    before = -(whole.ctypes.data // whole.itemsize) % of_line
    return whole[before : before + size]


def fence() -> None:
    """What follows, in any thread that waits for this one, finds what was written past the caches."""


@overload(fence)
def _compiled_fence():  # type: ignore[no-untyped-def]
    def fence():  # type: ignore[no-untyped-def]
        _fence()

    return fence


@intrinsic
def _fence(_):  # type: ignore[no-untyped-def]
    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), code
