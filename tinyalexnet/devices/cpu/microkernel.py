"""The innermost loop of a matrix product, whose tile of the result stays in registers while products are added to it.

LLVM does not find this loop by itself, so it is written here in LLVM's language. A tile has up to ROWS rows, and up to
VECTORS[0] vectors of columns. For each k one row of b is loaded, and multiplied by each element of a column of a: with
6 rows and 4 vectors 10 loads for 24 multiply-adds. An element adds its products in the order of k, each by a fused
multiply-add if the processor has one: so it has the same bits in any tile, and on any such processor.
"""

from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

ROWS = 6
"""Rows of a tile at most: with 4 vectors 24 of AVX-512's 32 registers; with one vector, which is two registers of AVX2
or four of ARM, 12 of 16 or 24 of 32."""

VECTOR_BYTES = 64
"""A cache line, and a register of AVX-512."""

KINDS = {types.float32: (ir.FloatType(), "f32", 16), types.float64: (ir.DoubleType(), "f64", 8)}
"""LLVM's type for an element, its name there, and how many of them are a vector."""

FETCHED_APART = 2
"""Lines from the first line that a tile fetches of a row to the second: the next tile fetches those between."""

ALIGNED = 1
"""Bytes of which an address is a multiple: a part of a buffer may begin anywhere."""

_SIZE, _INDEX, _FLAG, _BYTES = ir.IntType(64), ir.IntType(32), ir.IntType(1), ir.IntType(8).as_pointer()


def vectors_of(features: str) -> tuple[int, ...]:
    """How many vectors a tile may have on a processor with these features, the most first; half as many follow."""
    return (4, 2, 1) if "+avx512f" in features.split(",") else (1,)


VECTORS = vectors_of(cpu_target.target_context.codegen().magic_tuple()[2])


@intrinsic
def multiply_tile(_, zero, a, b, out, ahead, sizes, keep):  # type: ignore[no-untyped-def]
    """out[i, j] = sum of a[i, k] b[k, j] over all k, of which there is one at least; or += to ``keep`` what is there.

    ``a`` is the address of a tile, and the bytes from one row to the next and from one column; ``b`` and ``out`` are
    the address and the bytes of a row. Two lines, the first one ``ahead`` bytes behind each row of b, are fetched into
    the cache. ``sizes`` are the number of k, that of rows, up to ROWS, and that of columns, of which the tile has as
    many as the widest one of VECTORS that has no more; or these, if one vector has more. ``zero`` tells the type of an
    element.
    """

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        a, b, out, (depth, rows, columns) = (
            cgutils.unpack_tuple(builder, arguments[position]) for position in (1, 2, 3, 5)
        )
        addresses = [[builder.inttoptr(start, _BYTES), *steps] for start, *steps in (a, b, out)]
        given = [value for address in addresses for value in address] + [arguments[4], depth, columns, arguments[6]]
        after = builder.append_basic_block("after")
        for vectors in VECTORS:
            wide, narrower = builder.append_basic_block("wide"), builder.append_basic_block("narrower")
            fits = builder.icmp_signed(">=", columns, _SIZE(vectors * KINDS[zero][2])) if vectors > 1 else _FLAG(1)
            builder.cbranch(fits, wide, narrower)
            builder.position_at_end(wide)
            cases = builder.switch(rows, after)
            for number in range(1, ROWS + 1):
                block = builder.append_basic_block("rows")
                cases.add_case(_SIZE(number), block)
                builder.position_at_end(block)
                builder.call(_tile(builder.module, zero, number, vectors), given)
                builder.branch(after)
            builder.position_at_end(narrower)
        builder.branch(after)
        builder.position_at_end(after)
        return context.get_dummy_value()

    return types.void(zero, a, b, out, ahead, sizes, keep), code


class _Arguments(NamedTuple):
    """Those of the function for a tile, as ``multiply_tile`` has them."""

    a: Any
    a_row: Any
    a_column: Any
    b: Any
    b_row: Any
    out: Any
    out_row: Any
    ahead: Any
    depth: Any
    columns: Any
    keep: Any


TYPES = _Arguments(_BYTES, _SIZE, _SIZE, _BYTES, _SIZE, _BYTES, _SIZE, _SIZE, _SIZE, _SIZE, _FLAG)


def _tile(module: Any, element: Any, rows: int, vectors: int) -> Any:
    """The function for a tile of ``rows`` and ``vectors``; with a single vector, of the columns that it is told."""
    kind = ir.FunctionType(ir.VoidType(), TYPES)
    function = cgutils.get_or_insert_function(module, kind, f"tile_{element}_{rows}_{vectors}")
    if function.blocks:
        return function
    function.linkage = "internal"
    function.attributes.add("noinline")
    # LLVM would repeat the body of the loop, which makes no tile faster; and each kernel takes longer to compile.
    function.attributes.add("optsize")
    given = _Arguments(*function.args)
    for address in (given.a, given.b, given.out):
        address.add_attribute("noalias")
    begin, load, start, loop, end = (
        ir.IRBuilder(function.append_basic_block(each)) for each in ("begin", "load", "start", "loop", "end")
    )
    vector = _Vector(begin, element, given.columns if vectors == 1 else None)
    targets = [
        begin.gep(given.out, [begin.add(begin.mul(_SIZE(i), given.out_row), _SIZE(j * VECTOR_BYTES))])
        for i in range(rows)
        for j in range(vectors)
    ]
    begin.cbranch(given.keep, load.block, start.block)
    before = [vector.load(load, target) for target in targets]
    load.branch(start.block)
    sums = [_either(start, vector.kind, (vector.zero, begin), (value, load)) for value in before]
    start.branch(loop.block)
    totals = _add_products(loop, (start, end), given, sums, vectors, vector)
    for target, total in zip(targets, totals, strict=True):
        vector.store(end, total, target)
    end.ret_void()
    return function


def _add_products(loop: Any, beside: Any, given: _Arguments, sums: list[Any], vectors: int, vector: Any) -> list[Any]:
    """The loop over k, between two blocks: what the sums of a tile, row by row, are behind it."""
    before, after = beside
    k = _either(loop, _SIZE, (_SIZE(0), before))
    at_a, at_b = (_either(loop, _BYTES, (start, before)) for start in (given.a, given.b))
    sums = [_either(loop, vector.kind, (value, before)) for value in sums]
    factors = [vector.load(loop, loop.gep(at_b, [_SIZE(j * VECTOR_BYTES)])) for j in range(vectors)]
    for lines in (0, FETCHED_APART):
        _fetch(loop, loop.gep(at_b, [loop.add(given.ahead, _SIZE(lines * VECTOR_BYTES))]))
    totals = []
    for i in range(len(sums) // vectors):
        factor = vector.of_equal(loop, loop.gep(at_a, [loop.mul(_SIZE(i), given.a_row)]))
        for j in range(vectors):
            totals.append(vector.multiply_add(loop, factor, factors[j], sums[i * vectors + j]))
    following = loop.add(k, _SIZE(1))
    next_a, next_b = loop.gep(at_a, [given.a_column]), loop.gep(at_b, [given.b_row])
    for phi, value in zip((k, at_a, at_b, *sums), (following, next_a, next_b, *totals), strict=True):
        phi.add_incoming(value, loop.block)
    loop.cbranch(loop.icmp_signed("<", following, given.depth), loop.block, after.block)
    return totals


def _either(builder: Any, kind: Any, *incoming: tuple[Any, Any]) -> Any:
    """The value that belongs to the block from which this one is reached."""
    phi = builder.phi(kind)
    for value, origin in incoming:
        phi.add_incoming(value, origin.block)
    return phi


def _called(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    """What a function of LLVM returns."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}"), arguments)


def _fetch(builder: Any, address: Any) -> None:
    to_read, to_keep, data = _INDEX(0), _INDEX(3), _INDEX(1)
    _called(builder, "prefetch.p0", ir.VoidType(), address, to_read, to_keep, data)


class _Vector:
    """What a tile does with vectors: of memory it reads and writes the first ``columns`` elements, if it is told."""

    def __init__(self, builder: Any, element: Any, columns: Any) -> None:
        self._real, self._name, self._lanes = KINDS[element]
        self.kind = ir.VectorType(self._real, self._lanes)
        self.zero = self.kind([self._real(0)] * self._lanes)
        self._mask = None
        if columns is not None:
            numbers = ir.VectorType(_SIZE, self._lanes)
            self._mask = builder.icmp_signed(
                "<", numbers(list(range(self._lanes))), self._spread(builder, columns, numbers)
            )

    def _spread(self, builder: Any, value: Any, kind: Any) -> Any:
        undefined, all_first = kind(ir.Undefined), ir.VectorType(_INDEX, self._lanes)([0] * self._lanes)
        return builder.shuffle_vector(builder.insert_element(undefined, value, _INDEX(0)), undefined, all_first)

    def of_equal(self, builder: Any, address: Any) -> Any:
        """The element at an address, in each lane."""
        place = builder.bitcast(address, self._real.as_pointer())
        return self._spread(builder, builder.load(place, align=ALIGNED), self.kind)

    def multiply_add(self, builder: Any, x: Any, y: Any, total: Any) -> Any:
        return _called(builder, f"fmuladd.v{self._lanes}{self._name}", self.kind, x, y, total)

    def load(self, builder: Any, address: Any) -> Any:
        place = builder.bitcast(address, self.kind.as_pointer())
        if self._mask is None:
            return builder.load(place, align=ALIGNED)
        name = f"masked.load.v{self._lanes}{self._name}.p0"
        return _called(builder, name, self.kind, place, _INDEX(ALIGNED), self._mask, self.zero)

    def store(self, builder: Any, value: Any, address: Any) -> None:
        place = builder.bitcast(address, self.kind.as_pointer())
        if self._mask is None:
            builder.store(value, place, align=ALIGNED)
        else:
            name = f"masked.store.v{self._lanes}{self._name}.p0"
            _called(builder, name, ir.VoidType(), value, place, _INDEX(ALIGNED), self._mask)
