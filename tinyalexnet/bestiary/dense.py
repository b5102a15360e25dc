"""The dense layer: docs/dense.md."""

from __future__ import annotations

import numpy as np

from ..ops import dense
from .pools import REFERENCE, array, drawn, integers
from .subject import Case, Pool, Subject


def _forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    return dense.dense_forward(x, w, b, REFERENCE)


def _backward(dout: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dx = dense.dense_backward_input(dout, w, REFERENCE)
    dw, db = dense.dense_backward_params(dout, x, REFERENCE)
    return dx, dw, db


def _pool(x: np.ndarray, w: np.ndarray, b: np.ndarray, dout: np.ndarray) -> Pool:
    return {"x": x, "w": w, "b": b, "dout": dout, "x_shape": x.shape, "w_shape": w.shape}


def _integers(seed: int, n: int, c: int, f: int) -> Pool:
    return _pool(integers(seed, n, c), integers(seed + 1, c, f), integers(seed + 2, f), integers(seed + 3, n, f))


CASES = (
    Case("one-vector", _pool(array([1, 2]), array([3, -1], [2, 4]), array(1, -2), array([2, -1]))),
    Case("two-vectors", _pool(array([1, 2], [-3, 1]), array([1, -2], [3, 2]), array(3, -1), array([1, 2], [-2, 3]))),
    Case("ragged", _integers(11, 3, 2, 4)),
    Case("wide", _integers(12, 4, 5, 3)),
)


def _draw(rng: np.random.Generator) -> Pool:
    n, c, f = (int(size) for size in rng.integers(1, 6, 3))
    return _pool(drawn(rng, n, c), drawn(rng, c, f), drawn(rng, f), drawn(rng, n, f))


SUBJECTS = (
    Subject("dense_forward", ("x", "w", "b"), ("out",), _forward, CASES, _draw),
    Subject(
        name="dense_backward",
        parameters=("dout", "x", "w"),
        outputs=("dx", "dw", "db"),
        right=_backward,
        cases=CASES,
        draw=_draw,
        forward="dense_forward",
        gradients={"dx": "x", "dw": "w", "db": "b"},
    ),
)
