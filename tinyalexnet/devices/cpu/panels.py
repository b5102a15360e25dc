"""Products of matrices whose second factor is a panel, with rows that follow each other: what a tile reads as it is.

A library for products first copies both matrices into panels. Winograd's convolution writes its matrices so from the
beginning, and has no need of the copy. The elements of a row of ``out`` are sums in the order of k, whatever the sizes.

The tiles take longer to compile than most kernels. So they are compiled once, and kernels call them by a name that is
known to whoever loads a kernel, as a library would be.
"""

import functools
from typing import Any

import numpy as np
from llvmlite import binding
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

from . import compiler
from .microkernel import KINDS, ROWS, VECTOR_BYTES, VECTORS, multiply_tile

DEPTH = 96
"""Rows of b in one tile: with four vectors of columns 24 KB, which stay in a core's fastest cache for all rows of a."""

LINES = 4
"""Tiles that together fetch the next DEPTH rows of b, each a cache line of every row, while they multiply these."""


def add_panel_product(a: np.ndarray, b: np.ndarray, keep: bool, out: np.ndarray) -> None:
    """out = a b; or, to ``keep`` what is in it, out += a b.

    Shapes
        a (M, K), b (K, N), out (M, N). Each may be a part of a larger array, and a the transpose of one. In b and out
        elements of a row are neighbours in memory. Of no k the sum is 0.
    Source
        Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008: panels and tiles.
    """
    assert all(x.strides[1] == x.itemsize for x in (b, out) if x.shape[1] > 1 and x.size > 0)
    out[:] = out + a @ b if keep else a @ b


@overload(add_panel_product)
def _compiled_product(a, b, keep, out):  # type: ignore[no-untyped-def]
    zero, lanes = np.dtype(str(out.dtype)).type(0), KINDS[out.dtype][2]

    def product(a, b, keep, out):  # type: ignore[no-untyped-def]
        (rows, depth), columns = a.shape, b.shape[1]
        if depth == 0 and not keep:
            out[:] = 0
        # Addresses and steps: so one function serves all layouts.
        of_a = np.intp(a.ctypes.data), a.strides[0], a.strides[1]
        of_b, of_out = (np.intp(b.ctypes.data), b.strides[0]), (np.intp(out.ctypes.data), out.strides[0])
        _call(zero, (np.intp(lanes), *of_a, *of_b, *of_out, rows, depth, columns), bool(keep))

    return product


def _arguments(real: Any) -> tuple[Any, ...]:
    """The types of those of ``_product`` for an element's type."""
    return real, *[types.intp] * 11, types.boolean


@intrinsic
def _call(_, zero, numbers, keep):  # type: ignore[no-untyped-def]
    """``_product``, by the name of ``provide``."""

    def code(context, builder, signature, given):  # type: ignore[no-untyped-def]
        provide(zero)
        first, between, last = given
        values = [first, *cgutils.unpack_tuple(builder, between), last]
        kind = context.call_conv.get_function_type(types.void, _arguments(zero))
        function = cgutils.get_or_insert_function(builder.module, kind, _name(zero))
        context.call_conv.call_function(builder, function, types.void, _arguments(zero), values)
        return context.get_dummy_value()

    return types.void(zero, numbers, types.boolean), code


def _name(real: Any) -> str:
    return f"tinyalexnet_product_{real}"


@functools.cache
def provide(real: Any) -> None:
    """Compiles ``_product`` for this type, or loads it, and tells LLVM where it is."""
    _product.compile(_arguments(real))
    code = _product.overloads[_arguments(real)]
    binding.add_symbol(_name(real), code.library.get_pointer_to_function(code.fndesc.llvm_func_name))


@compiler.before_loading
def _provide_for(arguments: Any) -> None:
    """What a kernel of these arguments may call."""
    for real in KINDS:
        if str(real) in str(arguments):
            provide(real)


@compiler.named
def _product(zero, lanes, of_a, a_row, a_column, of_b, b_row, of_out, out_row, rows, depth, columns, keep):  # type: ignore[no-untyped-def]
    # Rows that do not follow each other, and no more of them: what lies behind them is not for this product.
    ends = depth <= DEPTH and b_row > VECTORS[0] * VECTOR_BYTES
    left = 0
    while left < columns:
        width = VECTORS[0] * lanes
        while width > max(columns - left, lanes):
            width //= 2
        byte = left * VECTOR_BYTES // lanes
        for first in range(0, depth, DEPTH):
            some = min(DEPTH, depth - first)
            for top in range(0, rows, ROWS):
                tile_of_a = of_a + top * a_row + first * a_column, a_row, a_column
                panel = of_b + first * b_row + byte, b_row
                tile = of_out + top * out_row + byte, out_row
                ahead = 0 if ends else DEPTH * b_row + top // ROWS % LINES * VECTOR_BYTES
                sizes = some, min(ROWS, rows - top), columns - left
                multiply_tile(zero, tile_of_a, panel, tile, ahead, sizes, keep or first > 0)
        left += width
