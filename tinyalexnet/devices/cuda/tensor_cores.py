"""The instructions of tensor cores, and copies to shared memory that run beside the arithmetic.

They exist from compute capability 8.0 on. Each function here is one machine instruction or two: what Numba cannot say.
"""

from typing import Any

from llvmlite import ir
from numba import types

from .runtime import cuda

intrinsic = cuda.extending.intrinsic

INT32, INT64, FLOAT32, VOID = ir.IntType(32), ir.IntType(64), ir.FloatType(), ir.VoidType()
SHARED, GLOBAL = 3, 1
"""LLVM's numbers of the address spaces."""

LOW_BITS = 13
"""A float32 has 23 bits of fraction, and TF32 has 10: a tensor core ignores the others."""

PAIR, FOUR = types.UniTuple(types.float32, 2), types.UniTuple(types.float32, 4)


@intrinsic
def copy16(typing_context, target, at, source, index, size):  # type: ignore[no-untyped-def]
    """Starts to copy 16 bytes from ``source``, from element ``index`` on, to the shared array ``target``.

    Only the first ``size`` bytes are read; the others become 0. Both begin at a multiple of 16 bytes.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        target, at, source, index, size = arguments
        target = context.make_array(signature.args[0])(context, builder, target).data
        target = builder.addrspacecast(target, ir.PointerType(FLOAT32, SHARED))
        source = context.make_array(signature.args[2])(context, builder, source).data
        source = builder.addrspacecast(source, ir.PointerType(FLOAT32, GLOBAL))
        _assembly(
            builder,
            "cp.async.cg.shared.global [$0], [$1], 16, $2;",
            "r,l,r",
            builder.ptrtoint(builder.gep(target, [at]), INT32),
            builder.ptrtoint(builder.gep(source, [index]), INT64),
            size,
        )
        return context.get_dummy_value()

    return types.void(target, types.int32, source, types.int32, types.int32), generate


@intrinsic
def commit(typing_context):  # type: ignore[no-untyped-def]
    """The copies that this thread started since its last ``commit`` become a group, which may be empty."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        _assembly(builder, "cp.async.commit_group;", "")
        return context.get_dummy_value()

    return types.void(), generate


def wait_until(left: int) -> Any:
    """A device function that waits until at most ``left`` groups of this thread are on their way: the newest ones."""

    @intrinsic
    def wait(typing_context):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            _assembly(builder, f"cp.async.wait_group {left};", "")
            return context.get_dummy_value()

        return types.void(), generate

    return wait


def _assembly(builder: Any, text: str, constraints: str, *operands: Any) -> None:
    """An instruction that writes memory: the compiler moves no load or store across it."""
    kind = ir.FunctionType(VOID, [operand.type for operand in operands])
    constraints = ",".join(filter(None, (constraints, "~{memory}")))
    builder.call(ir.InlineAsm(kind, text, constraints, side_effect=True), operands)


@intrinsic
def plus_matrix_product(typing_context, total, a, b):  # type: ignore[no-untyped-def]
    """total + A B, of all 32 threads of a warp: A is 16 x 8, B is 8 x 8, and each thread holds some elements.

    With g = lane // 4 and t = lane % 4, ``a`` holds A[g, t], A[g + 8, t], A[g, t + 4] and A[g + 8, t + 4]; ``b`` holds
    B[t, g] and B[t + 4, g]; ``total`` holds the elements [g, 2t], [g, 2t + 1], [g + 8, 2t] and [g + 8, 2t + 1].
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        total, a, b = (
            [builder.extract_value(value, i) for i in range(kind.count)]
            for value, kind in zip(arguments, signature.args, strict=True)
        )
        kind = ir.FunctionType(ir.LiteralStructType([FLOAT32] * 4), [INT32] * 6 + [FLOAT32] * 4)
        text = (
            "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
            "{$0, $1, $2, $3}, {$4, $5, $6, $7}, {$8, $9}, {$10, $11, $12, $13};"
        )
        instruction = ir.InlineAsm(kind, text, "=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f")
        result = builder.call(instruction, [*(builder.bitcast(value, INT32) for value in a + b), *total])
        elements = [builder.extract_value(result, i) for i in range(4)]
        return context.make_tuple(builder, signature.return_type, elements)

    return FOUR(FOUR, FOUR, PAIR), generate


@intrinsic
def high_part(typing_context, value):  # type: ignore[no-untyped-def]
    """``value`` rounded to the 11 bits that a tensor core multiplies; halves away from 0, in integer arithmetic.

    Of NaN it may be any number, and of a float32 that is nearly the largest it is infinity: value - high_part(value) is
    NaN in both cases.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        bits = builder.bitcast(arguments[0], INT32)
        bits = builder.add(bits, INT32(1 << (LOW_BITS - 1)))
        return builder.bitcast(builder.and_(bits, INT32(-(1 << LOW_BITS))), FLOAT32)

    return types.float32(types.float32), generate


@intrinsic
def rounded(typing_context, value):  # type: ignore[no-untyped-def]
    """Like ``high_part``, by the machine's own instruction, which keeps NaN."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        instruction = ir.InlineAsm(ir.FunctionType(INT32, [FLOAT32]), "cvt.rna.tf32.f32 $0, $1;", "=r,f")
        return builder.bitcast(builder.call(instruction, arguments), FLOAT32)

    return types.float32(types.float32), generate
