"""The checks that operations share. Each message names the argument, its value and the allowed values."""

import functools
from typing import Any

import numpy as np

from ..devices import Device
from ..geometry import Window

Shape = tuple[int, ...]
ImagesShape = tuple[int, int, int, int]
"""(N, H, W, C)"""

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
INTEGERS = tuple(map(np.dtype, np.typecodes["AllInteger"]))


def check_array(device: Device, name: str, array: Any, dtypes: tuple[np.dtype, ...], allowed: str) -> None:
    """TypeError if it is no array of the device or has another dtype; ValueError if kernels cannot read its layout."""
    if not device.holds(array):
        raise TypeError(f"{name} is a {type(array).__name__}, but must be {device.array_name} of {allowed}")
    if array.dtype not in dtypes:
        raise TypeError(f"{name} has dtype {array.dtype}, but must have {allowed}")
    device.check_layout(name, array)


def check_floats(device: Device, **arrays: Any) -> None:
    """``check_array`` for float32 or float64, the same for all: TypeError if a dtype is not that of the first.

    A silent conversion would let one float64 array slow a float32 network down by half, unseen.
    """
    first_name = first = None
    for name, array in arrays.items():
        check_array(device, name, array, FLOATS, "dtype float32 or float64")
        if first is None:
            first_name, first = name, array
        elif array.dtype != first.dtype:
            raise TypeError(f"{name} has dtype {array.dtype}, but must have the dtype of {first_name}, {first.dtype}")


def check_shape(name: str, shape: Shape, expected: Shape, meaning: str) -> None:
    """ValueError if ``shape`` is not ``expected``."""
    if shape != expected:
        raise ValueError(f"{name} has shape {shape}, but must have {meaning}, {expected}")


def check_writeable(device: Device, name: str, array: Any) -> None:
    """ValueError if a kernel cannot write to the array."""
    if not device.is_writeable(array):
        raise ValueError(f"{name} is strided or read-only, but must be C-contiguous and writeable")


def images_shape(name: str, shape: Shape) -> ImagesShape:
    """``shape`` as (N, H, W, C); ValueError if it is none."""
    n, height, width, channels = _sizes(name, shape, 4, "the four dimensions (N, H, W, C)")
    return n, height, width, channels


def matrix_shape(name: str, shape: Shape, dimensions: str) -> tuple[int, int]:
    """``shape`` as (rows, columns), which are called ``dimensions``; ValueError if it is none."""
    rows, columns = _sizes(name, shape, 2, f"the two dimensions {dimensions}")
    return rows, columns


def _sizes(name: str, shape: Shape, count: int, dimensions: str) -> Shape:
    if len(shape) != count:
        raise ValueError(f"{name} has shape {shape}, but must have {dimensions}")
    if min(shape) < 1:
        raise ValueError(f"{name} has shape {shape}, but must have no dimension of size 0")
    return shape


def pool_shape(x_shape: Shape, window: Window) -> ImagesShape:
    """The output's shape (N, OH, OW, C) of a pool; ValueError if a window could be padding alone."""
    return _pool_shape(tuple(x_shape), window)


@functools.lru_cache(maxsize=1024)
def _pool_shape(x_shape: Shape, window: Window) -> ImagesShape:
    n, height, width, channels = images_shape("x", x_shape)
    for pads, kernel in zip(window.pads((height, width)), window.kernel, strict=True):
        if max(pads) >= kernel:
            raise ValueError(
                f"padding is {window.padding}, but a pool's must be smaller than its kernel_size {window.kernel}: "
                "a window of padding alone has no maximum and no mean"
            )
    return n, *window.output_size((height, width)), channels
