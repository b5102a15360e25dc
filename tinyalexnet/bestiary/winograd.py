"""F(2, 3): two outputs of a filter of three elements from four products: docs/winograd.md.

What is right are the six products of the sum.
"""

from __future__ import annotations

import numpy as np

from .pools import array, drawn, integers
from .subject import Case, Pool, Subject


def _right(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    return np.array([x[:3] @ w, x[1:] @ w])


def _pool(x: np.ndarray, w: np.ndarray) -> Pool:
    return {"x": x, "w": w}


CASES = (
    Case("first-element", _pool(array(1, 0, 0, 0), array(2, -1, 1))),
    Case("by-hand", _pool(array(3, 1, 4, 5), array(2, -1, 1))),
    Case("others", _pool(integers(171, 4), integers(172, 3))),
)


def _draw(rng: np.random.Generator) -> Pool:
    return _pool(drawn(rng, 4), drawn(rng, 3))


SUBJECTS = (Subject("winograd_f23", ("x", "w"), ("out",), _right, CASES, _draw),)
