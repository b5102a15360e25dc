"""Dropout: apply a mask, and draw one.

Derivation: docs/dropout.md. Tests: tests/ops/test_dropout.py.
"""

import math
from typing import Any

import numpy as np

from ...geometry import as_integer, as_number
from ..checks import Shape, check_array, check_floats, check_shape
from ..dispatch import resolve

_BOOL, _INT64 = (np.dtype(np.bool_),), (np.dtype(np.int64),)


def dropout(x: np.ndarray, kept: np.ndarray, rate: float, backend: str = "cpu") -> np.ndarray:
    """The kept elements, divided by the probability to be kept; forward and backward are the same function.

    Math
        out = x / (1 - rate) if kept, else 0. It is linear in x with a diagonal matrix, which is its own transpose: so
        dx is the same function of dout.
    Shapes
        x and kept (bool) of one shape -> out of the same.
    Errors
        TypeError if x is not float32 or float64, or kept is not bool; ValueError if shapes differ or rate is not at
        least 0 and below 1.
    Cost
        One multiplication and two memory accesses per element, and one byte of the mask.
    Source
        Srivastava et al., "Dropout", 2014, section 10, for the scaling in training; docs/dropout.md.
    """
    device, kernels = resolve(__name__, backend)
    check_floats(device, x=x)
    check_array(device, "kept", kept, _BOOL, "dtype bool")
    check_shape("kept", kept.shape, x.shape, "the shape of x")
    rate = check_rate(rate)
    out: np.ndarray = kernels.dropout(x, kept, rate)
    return out


def dropout_mask(shape: Shape, rate: float, seed: Any, backend: str = "cpu", *, first: int = 0) -> np.ndarray:
    """The elements to keep: each with probability 1 - ``rate``, a function of its index and the seed alone.

    Math
        kept[i] = (u >= rate). i counts the elements in row-major order, from the first of a whole batch on; u, in
        [0, 1), is the upper 24 of the 32 bits of ``philox(i, seed)``, divided by 2^24. So the masks of the parts of a
        batch, which begin with its images ``first``, are together the mask of the batch.
    Shapes
        -> bool of ``shape``. ``seed`` is an int, or an array of the device of two int64, which the kernel reads in
        place of both: seed and first.
    Errors
        ValueError if a size is below 0, rate not at least 0 and below 1, or seed or first not an int from 0 to
        2^63 - 1, or an array as seed has not two elements; TypeError if it has another dtype.
    Cost
        Ten rounds of two multiplications and five other operations on integers per element, and one byte written.
    Source
        ``ops/dropout/philox.py``; docs/dropout.md.
    """
    device, kernels = resolve(__name__, backend)
    for size in shape:
        as_integer("shape", size, 0)
    rate = check_rate(rate)
    if device.holds(seed):
        check_array(device, "seed", seed, _INT64, "dtype int64")
        check_shape("seed", seed.shape, (2,), "a seed and a first image")
    else:
        seed = device.number((as_integer("seed", seed, 0), as_integer("first", first, 0)), _INT64[0])
    kept: np.ndarray = kernels.dropout_mask(shape, math.ceil(rate * (1 << 24)), seed)
    return kept


def check_rate(rate: float) -> float:
    """``rate`` as a float; ValueError if it is not at least 0 and below 1."""
    return as_number("rate", rate, "at least 0 and below 1", lambda number: 0 <= number < 1)
