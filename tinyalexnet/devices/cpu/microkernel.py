"""The innermost loop of a matrix product, whose tile of the result stays in registers while products are added to it.

LLVM does not find this loop by itself, so it is written here in LLVM's language. A tile has up to ROWS rows, and up to
VECTORS[0] vectors of columns. For each k one row of b is loaded, and multiplied by each element of a column of a: with
6 rows and 4 vectors 10 loads for 24 multiply-adds. An element adds its products in the order of k, each by a fused
multiply-add if the processor has one: so it has the same bits in any tile, and on any such processor.
"""

from functools import partial
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from .vectors import BYTES, FLAG, KINDS, SIZE, VECTOR_BYTES, Vector, either, fetch, function_of

ROWS = 6
"""Rows of a tile at most: with 4 vectors 24 of AVX-512's 32 registers; with one vector, which is two registers of AVX2
or four of ARM, 12 of 16 or 24 of 32."""

FETCHED_APART = 2
"""Lines from the first line that a tile fetches of a row to the second: the next tile fetches those between."""


def vectors_of(features: str) -> tuple[int, ...]:
    """How many vectors a tile may have on a processor with these features, the most first; half as many follow."""
    return (4, 2, 1) if "+avx512f" in features.split(",") else (1,)


FEATURES: str = cpu_target.target_context.codegen().magic_tuple()[2]
"""What LLVM may use of this processor."""

VECTORS = vectors_of(FEATURES)


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
        addresses = [[builder.inttoptr(start, BYTES), *steps] for start, *steps in (a, b, out)]
        given = [value for address in addresses for value in address] + [arguments[4], depth, columns, arguments[6]]
        after = builder.append_basic_block("after")
        for vectors in VECTORS:
            wide, narrower = builder.append_basic_block("wide"), builder.append_basic_block("narrower")
            fits = builder.icmp_signed(">=", columns, SIZE(vectors * KINDS[zero][2])) if vectors > 1 else FLAG(1)
            builder.cbranch(fits, wide, narrower)
            builder.position_at_end(wide)
            cases = builder.switch(rows, after)
            for number in range(1, ROWS + 1):
                block = builder.append_basic_block("rows")
                cases.add_case(SIZE(number), block)
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


TYPES = _Arguments(BYTES, SIZE, SIZE, BYTES, SIZE, BYTES, SIZE, SIZE, SIZE, SIZE, FLAG)


def _tile(module: Any, element: Any, rows: int, vectors: int) -> Any:
    """The function for a tile of ``rows`` and ``vectors``; with a single vector, of the columns that it is told."""
    write = partial(_write_tile, element=element, rows=rows, vectors=vectors)
    return function_of(module, f"tile_{element}_{rows}_{vectors}", TYPES, write)


def _write_tile(begin: Any, element: Any, rows: int, vectors: int) -> None:
    """Writes it, from its first block on."""
    given = _Arguments(*begin.function.args)
    for address in (given.a, given.b, given.out):
        address.add_attribute("noalias")
    load, start, loop, end = (
        ir.IRBuilder(begin.function.append_basic_block(each)) for each in ("load", "start", "loop", "end")
    )
    vector = Vector(begin, element, given.columns if vectors == 1 else None)
    targets = [
        begin.gep(given.out, [begin.add(begin.mul(SIZE(i), given.out_row), SIZE(j * VECTOR_BYTES))])
        for i in range(rows)
        for j in range(vectors)
    ]
    begin.cbranch(given.keep, load.block, start.block)
    before = [vector.load(load, target) for target in targets]
    load.branch(start.block)
    sums = [either(start, vector.kind, (vector.zero, begin), (value, load)) for value in before]
    start.branch(loop.block)
    totals = _add_products(loop, (start, end), given, sums, vectors, vector)
    for target, total in zip(targets, totals, strict=True):
        vector.store(end, total, target)
    end.ret_void()


def _add_products(loop: Any, beside: Any, given: _Arguments, sums: list[Any], vectors: int, vector: Any) -> list[Any]:
    """The loop over k, between two blocks: what the sums of a tile, row by row, are behind it."""
    before, after = beside
    k = either(loop, SIZE, (SIZE(0), before))
    at_a, at_b = (either(loop, BYTES, (start, before)) for start in (given.a, given.b))
    sums = [either(loop, vector.kind, (value, before)) for value in sums]
    factors = [vector.load(loop, loop.gep(at_b, [SIZE(j * VECTOR_BYTES)])) for j in range(vectors)]
    for lines in (0, FETCHED_APART):
        fetch(loop, loop.gep(at_b, [loop.add(given.ahead, SIZE(lines * VECTOR_BYTES))]))
    totals = []
    for i in range(len(sums) // vectors):
        factor = vector.of_equal(loop, loop.gep(at_a, [loop.mul(SIZE(i), given.a_row)]))
        for j in range(vectors):
            totals.append(vector.multiply_add(loop, factor, factors[j], sums[i * vectors + j]))
    following = loop.add(k, SIZE(1))
    next_a, next_b = loop.gep(at_a, [given.a_column]), loop.gep(at_b, [given.b_row])
    for phi, value in zip((k, at_a, at_b, *sums), (following, next_a, next_b, *totals), strict=True):
        phi.add_incoming(value, loop.block)
    loop.cbranch(loop.icmp_signed("<", following, given.depth), loop.block, after.block)
    return totals
