"""Data files for the tests, written from the description of their format and not by the reader."""

from __future__ import annotations

import struct

import numpy as np
import pytest

IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(array, code=8):
    """The bytes of an IDX file."""
    sizes = b"".join(struct.pack(">I", size) for size in array.shape)
    return bytes([0, 0, code, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def counted(*shape, start=0):
    """An array in which neighbours differ along every axis."""
    return ((np.arange(np.prod(shape)) * 7 + start) % 251).astype(np.uint8).reshape(shape)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def refusal(function, *arguments, **keywords):
    """The sentence in which ``function`` refuses."""
    with pytest.raises(ValueError, match=r"but") as caught:
        function(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)
