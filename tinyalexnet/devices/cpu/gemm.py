"""Products of parts of matrices, and products that are added to a matrix: what BLAS can do and ``np.dot`` does not.

Numba calls OpenBLAS's ``gemm`` for ``np.dot``. The same call takes some rows and columns of a larger matrix where they
are, without a copy of them, and adds the product to what is there, without an array for it and a pass to add that.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

KINDS = {types.float32: ("s", ir.FloatType()), types.float64: ("d", ir.DoubleType())}
"""BLAS's letter for a type, and LLVM's type."""


def add_product(a: np.ndarray, b: np.ndarray, keep: bool, out: np.ndarray) -> None:
    """out = a b; or, to ``keep`` what is in it, out += a b.

    Shapes
        a (M, K), b (K, N), out (M, N). Each may be a part of a larger array. Elements of a row are neighbours in
        memory; or those of a column, in a and b, as in the transpose of an array.
    """
    assert out.strides[1] == out.itemsize
    assert all(x.itemsize in x.strides for x in (a, b))
    out[:] = out + a @ b if keep else a @ b


@overload(add_product)
def _compiled_product(a, b, keep, out):  # type: ignore[no-untyped-def]
    return lambda a, b, keep, out: _gemm(a, b, keep, out)  # noqa: PLW0108 - Numba asks for a function


@intrinsic
def _gemm(_, a, b, keep, out):  # type: ignore[no-untyped-def]
    """The call. BLAS stores a matrix column by column, so these are transposes to it: outᵀ = bᵀ aᵀ."""

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        letter, size, pointer = ir.IntType(8), ir.IntType(64), cgutils.voidptr_t
        name, real = KINDS[out.dtype]

        def matrix(kind: Any, value: Any) -> tuple[Any, Any, Any, Any]:
            """Address, elements from one row or column to the next, shape, and if columns are neighbours in memory."""
            array = context.make_array(kind)(context, builder, value)
            shape = cgutils.unpack_tuple(builder, array.shape)
            strides = [builder.sdiv(stride, array.itemsize) for stride in cgutils.unpack_tuple(builder, array.strides)]
            turned = builder.icmp_signed("!=", strides[1], ir.Constant(size, 1))
            # Of one row alone the distance may be anything, but BLAS asks for one that is possible.
            least = builder.select(turned, shape[0], shape[1])
            pitch = builder.select(turned, strides[1], strides[0])
            pitch = builder.select(builder.icmp_signed("<", pitch, least), least, pitch)
            transposed = builder.select(turned, ir.Constant(letter, ord("t")), ir.Constant(letter, ord("n")))
            return builder.bitcast(array.data, pointer), pitch, shape, transposed

        def scalar(value: Any) -> Any:
            return builder.bitcast(cgutils.alloca_once_value(builder, value), pointer)

        (left, left_pitch, _, left_kind), (right, right_pitch, (depth, columns), right_kind) = (
            matrix(kind, value) for kind, value in zip((a, b), arguments, strict=False)
        )
        target, target_pitch, (rows, _), _ = matrix(out, arguments[3])
        of_call = [letter] * 3 + [size] * 3 + [pointer, pointer, size, pointer, size, pointer, pointer, size]
        gemm = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.IntType(32), of_call), "numba_xxgemm")
        values = [ir.Constant(letter, ord(name)), right_kind, left_kind, columns, rows, depth]
        values += [scalar(ir.Constant(real, 1)), right, right_pitch, left, left_pitch]
        values += [scalar(builder.uitofp(arguments[2], real)), target, target_pitch]
        builder.call(gemm, values)
        return context.get_dummy_value()

    return types.void(a, b, keep, out), code
