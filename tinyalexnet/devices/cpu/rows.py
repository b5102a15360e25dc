"""Products of a matrix and a few vectors, which read or write each row of the matrix in the order of memory.

Of few vectors that takes most of the time, and memory is fastest in its own order. So products with w go along ROWS
rows of it together, and use each element for as many vectors as the registers have place for; and a sum of outer
products is written row by row. LLVM does not find these loops by itself, so they are written here in its language.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

from .by_name import by_name, integers
from .microkernel import VECTORS
from .vectors import ALIGNED, BYTES, INDEX, KINDS, SIZE, VECTOR_BYTES, Vector, along, fence, function_of

ROWS = 4
"""Of w, read along together; those that are left over one by one."""

TOGETHER = VECTORS[0]
"""Vectors that an element of w is used for when it is read: with ROWS rows 16 sums are in registers, or 4."""

OUTER = 8
"""Vectors of a sum of outer products at most: so many factors are in registers."""

OUTER_COLUMNS = 1024
"""Of d that are used for all rows of such a sum before the next ones: of OUTER vectors 32 KB, in the fastest cache."""


def add_scaled_rows(x: np.ndarray, w: np.ndarray, out: np.ndarray) -> None:
    """out = x w: each vector's sum of the rows of w, scaled by its elements, in the order of the rows.

    A product is added by a fused multiply-add, if the processor has one: so an element has the bits that
    ``add_panel_product`` gives it.

    Shapes
        x (N, C), w (C, F), out (N, F). Each may be a part of a larger array; elements of a row are neighbours.
    """
    _assert_rows(x, w, out)
    out[:] = 0
    for c in range(w.shape[0]):
        out += x[:, c : c + 1] * w[c]


def dot_rows(x: np.ndarray, w: np.ndarray, out: np.ndarray) -> None:
    """out = x wᵀ: the dot product of each vector with each row of w.

    A dot product is the sum of as many sums as 64 bytes have elements, each of the elements so far apart, in their
    order; two halves of them are added, then two quarters, and so on. It has the same bits among any others.

    Shapes
        x (N, F), w (C, F), out (N, C). Each may be a part of a larger array; elements of a row are neighbours.
    """
    _assert_rows(x, w, out)
    for n in range(len(x)):
        out[n] = (w * x[n]).sum(axis=1)


def stream_outer_products(x: np.ndarray, d: np.ndarray, out: np.ndarray) -> None:
    """out = xᵀ d: the sum of the outer products of the vectors of x and of d, in their order, written past the caches.

    A product is added as in ``add_scaled_rows``. Written into a cache, each line of ``out`` would be read first.

    Shapes
        x (N, C), d (N, F), out (C, F), otherwise as there; N up to OUTER. Each row of ``out`` begins at a multiple of
        64 bytes, and has a multiple of 64.
    """
    _assert_rows(x, d, out)
    assert not (out.ctypes.data | out.strides[0] | out.shape[1] * out.itemsize) % VECTOR_BYTES
    out[:] = 0
    for n in range(len(x)):
        out += x[n][:, np.newaxis] * d[n]


def _assert_rows(*arrays: np.ndarray) -> None:
    assert all(array.strides[1] == array.itemsize for array in arrays if array.shape[1] > 1 and array.size)


NONE = np.intp(0)

CASES = 2, ROWS + 1, TOGETHER + 1
"""Functions for a tile are numbered by the kind of product, the rows and the vectors."""

TYPES = [BYTES, SIZE, BYTES, SIZE, BYTES, SIZE, SIZE]
"""The arguments of each: of w, of the vectors and of the results the address, and the bytes from one row, or vector, to
the next; and how many elements a row of w has."""


def _tile(name: str) -> Callable[[Callable[..., None]], Callable[[Any, Any, int, int], Any]]:
    """Decorator of what writes the code of a tile into a builder's block: LLVM's function, in a module, for a type
    and so many rows and vectors."""

    def decorate(write: Callable[..., None]) -> Callable[[Any, Any, int, int], Any]:
        def tile(module: Any, element: Any, rows: int, vectors: int) -> Any:
            def written(begin: Any) -> None:
                for address in begin.function.args[:5:2]:
                    address.add_attribute("noalias")
                write(begin, element, rows, vectors)

            return function_of(module, f"{name}_{element}_{rows}_{vectors}", TYPES, written)

        return tile

    return decorate


def _starts(builder: Any, address: Any, step: Any, count: int) -> list[Any]:
    """Where each of some rows begins."""
    return [builder.gep(address, [builder.mul(SIZE(i), step)]) for i in range(count)]


@_tile("add_scaled_rows")
def _scaled_tile(begin: Any, element: Any, rows: int, vectors: int) -> None:
    """Adds some rows of w, each scaled, to the result of each vector."""
    w, w_step, x, x_step, out, out_step, size = begin.function.args
    width = element.bitwidth // 8
    sources, targets = _starts(begin, w, w_step, rows), _starts(begin, out, out_step, vectors)
    factors = [
        [Vector(begin, element, None).of_equal(begin, begin.gep(start, [SIZE(i * width)])) for i in range(rows)]
        for start in _starts(begin, x, x_step, vectors)
    ]

    def added(builder: Any, vector: Vector, place: Any, _: list[Any]) -> list[Any]:
        values = [vector.load(builder, builder.gep(source, [place])) for source in sources]
        for target, of_vector in zip(targets, factors, strict=True):
            total = vector.load(builder, builder.gep(target, [place]))
            for factor, value in zip(of_vector, values, strict=True):
                total = vector.multiply_add(builder, factor, value, total)
            vector.store(builder, total, builder.gep(target, [place]))
        return []

    along(begin, element, size, [], added)[0].ret_void()


@_tile("dot_rows")
def _dot_tile(begin: Any, element: Any, rows: int, vectors: int) -> None:
    """Writes the dot products of some rows of w with some vectors."""
    w, w_step, x, x_step, out, out_step, size = begin.function.args
    width = element.bitwidth // 8
    sources, starts = _starts(begin, w, w_step, rows), _starts(begin, x, x_step, vectors)

    def added(builder: Any, vector: Vector, place: Any, sums: list[Any]) -> list[Any]:
        of_rows, of_vectors = (
            [vector.load(builder, builder.gep(start, [place])) for start in some] for some in (sources, starts)
        )
        pairs = [(a, b) for b in of_vectors for a in of_rows]
        return [vector.multiply_add(builder, a, b, total) for (a, b), total in zip(pairs, sums, strict=True)]

    zeros = [Vector(begin, element, None).zero] * (rows * vectors)
    end, sums = along(begin, element, size, zeros, added)
    for n, start in enumerate(_starts(end, out, out_step, vectors)):
        for i in range(rows):
            place = end.bitcast(end.gep(start, [SIZE(i * width)]), KINDS[element][0].as_pointer())
            end.store(_sum_of_lanes(end, sums[n * rows + i], KINDS[element][2]), place, align=ALIGNED)
    end.ret_void()


@_tile("stream_outer_products")
def _outer_tile(begin: Any, element: Any, _: int, vectors: int) -> None:
    """Writes a row of a sum of outer products: of rows of d, each scaled by an element of a column of x."""
    d, d_step, x, x_step, out, _, size = begin.function.args
    sources = _starts(begin, d, d_step, vectors)
    factors = [Vector(begin, element, None).of_equal(begin, start) for start in _starts(begin, x, x_step, vectors)]

    def written(builder: Any, vector: Vector, place: Any, _: list[Any]) -> list[Any]:
        total = vector.zero
        for source, factor in zip(sources, factors, strict=True):
            value = vector.load(builder, builder.gep(source, [place]))
            total = vector.multiply_add(builder, factor, value, total)
        vector.stream(builder, total, builder.gep(out, [place]))
        return []

    along(begin, element, size, [], written)[0].ret_void()


def _sum_of_lanes(builder: Any, total: Any, lanes: int) -> Any:
    """Half of the lanes is added to the other half, until one is left."""
    while lanes > 1:
        lanes //= 2
        halves = (ir.VectorType(INDEX, lanes)(list(range(first, first + lanes))) for first in (0, lanes))
        total = builder.fadd(*(builder.shuffle_vector(total, total, half) for half in halves))
    return builder.extract_element(total, INDEX(0))


@intrinsic
def _multiply_rows(_, zero, dots, w, x, out, sizes):  # type: ignore[no-untyped-def]
    """The call of the tile for ``sizes``, the numbers of rows, of vectors and of elements of a row."""

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        *pairs, (rows, vectors, size) = (cgutils.unpack_tuple(builder, each) for each in arguments[2:])
        given = [value for start, step in pairs for value in (builder.inttoptr(start, BYTES), step)]

        def case(*numbers: int) -> Any:
            return SIZE(int(np.ravel_multi_index(numbers, CASES)))

        # As ``case`` counts.
        which = builder.zext(arguments[1], SIZE)
        for number, cases in zip((rows, vectors), CASES[1:], strict=True):
            which = builder.add(builder.mul(which, SIZE(cases)), number)
        after = builder.append_basic_block("after")
        switch = builder.switch(which, after)
        for kind, tile in enumerate((_scaled_tile, _dot_tile)):
            for number, together in itertools.product((ROWS, 1), range(1, TOGETHER + 1)):
                block = builder.append_basic_block("tile")
                switch.add_case(case(kind, number, together), block)
                builder.position_at_end(block)
                builder.call(tile(builder.module, zero, number, together), [*given, size])
                builder.branch(after)
        builder.position_at_end(after)
        return context.get_dummy_value()

    return types.void(zero, dots, w, x, out, sizes), code


@by_name(lambda real: (real, types.boolean, *map(integers, (2, 3, 3, 3))), add_scaled_rows, dot_rows)
def _along_rows(zero, dots, w, x, out, sizes):  # type: ignore[no-untyped-def]
    # Of x and out the bytes from one vector to the next, and from what belongs to one row of w to that of the next.
    (of_w, w_step), (of_x, x_step, x_row), (of_out, out_step, out_row), (rows, vectors, size) = w, x, out, sizes
    top = 0
    while top < rows:
        number = ROWS if rows - top >= ROWS else 1
        for first in range(0, vectors, TOGETHER):
            some_x, some_out = of_x + first * x_step + top * x_row, of_out + first * out_step + top * out_row
            of_tile = number, min(TOGETHER, vectors - first), size
            _multiply_rows(zero, dots, (of_w + top * w_step, w_step), (some_x, x_step), (some_out, out_step), of_tile)
        top += number


@intrinsic
def _write_row(_, zero, d, x, out, vectors, size):  # type: ignore[no-untyped-def]
    """The call of the tile for so many vectors and elements of a row."""

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        pairs = [cgutils.unpack_tuple(builder, each) for each in arguments[1:4]]
        given = [value for start, step in pairs for value in (builder.inttoptr(start, BYTES), step)]
        after = builder.append_basic_block("after")
        switch = builder.switch(arguments[4], after)
        for number in range(1, OUTER + 1):
            block = builder.append_basic_block("row")
            switch.add_case(SIZE(number), block)
            builder.position_at_end(block)
            builder.call(_outer_tile(builder.module, zero, 1, number), [*given, arguments[5]])
            builder.branch(after)
        builder.position_at_end(after)
        return context.get_dummy_value()

    return types.void(zero, d, x, out, vectors, size), code


@by_name(lambda real: (real, *map(integers, (2, 3, 2, 3))), stream_outer_products)
def _row_by_row(zero, d, x, out, sizes):  # type: ignore[no-untyped-def]
    # Of x the bytes from one vector to the next, and from one element to the next.
    (of_d, d_step), (of_x, x_step, width), (of_out, out_step), (rows, vectors, size) = d, x, out, sizes
    for left in range(0, size, OUTER_COLUMNS):
        columns, byte = min(OUTER_COLUMNS, size - left), left * width
        for row in range(rows):
            factors, target = (of_x + row * width, x_step), (of_out + row * out_step + byte, out_step)
            _write_row(zero, (of_d + byte, d_step), factors, target, vectors, columns)
    fence()


@overload(add_scaled_rows)
def _compiled_scaled_rows(x, w, out):  # type: ignore[no-untyped-def]
    zero, width = np.dtype(str(out.dtype)).type(0), np.intp(out.dtype.bitwidth // 8)

    def product(x, w, out):  # type: ignore[no-untyped-def]
        out[:] = 0
        of_w = np.intp(w.ctypes.data), w.strides[0]
        of_x, of_out = (np.intp(x.ctypes.data), x.strides[0], width), (np.intp(out.ctypes.data), out.strides[0], NONE)
        _along_rows(zero, False, of_w, of_x, of_out, (w.shape[0], x.shape[0], w.shape[1]))

    return product


@overload(dot_rows)
def _compiled_dots(x, w, out):  # type: ignore[no-untyped-def]
    zero, width = np.dtype(str(out.dtype)).type(0), np.intp(out.dtype.bitwidth // 8)

    def product(x, w, out):  # type: ignore[no-untyped-def]
        of_w = np.intp(w.ctypes.data), w.strides[0]
        of_x, of_out = (np.intp(x.ctypes.data), x.strides[0], NONE), (np.intp(out.ctypes.data), out.strides[0], width)
        _along_rows(zero, True, of_w, of_x, of_out, (w.shape[0], x.shape[0], w.shape[1]))

    return product


@overload(stream_outer_products)
def _compiled_outer_products(x, d, out):  # type: ignore[no-untyped-def]
    zero, width = np.dtype(str(out.dtype)).type(0), np.intp(out.dtype.bitwidth // 8)

    def product(x, d, out):  # type: ignore[no-untyped-def]
        of_d, of_x = (np.intp(d.ctypes.data), d.strides[0]), (np.intp(x.ctypes.data), x.strides[0], width)
        of_out = np.intp(out.ctypes.data), out.strides[0]
        _row_by_row(zero, of_d, of_x, of_out, (out.shape[0], x.shape[0], out.shape[1]))

    return product
