"""Dropout with a mask that is given: docs/dropout.md."""

from __future__ import annotations

import numpy as np

from ..ops import dropout
from .pools import REFERENCE, array, drawn, integers
from .subject import Case, Pool, Subject


def _forward(x: np.ndarray, kept: np.ndarray, rate: float) -> np.ndarray:
    return dropout.dropout(x, kept, rate, REFERENCE)


def _backward(dout: np.ndarray, kept: np.ndarray, rate: float) -> np.ndarray:
    return dropout.dropout(dout, kept, rate, REFERENCE)


def _pool(x: np.ndarray, dout: np.ndarray, kept: np.ndarray, rate: float) -> Pool:
    return {"x": x, "dout": dout, "kept": kept, "rate": rate}


CASES = (
    Case("three-of-four-dropped", _pool(array([2, -1]), array([3, 4]), np.array([[True, False]]), 0.75)),
    Case("half-dropped", _pool(array([1, -2, 3]), array([4, 1, -3]), np.array([[False, True, True]]), 0.5)),
    Case("images", _pool(integers(91, 2, 2, 2, 2), integers(92, 2, 2, 2, 2), integers(93, 2, 2, 2, 2) > 0, 0.75)),
)


def _draw(rng: np.random.Generator) -> Pool:
    shape = [int(size) for size in rng.integers(1, 4, int(rng.integers(1, 5)))]
    # Their divisors are powers of two, so the results are exact.
    rate = float(rng.choice([0.0, 0.5, 0.75, 0.875]))
    return _pool(drawn(rng, *shape), drawn(rng, *shape), rng.random(shape) >= rate, rate)


SUBJECTS = (
    Subject("dropout_forward", ("x", "kept", "rate"), ("out",), _forward, CASES, _draw),
    Subject(
        name="dropout_backward",
        parameters=("dout", "kept", "rate"),
        outputs=("dx",),
        right=_backward,
        cases=CASES,
        draw=_draw,
        forward="dropout_forward",
        gradients={"dx": "x"},
    ),
)
