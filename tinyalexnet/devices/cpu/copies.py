"""Copies of a few elements, as vectors, or by the C library's memcpy and memset.

A compiled loop over 16 elements takes some times as long as the copy: it first finds out whether source and target
overlap, and the elements that fill no vector go one by one. docs/performance.md has what that is worth.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from .vectors import ALIGNED, BYTES, SIZE, VECTOR_BYTES, Vector, along_rows, fetch, function_of

PIECE_BYTES = 16
"""A vector that every processor has. Elements that fill some of these, or of those of VECTOR_BYTES, are copied so."""


def copy_elements(source: np.ndarray, start: int, target: np.ndarray, at: int, count: int) -> None:
    """target[at : at + count] = source[start : start + count], of two arrays of one axis that do not overlap."""
    target[at : at + count] = source[start : start + count]


def copy_rows(source: np.ndarray, read: Any, target: np.ndarray, written: Any, rows: Any, ahead: Any) -> None:
    """target[q + r q' + k] = source[p + r p' + k], and fetches source[p + r p' + k + ahead] into the cache.

    (p, p') are ``read``, (q, q') are ``written``, and ``rows`` has the numbers of r and of k. The arrays have one axis,
    are in C order and do not overlap.
    """
    count, size = rows
    for r in range(count):
        start, at = read[0] + r * read[1], written[0] + r * written[1]
        target[at : at + size] = source[start : start + size]


def clear_elements(target: np.ndarray, at: int, count: int) -> None:
    """target[at : at + count] = 0; an array of one axis and in C order."""
    target[at : at + count] = 0


def fetch_elements(source: np.ndarray, start: int, count: int) -> None:
    """Asks for source[start : start + count], so that it is in the cache when it is read; an array in C order."""


@overload(fetch_elements)
def _compiled_fetch(source, start, count):  # type: ignore[no-untyped-def]
    line = VECTOR_BYTES // (source.dtype.bitwidth // 8)

    def fetch(source, start, count):  # type: ignore[no-untyped-def]
        for k in range(start, start + count, line):
            _prefetch(source, k)

    return fetch


@overload(copy_elements)
def _compiled_copy(source, start, target, at, count):  # type: ignore[no-untyped-def]
    line, piece = (size // (source.dtype.bitwidth // 8) for size in (VECTOR_BYTES, PIECE_BYTES))

    def copy(source, start, target, at, count):  # type: ignore[no-untyped-def]
        if count % line == 0:
            for k in range(0, count, line):
                _move(source, start + k, target, at + k, line)
        elif count % piece == 0:
            for k in range(0, count, piece):
                _move(source, start + k, target, at + k, piece)
        else:
            _memcpy(source, start, target, at, count)

    def one_by_one(source, start, target, at, count):  # type: ignore[no-untyped-def]
        for i in range(count):
            target[at + i] = source[start + i]

    # Elements may be apart, as those of filters that are a view.
    return copy if source.layout == target.layout == "C" and source.dtype == target.dtype else one_by_one


@overload(copy_rows)
def _compiled_rows(source, read, target, written, rows, ahead):  # type: ignore[no-untyped-def]
    def copy(source, read, target, written, rows, ahead):  # type: ignore[no-untyped-def]
        _rows(source, read, target, written, rows, ahead)

    return copy


@overload(clear_elements)
def _compiled_clear(target, at, count):  # type: ignore[no-untyped-def]
    def clear(target, at, count):  # type: ignore[no-untyped-def]
        _memset(target, at, count)

    return clear if target.layout == "C" else None


@intrinsic(prefer_literal=True)
def _move(_, source, start, target, at, count):  # type: ignore[no-untyped-def]
    """A copy of so many elements, a number that the compiler knows, as one vector."""

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        _, first, _, second, _ = arguments
        read, written = (context.make_array(kind)(context, builder, arguments[2 * i]) for i, kind in enumerate(kinds))
        vector = ir.VectorType(context.get_value_type(source.dtype), count.literal_value).as_pointer()
        places = (read.data, first), (written.data, second)
        begin, end = (builder.bitcast(builder.gep(data, [index]), vector) for data, index in places)
        builder.store(builder.load(begin, align=ALIGNED), end, align=ALIGNED)
        return context.get_dummy_value()

    kinds = source, target
    return types.void(source, types.intp, target, types.intp, count), code


@intrinsic
def _memcpy(_, source, start, target, at, count):  # type: ignore[no-untyped-def]
    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        _, first, _, second, count = arguments
        read, written = (context.make_array(kind)(context, builder, arguments[2 * i]) for i, kind in enumerate(kinds))
        addresses = builder.gep(written.data, [second]), builder.gep(read.data, [first])
        cgutils.raw_memcpy(builder, *addresses, count, read.itemsize)
        return context.get_dummy_value()

    kinds = source, target
    return types.void(source, types.intp, target, types.intp, types.intp), code


@intrinsic
def _memset(_, target, at, count):  # type: ignore[no-untyped-def]
    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array, first, count = arguments
        written = context.make_array(target)(context, builder, array)
        cgutils.memset(builder, builder.gep(written.data, [first]), builder.mul(count, written.itemsize), 0)
        return context.get_dummy_value()

    return types.void(target, types.intp, types.intp), code


@intrinsic
def _prefetch(_, source, at):  # type: ignore[no-untyped-def]
    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array, first = arguments
        read = context.make_array(source)(context, builder, array)
        fetch(builder, builder.bitcast(builder.gep(read.data, [first]), BYTES))
        return context.get_dummy_value()

    return types.void(source, types.intp), code


@intrinsic
def _rows(_, source, read, target, written, rows, ahead):  # type: ignore[no-untyped-def]
    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        places = []
        for kind, position in ((source, 0), (target, 2)):
            array = context.make_array(kind)(context, builder, arguments[position])
            start, step = cgutils.unpack_tuple(builder, arguments[position + 1])
            places += [builder.bitcast(builder.gep(array.data, [start]), BYTES), step]
        sizes = cgutils.unpack_tuple(builder, arguments[4])
        builder.call(_copied_rows(builder.module, source.dtype), [*places, *sizes, arguments[5]])
        return context.get_dummy_value()

    pairs = types.UniTuple(types.intp, 2)
    return types.void(source, pairs, target, pairs, pairs, types.intp), code


def _copied_rows(module: Any, element: Any) -> Any:
    """The function that copies rows. Steps and sizes count elements; the last ones of a row may fill no vector."""

    def write(begin: Any) -> None:
        source, source_step, target, target_step, count, size, ahead = begin.function.args
        fetched = begin.gep(source, [begin.mul(ahead, SIZE(element.bitwidth // 8))])

        def copied(builder: Any, vector: Vector, read: Any, written: Any) -> None:
            fetch(builder, builder.gep(fetched, [read]))
            vector.store(builder, vector.load(builder, builder.gep(source, [read])), builder.gep(target, [written]))

        along_rows(begin, element, (source_step, target_step), (count, size), copied).ret_void()

    return function_of(module, f"copy_rows_{element}", [BYTES, SIZE, BYTES, SIZE, SIZE, SIZE, SIZE], write)
