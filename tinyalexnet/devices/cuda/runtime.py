"""What kernels are written with: their decorators, and the machine instructions that Numba does not offer by itself.

``numba.cuda`` is imported here and in ``kernels`` alone: from the package ``numba-cuda``, which is the maintained one.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import cuda as cuda
from numba.cuda.extending import intrinsic

from .arrays import check_size as check_size
from .kernels import THREADS as THREADS
from .kernels import Kernel
from .kernels import launch as launch
from .kernels import launch_blocks as launch_blocks

kernel = Kernel
"""Decorator of a kernel, a function that every thread runs."""


def bounded_kernel(threads: int, blocks: int = 1) -> Callable[[Callable[..., None]], Kernel]:
    """Decorator of a kernel that always runs with so many threads a block.

    The compiler then gives a thread as many registers as let ``blocks`` of them be on a multiprocessor together.
    """
    return lambda function: Kernel(function, (threads, blocks))


device = cuda.jit(device=True)
"""Decorator of a function that kernels call."""


# Numba loads and stores one element of an array at a time, by an index of 64 bits that counts from the end if it is
# negative: each access compares and adds. These intrinsics name the machine instruction instead.


@intrinsic
def load(typing_context, array, index):  # type: ignore[no-untyped-def]
    """Element ``index``, in 32 bits, of a flat array; never negative."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.load(_address(context, builder, signature, arguments))

    return array.dtype(array, numba.types.int32), generate


@intrinsic
def store(typing_context, array, index, value):  # type: ignore[no-untyped-def]
    """Writes the element that ``load`` would read."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        builder.store(arguments[2], _address(context, builder, signature, arguments))
        return context.get_dummy_value()

    return numba.types.void(array, numba.types.int32, array.dtype), generate


@intrinsic
def load4(typing_context, array, index):  # type: ignore[no-untyped-def]
    """Four elements in a row of a flat array as a tuple, from a multiple of 16 bytes on: one load for float32."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        vector = builder.load(_vector_address(context, builder, signature, arguments), align=16)
        elements = [builder.extract_element(vector, ir.IntType(32)(i)) for i in range(4)]
        return context.make_tuple(builder, signature.return_type, elements)

    return numba.types.UniTuple(array.dtype, 4)(array, numba.types.intp), generate


@intrinsic
def store4(typing_context, array, index, four):  # type: ignore[no-untyped-def]
    """Writes the four elements that ``load4`` would read."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        address = _vector_address(context, builder, signature, arguments)
        vector = address.type.pointee(ir.Undefined)
        for i in range(4):
            element = builder.extract_value(arguments[2], i)
            vector = builder.insert_element(vector, element, ir.IntType(32)(i))
        builder.store(vector, address, align=16)
        return context.get_dummy_value()

    return numba.types.void(array, numba.types.intp, numba.types.UniTuple(array.dtype, 4)), generate


def _address(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.gep(array.data, [arguments[1]])


def _vector_address(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    address = _address(context, builder, signature, arguments)
    vector = ir.VectorType(context.get_data_type(signature.args[0].dtype), 4)
    return builder.bitcast(address, vector.as_pointer(address.type.addrspace))


@device
def divide(index, by):  # type: ignore[no-untyped-def]
    """divmod in 32 bits, of integers from 0 to 2³² - 1: in 64 bits it takes several times as long."""
    quotient = np.int64(np.uint32(index) // np.uint32(by))
    return quotient, index - quotient * by


@device
def unravel(index, shape):  # type: ignore[no-untyped-def]
    """(n, h, w, c) of element ``index`` of an array of ``shape``, the last axis running fastest."""
    index, c = divide(index, shape[3])
    index, w = divide(index, shape[2])
    n, h = divide(index, shape[1])
    return n, h, w, c


@device
def windows_over(pixel, kernel, stride, outputs):  # type: ignore[no-untyped-def]
    """Begin and end, along one axis, of the windows that hold ``pixel``, whose position counts the padding."""
    first = divide(pixel - kernel, stride)[0] + 1 if pixel >= kernel else 0
    return first, min(outputs, divide(pixel, stride)[0] + 1)
