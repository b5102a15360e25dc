"""Dropout: what a mask does, and how one is drawn."""

from __future__ import annotations

import math

import numpy as np

from ..contract import Shape, check_dropout, check_dropout_mask
from ..philox import philox


def dropout(x: np.ndarray, kept: np.ndarray, rate: float) -> np.ndarray:
    """What is kept, made larger by as much as is expected to be dropped; forward and backward are the same.

    Math
        out = x / (1 - rate) where kept, else 0. It is linear in x with a diagonal matrix, which is its own transpose:
        so dx is the same function of dout.
    Shapes
        x and kept (bool) of one shape -> out of the same.
    Errors
        TypeError where x is not float32 or float64, or kept is not bool; ValueError where shapes differ or rate is not
        at least 0 and below 1.
    Cost
        One multiplication and two memory accesses an element.
    Source
        Srivastava et al., "Dropout", 2014, section 10, for the scaling in training; docs/dense.md.
    """
    check_dropout(x, kept, rate)
    out: np.ndarray = np.where(kept, x * x.dtype.type(1 / (1 - rate)), x.dtype.type(0))
    return out


def dropout_mask(shape: Shape, rate: float, seed: int) -> np.ndarray:
    """What is kept: each number with probability 1 - ``rate``, told by its place and the seed alone.

    Math
        kept[i] = (u >= rate), where i counts the numbers in row-major order and u in [0, 1) has the upper 24 of the 32
        bits that ``philox(i, seed)`` draws.
    Shapes
        -> bool of ``shape``.
    Errors
        ValueError where a size is below 0, rate not at least 0 and below 1, or seed not an int from 0 to 2^63 - 1.
    Cost
        Ten rounds of two multiplications and five other operations on integers a number, and a byte written.
    Source
        ``kernels/philox.py``; docs/dense.md.
    """
    least = check_dropout_mask(shape, rate, seed)
    numbers = np.arange(math.prod(shape), dtype=np.int64)
    kept: np.ndarray = (philox(numbers, seed) >> 8 >= least).reshape(shape)
    return kept
