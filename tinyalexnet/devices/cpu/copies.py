"""Copies of a few elements, by the C library's memcpy and memset.

A compiled loop over 16 elements takes some times as long as the copy: it first finds out whether source and target
overlap, and the elements that fill no vector go one by one. docs/performance.md has what that is worth.
"""

import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic, overload


def copy_elements(source: np.ndarray, start: int, target: np.ndarray, at: int, count: int) -> None:
    """target[at : at + count] = source[start : start + count], of two arrays of one axis that do not overlap."""
    target[at : at + count] = source[start : start + count]


def clear_elements(target: np.ndarray, at: int, count: int) -> None:
    """target[at : at + count] = 0; an array of one axis and in C order."""
    target[at : at + count] = 0


@overload(copy_elements)
def _compiled_copy(source, start, target, at, count):  # type: ignore[no-untyped-def]
    def copy(source, start, target, at, count):  # type: ignore[no-untyped-def]
        _memcpy(source, start, target, at, count)

    def one_by_one(source, start, target, at, count):  # type: ignore[no-untyped-def]
        for i in range(count):
            target[at + i] = source[start + i]

    # Elements may be apart, as those of filters that are a view.
    return copy if source.layout == target.layout == "C" and source.dtype == target.dtype else one_by_one


@overload(clear_elements)
def _compiled_clear(target, at, count):  # type: ignore[no-untyped-def]
    def clear(target, at, count):  # type: ignore[no-untyped-def]
        _memset(target, at, count)

    return clear if target.layout == "C" else None


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
