"""The chain rule on arrays: the inner product, a sum of squares, and a gain for each column.

The functions are exercises alone. What is right comes from NumPy, or from the forward by differences that are exact.
"""

from __future__ import annotations

import numpy as np

from .pools import array, drawn, integers
from .subject import Case, Pool, Subject


def _inner(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.vdot(a, b))


def _square_sum_forward(x: np.ndarray) -> float:
    return _inner(x, x)


def _square_sum_backward(dout: float, x: np.ndarray) -> np.ndarray:
    dx = np.zeros_like(x)
    for at in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[at] = 1
        # The central difference of a square is exact, and so are these numbers.
        dx[at] = dout * (_square_sum_forward(x + step) - _square_sum_forward(x - step)) / 2
    return dx


def _scale_forward(x: np.ndarray, gain: np.ndarray) -> np.ndarray:
    out: np.ndarray = np.einsum("nc,c->nc", x, gain)
    return out


def _scale_backward(dout: np.ndarray, x: np.ndarray, gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _scale_forward(dout, gain), np.einsum("nc,nc->c", dout, x)


def _pool(x: np.ndarray, b: np.ndarray, gain: np.ndarray, dout: np.ndarray) -> Pool:
    return {"a": x, "b": b, "x": x, "gain": gain, "dout": dout}


def _square_pool(x: np.ndarray, dout: float) -> Pool:
    return {"x": x, "dout": dout}


def _cases() -> tuple[Case, ...]:
    return (
        Case("one-row", _pool(array([2, -1]), array([3, 4]), array(2, 3), array([1, -2]))),
        Case("square", _pool(array([1, 2], [3, 4]), array([2, 0], [-1, 3]), array(3, -2), array([1, -1], [2, 3]))),
        Case("three-rows", _pool(integers(1, 3, 2), integers(2, 3, 2), array(-3, 2), integers(4, 3, 2))),
        Case("wide", _pool(integers(5, 2, 5), integers(6, 2, 5), integers(7, 5), integers(8, 2, 5))),
    )


def _square_cases() -> tuple[Case, ...]:
    return (
        Case("two-elements", _square_pool(array(3, -1), 2.0)),
        Case("matrix", _square_pool(array([1, 2, 0], [-3, 1, 4]), -3.0)),
        Case("images", _square_pool(integers(9, 2, 2, 2, 2), 4.0)),
    )


def _draw(rng: np.random.Generator) -> Pool:
    n, c = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    return _pool(drawn(rng, n, c), drawn(rng, n, c), drawn(rng, c), drawn(rng, n, c))


def _square_draw(rng: np.random.Generator) -> Pool:
    shape = [int(size) for size in rng.integers(1, 4, int(rng.integers(1, 5)))]
    return _square_pool(drawn(rng, *shape), float(rng.integers(1, 5)))


SUBJECTS = (
    Subject("inner", ("a", "b"), ("s",), _inner, _cases(), _draw),
    Subject("square_sum_forward", ("x",), ("s",), _square_sum_forward, _square_cases(), _square_draw),
    Subject(
        name="square_sum_backward",
        parameters=("dout", "x"),
        outputs=("dx",),
        right=_square_sum_backward,
        cases=_square_cases(),
        draw=_square_draw,
        forward="square_sum_forward",
        gradients={"dx": "x"},
    ),
    Subject("scale_forward", ("x", "gain"), ("out",), _scale_forward, _cases(), _draw),
    Subject(
        name="scale_backward",
        parameters=("dout", "x", "gain"),
        outputs=("dx", "dgain"),
        right=_scale_backward,
        cases=_cases(),
        draw=_draw,
        forward="scale_forward",
        gradients={"dx": "x", "dgain": "gain"},
    ),
)
