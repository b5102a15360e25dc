"""The innermost loop of all transforms: rows that are sums of scaled rows.

LLVM compiles this loop well, but before each call it asks if any of nine rows overlap, and a part of an array is an
array of its own, whose references are counted. Rows of 64 elements, as most are, take less time than that. So the loop
is written here in LLVM's language, with the factors and places of several such sums found once.
"""

from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin

from .....devices.cpu.vectors import BYTES, SIZE, Vector, along_rows, function_of
from ..matrices import MOST_POINTS

FEWEST_TERMS = 3
"""Of fewer terms, which are rare, the missing ones are computed too: their coefficients and their offsets are 0."""


def combine(
    matrices: np.ndarray,
    row: Any,
    terms: Any,
    offsets: np.ndarray,
    source: np.ndarray,
    read: Any,
    target: np.ndarray,
    written: Any,
    rows: Any,
) -> None:
    """target[q + r q' + k] = Σ_i c_i source[p + r p' + offsets[i] + k], of so many ``terms``.

    c is a row of ``matrices``, counted from the first row of the first matrix; (p, p') are ``read``, (q, q') are
    ``written``, and ``rows`` has the numbers of r and of k. Each term is added by a fused multiply-add, if the
    processor has one, in the order of i, and the first one to 0: so an element has the same bits wherever it is.

    Shapes
        matrices (..., MOST_POINTS), offsets (MOST_POINTS,), source and target of one axis; in C order.
    """
    coefficients = matrices.reshape(-1, MOST_POINTS)[row]
    count, size = rows
    for r in range(count):
        start, end = read[0] + r * read[1], written[0] + r * written[1]
        total = np.zeros(size, target.dtype)
        for i in range(terms):
            total += coefficients[i] * source[start + offsets[i] : start + offsets[i] + size]
        target[end : end + size] = total


def stream_combined(*given: Any) -> None:
    """``combine``, which writes past the caches (``Vector.stream``): what is larger than they are is not read for it.

    The rows of the target begin at multiples of VECTOR_BYTES, and a ``fence`` must follow.
    """
    combine(*given)


def _compile_calls(of: Any, streams: bool) -> None:
    """Tells Numba the type and the code of a call of one of the two."""

    class Combine(AbstractTemplate):  # type: ignore[misc]
        # Not an ``overload``: that would compile a function for each kind of literal arguments.
        key = of

        def generic(self, given: Any, _: Any) -> Any:
            matrices, _, _, offsets, source, _, target, *_ = given
            pairs = types.UniTuple(types.intp, 2)
            one = types.intp, types.intp
            return signature(types.none, matrices, *one, offsets, source, pairs, target, pairs, pairs)

    infer_global(of, types.Function(Combine))

    @lower_builtin(of, types.VarArg(types.Any))
    def call(context, builder, call, given):  # type: ignore[no-untyped-def]
        def place(position: int, index: Any) -> Any:
            array = context.make_array(call.args[position])(context, builder, given[position])
            return builder.bitcast(builder.gep(array.data, [index]), BYTES)

        (read_from, read_step), (write_to, write_step), (count, size) = (
            cgutils.unpack_tuple(builder, given[position]) for position in (5, 7, 8)
        )
        arguments = [
            place(0, builder.mul(given[1], SIZE(MOST_POINTS))),
            place(3, SIZE(0)),
            *(place(4, read_from), read_step, place(6, write_to), write_step, count, size),
        ]
        after = builder.append_basic_block("after")
        cases = builder.switch(given[2], after)
        for number in range(FEWEST_TERMS, MOST_POINTS + 1):
            block = builder.append_basic_block("terms")
            for terms in range(1, number + 1) if number == FEWEST_TERMS else (number,):
                cases.add_case(SIZE(terms), block)
            builder.position_at_end(block)
            builder.call(_sums(builder.module, call.args[6].dtype, number, streams), arguments)
            builder.branch(after)
        builder.position_at_end(after)
        return context.get_dummy_value()


_compile_calls(combine, streams=False)
_compile_calls(stream_combined, streams=True)


def _sums(module: Any, element: Any, terms: int, streams: bool) -> Any:
    """The function for so many terms. Steps and sizes count elements; the last ones of a row may fill no vector."""

    def write(begin: Any) -> None:
        coefficients, offsets, source, source_step, target, target_step, count, size = begin.function.args
        whole, width = Vector(begin, element, None), element.bitwidth // 8
        factors = [whole.of_equal(begin, begin.gep(coefficients, [SIZE(i * width)])) for i in range(terms)]
        places = [begin.gep(begin.bitcast(offsets, SIZE.as_pointer()), [SIZE(i)]) for i in range(terms)]
        starts = [begin.gep(source, [begin.mul(begin.load(place), SIZE(width))]) for place in places]

        def summed(builder: Any, vector: Vector, read: Any, written: Any) -> None:
            total = vector.zero
            for start, factor in zip(starts, factors, strict=True):
                total = vector.multiply_add(builder, factor, vector.load(builder, builder.gep(start, [read])), total)
            (vector.stream if streams else vector.store)(builder, total, builder.gep(target, [written]))

        along_rows(begin, element, (source_step, target_step), (count, size), summed).ret_void()

    name = f"{'stream' if streams else 'combine'}_{element}_{terms}"
    return function_of(module, name, [BYTES, BYTES, BYTES, SIZE, BYTES, SIZE, SIZE, SIZE], write)
