"""LRN, local response normalisation across channels: docs/lrn.md."""

from __future__ import annotations

import numpy as np

from ..ops import lrn
from .pools import REFERENCE, array, drawn, integers
from .subject import Case, Pool, Subject


def _forward(x: np.ndarray, radius: int, bias: float, alpha: float, beta: float) -> np.ndarray:
    return lrn.lrn_forward(x, radius, bias, alpha, beta, REFERENCE)[0]


def _backward(dout: np.ndarray, x: np.ndarray, radius: int, bias: float, alpha: float, beta: float) -> np.ndarray:
    scale = lrn.lrn_forward(x, radius, bias, alpha, beta, REFERENCE)[1]
    return lrn.lrn_backward(dout, x, scale, radius, alpha, beta, REFERENCE)


def _pool(x: np.ndarray, dout: np.ndarray, radius: int, bias: float, alpha: float, beta: float) -> Pool:
    return {"x": x, "dout": dout, "radius": radius, "bias": bias, "alpha": alpha, "beta": beta}


def _pixel(*channels: float) -> np.ndarray:
    return array(*channels)[np.newaxis, np.newaxis, np.newaxis, :]


CASES = (
    # Both scales are 2 + 1 + 1 = 4.
    Case("two-channels", _pool(_pixel(1, -1), _pixel(4, 8), 1, 2.0, 1.0, 1.0)),
    # The scales are 1 + 3/4 (4) = 4, and 1 + 3/4 (4 + 16) = 16 twice.
    Case("square-root", _pool(_pixel(2, 0, 4, -2), _pixel(4, -8, 16, 2), 1, 1.0, 0.75, 0.5)),
    Case("five-channels", _pool(integers(81, 1, 1, 1, 5), integers(82, 1, 1, 1, 5), 2, 1.0, 0.5, 0.75)),
    Case("images", _pool(integers(83, 2, 2, 2, 4), integers(84, 2, 2, 2, 4), 1, 2.0, 0.25, 0.75)),
)


def _draw(rng: np.random.Generator) -> Pool:
    shape = [int(size) for size in rng.integers((1, 1, 1, 1), (3, 3, 3, 7))]
    radius, alpha, beta = int(rng.integers(0, 4)), float(rng.uniform(0.1, 1)), float(rng.uniform(0.25, 1))
    return _pool(drawn(rng, *shape), drawn(rng, *shape), radius, float(rng.integers(1, 3)), alpha, beta)


SUBJECTS = (
    Subject(
        name="lrn_forward",
        parameters=("x", "radius", "bias", "alpha", "beta"),
        outputs=("out",),
        right=_forward,
        cases=CASES,
        draw=_draw,
        rounding=1e-9,
    ),
    Subject(
        name="lrn_backward",
        parameters=("dout", "x", "radius", "bias", "alpha", "beta"),
        outputs=("dx",),
        right=_backward,
        cases=CASES,
        draw=_draw,
        forward="lrn_forward",
        gradients={"dx": "x"},
        rounding=1e-9,
    ),
)
