"""ReLU: docs/relu.md."""

from __future__ import annotations

import numpy as np

from ..ops import relu
from .pools import REFERENCE, array, drawn, integers
from .subject import Case, Pool, Subject


def _forward(x: np.ndarray) -> np.ndarray:
    return relu.relu_forward(x, backend=REFERENCE)


def _backward(dout: np.ndarray, x: np.ndarray) -> np.ndarray:
    return relu.relu_backward(dout, relu.relu_forward(x, backend=REFERENCE), backend=REFERENCE)


def _pool(x: np.ndarray, dout: np.ndarray) -> Pool:
    return {"x": x, "dout": dout}


CASES = (
    Case("both-signs", _pool(array([2, -3]), array([-4, 3]))),
    Case("zero", _pool(array([0, 2, -1]), array([3, 2, 4]))),
    Case("rows", _pool(integers(21, 3, 4), integers(22, 3, 4))),
    Case("images", _pool(integers(23, 2, 2, 3, 2), integers(24, 2, 2, 3, 2))),
)


def _draw(rng: np.random.Generator) -> Pool:
    shape = [int(size) for size in rng.integers(1, 4, int(rng.integers(1, 5)))]
    return _pool(drawn(rng, *shape), drawn(rng, *shape))


SUBJECTS = (
    Subject("relu_forward", ("x",), ("out",), _forward, CASES, _draw),
    Subject(
        name="relu_backward",
        parameters=("dout", "x"),
        outputs=("dx",),
        right=_backward,
        cases=CASES,
        draw=_draw,
        forward="relu_forward",
        gradients={"dx": "x"},
    ),
)
