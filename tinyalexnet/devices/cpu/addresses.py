"""Arrays by their addresses: a kernel that takes many arrays, of no fixed number, gets a table of these."""

import ctypes

import numpy as np
from numba import carray
from numba.core import types
from numba.extending import intrinsic, overload


def address_of(array: np.ndarray) -> int:
    """Where the elements of an array in C order begin; it must have some."""
    try:  # a quarter of the time
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]
    except TypeError:  # it is read-only
        return int(array.ctypes.data)


def elements_at(address: int, count: int, like: np.ndarray) -> np.ndarray:
    """The ``count`` elements from an address on, of the dtype of ``like``: no copy, and nobody keeps them alive."""
    memory = (ctypes.c_char * (count * like.itemsize)).from_address(int(address))
    found: np.ndarray = np.frombuffer(memory, like.dtype)  # type: ignore[call-overload]
    return found


@overload(elements_at)
def _compiled_elements(address, count, like):  # type: ignore[no-untyped-def]
    def elements(address, count, like):  # type: ignore[no-untyped-def]
        return carray(_pointer(address, like), (count,))

    return elements


@intrinsic
def _pointer(_, address, like):  # type: ignore[no-untyped-def]
    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(like.dtype)(types.intp, like), code  # type: ignore[attr-defined]
