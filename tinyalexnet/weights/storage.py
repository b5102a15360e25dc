"""Tensors as views of the storages of a file of PyTorch."""

import math
import reprlib
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..training.checkpoint import widened
from .archive import Archive, short

MOST_DIMENSIONS = 64
"""NumPy's limit."""

STORAGES = {
    "torch BoolStorage": "?",
    "torch ByteStorage": "u1",
    "torch CharStorage": "i1",
    "torch ShortStorage": "<i2",
    "torch IntStorage": "<i4",
    "torch LongStorage": "<i8",
    "torch HalfStorage": "<f2",
    "torch FloatStorage": "<f4",
    "torch DoubleStorage": "<f8",
}
"""The dtype of each type of storage: all dtypes that NumPy and every version of PyTorch have."""

BFLOAT16 = "torch BFloat16Storage"
"""Storages whose elements are the upper halves of float32, and are read as such."""


@dataclass(frozen=True, eq=False)
class Storage:
    """The elements of one or more tensors."""

    content: bytes
    dtype: np.dtype[Any]

    @property
    def count(self) -> int:
        return len(self.content) // self.dtype.itemsize


def stored(archive: Archive, kind: str, key: str, count: int) -> Storage:
    """The storage of an archive with this key, of a kind of STORAGES or BFLOAT16; ValueError for another length."""
    dtype = np.dtype(STORAGES.get(kind, "<u2"))
    size = count * dtype.itemsize
    content = archive.member(f"data/{key}", size)
    if len(content) != size:
        shown = reprlib.repr(size)
        raise ValueError(f"its member {short(f'data/{key}')} has {len(content)} bytes, but must have {shown}")
    if kind == BFLOAT16:
        return Storage(widened(np.frombuffer(content, "<u2")).tobytes(), np.dtype("<f4"))
    return Storage(content, dtype)


def tensor_of(storage: Storage, offset: Any, size: Any, stride: Any) -> np.ndarray:
    """A view of a storage, with no more elements than the storage and none outside it."""
    if not _are_counts((offset,)) or not _are_counts(size) or not _are_counts(stride) or len(size) != len(stride):
        raise ValueError("offset, sizes and strides must be integers from 0 up, as many strides as sizes")
    # The stride of a dimension of size 0 or 1 is never used, so any is allowed.
    strides = [step if length > 1 else 0 for length, step in zip(size, stride, strict=True)]
    last = offset + sum((length - 1) * step for length, step in zip(size, strides, strict=True))
    count = math.prod(size)
    if count > storage.count or (count and last >= storage.count):
        raise ValueError(f"a tensor leaves its storage of {storage.count} elements")
    if count == 0:
        offset, strides = 0, [0] * len(size)
    itemsize = storage.dtype.itemsize
    return np.ndarray(size, storage.dtype, storage.content, offset * itemsize, [step * itemsize for step in strides])


def _are_counts(values: Any) -> bool:
    """If they are a tuple of sizes that NumPy allows: not too many, each an int from 0 up."""
    return (
        isinstance(values, tuple)
        and len(values) <= MOST_DIMENSIONS
        and all(type(value) is int and 0 <= value <= sys.maxsize for value in values)
    )
