"""Dropout, its mask given."""

from __future__ import annotations

import numpy as np

from ..contract import check_dropout


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
