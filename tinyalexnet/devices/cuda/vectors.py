"""Four adjacent elements a thread: loads and stores of 16 bytes for float32, and of four for arrays of bytes.

Memory runs at its full speed only if each instruction moves much and many are on their way.
"""

from typing import Any

import numba
from llvmlite import ir

from .runtime import check_size, cuda, launch, launch_blocks

intrinsic = cuda.extending.intrinsic

THREADS = 128
"""Threads of a block of ``launch_grid``."""

MOST_ROWS = 65535
"""The most blocks of a grid along its second and its third axis."""


def launch_by_four(function: Any, arrays: tuple[Any, ...], *scalars: Any) -> None:
    """Runs a kernel with one thread for each four elements of arrays of one size.

    Its arguments are the scalars, and the arrays as flat ones. Each begins at a multiple of 16 bytes, as all do.
    """
    size = arrays[0].size
    check_size("an array", size)
    flat = [array.flat() for array in arrays]
    launch(function, -(-size // 4), *scalars, *flat)


def launch_grid(function: Any, items: int, rows: int, images: int, *arguments: Any) -> None:
    """Runs a kernel with one thread for each item, of four elements, of each row of each image.

    Its grid replaces two divisions.
    """
    check_size("an array", 4 * items * rows * images)
    if items and rows and images:
        launch_blocks(function, (-(-items // THREADS), rows, images), THREADS, *arguments)


@intrinsic
def load_bytes(typing_context, array, index):  # type: ignore[no-untyped-def]
    """Four elements of one byte each, from a multiple of four on, as a tuple: one load."""
    kind = array.dtype

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        vector = builder.load(_address_of_bytes(context, builder, signature, arguments), align=4)
        found = [builder.extract_element(vector, ir.IntType(32)(k)) for k in range(4)]
        elements = [context.data_model_manager[kind].from_data(builder, element) for element in found]
        return context.make_tuple(builder, signature.return_type, elements)

    return numba.types.UniTuple(kind, 4)(array, numba.types.int32), generate


@intrinsic
def store_bytes(typing_context, array, index, four):  # type: ignore[no-untyped-def]
    """Writes the four elements that ``load_bytes`` would read."""
    kind = array.dtype

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        vector = ir.VectorType(ir.IntType(8), 4)(ir.Undefined)
        for k in range(4):
            element = builder.extract_value(arguments[2], k)
            element = context.data_model_manager[kind].as_data(builder, element)
            vector = builder.insert_element(vector, element, ir.IntType(32)(k))
        builder.store(vector, _address_of_bytes(context, builder, signature, arguments), align=4)
        return context.get_dummy_value()

    return numba.types.void(array, numba.types.int32, numba.types.UniTuple(kind, 4)), generate


def _address_of_bytes(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    address = builder.gep(array.data, [arguments[1]])
    return builder.bitcast(address, ir.VectorType(ir.IntType(8), 4).as_pointer(address.type.addrspace))
