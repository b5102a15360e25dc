"""Dropout in NumPy. A mask keeps an element if its 24 random bits reach the ``threshold``, which is rate 2^24."""

import math

import numpy as np

from .philox import philox


def dropout(x: np.ndarray, kept: np.ndarray, rate: float) -> np.ndarray:
    out: np.ndarray = np.where(kept, x * x.dtype.type(1 / (1 - rate)), x.dtype.type(0))
    return out


def dropout_mask(shape: tuple[int, ...], threshold: int, numbers: np.ndarray) -> np.ndarray:
    seed, first = numbers.tolist()
    indices = first * math.prod(shape[1:]) + np.arange(math.prod(shape), dtype=np.int64)
    kept: np.ndarray = (philox(indices, seed) >> 8 >= threshold).reshape(shape)
    return kept
