"""F(2, 3): two outputs of a filter of three elements from four products: docs/winograd.md.

What is right are the six products of the sum.
"""

from __future__ import annotations

import numpy as np

from .pools import array, drawn, integers
from .subject import Case, Pool, Subject, wrong


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


@wrong(
    "out",
    "The last product has the wrong sign, as when the matrices of two publications are mixed, but (x1 - x3) w2 "
    "must be subtracted.",
    source="asked in andravin/wincnn #21",
    shown_by="by-hand",
)
def winograd_sign(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    q1 = (x[1] + x[2]) * (w[0] + w[1] + w[2]) / 2
    q2 = (x[2] - x[1]) * (w[0] - w[1] + w[2]) / 2
    return np.array([(x[0] - x[2]) * w[0] + q1 + q2, q1 - q2 + (x[1] - x[3]) * w[2]])


@wrong(
    "out",
    "The halves of the filter's transform are missing, but w0 + w1 + w2 and w0 - w1 + w2 must be divided by 2.",
    source="no public sighting known",
    shown_by="by-hand",
)
def winograd_without_halves(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    q1 = (x[1] + x[2]) * (w[0] + w[1] + w[2])
    q2 = (x[2] - x[1]) * (w[0] - w[1] + w[2])
    return np.array([(x[0] - x[2]) * w[0] + q1 + q2, q1 - q2 - (x[1] - x[3]) * w[2]])


@wrong(
    "out",
    "The filter is flipped, as in Winograd's own convolution, but F(2, 3) here must be a cross-correlation.",
    source="expected in andravin/wincnn #3",
    shown_by="first-element",
)
def winograd_flipped(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    return _right(x, w[::-1])


SUBJECTS = (
    Subject(
        "winograd_f23",
        ("x", "w"),
        ("out",),
        _right,
        CASES,
        _draw,
        beasts=(winograd_sign, winograd_without_halves, winograd_flipped),
    ),
)
