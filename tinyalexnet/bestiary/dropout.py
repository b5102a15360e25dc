"""Dropout with a mask that is given: docs/dropout.md."""

from __future__ import annotations

import numpy as np

from ..ops import dropout
from .pools import REFERENCE, array, drawn, integers
from .subject import Case, Pool, Subject, wrong


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


@wrong(
    "out",
    "The kept elements are not divided by 1 - rate, as in the first paper, but here they must be, so that a test "
    "needs no scaling.",
    source="meant so in Srivastava et al., 2014, section 4",
    shown_by="three-of-four-dropped",
)
def dropout_not_scaled(x: np.ndarray, kept: np.ndarray, rate: float) -> np.ndarray:
    return np.where(kept, x, 0.0)


@wrong(
    "out",
    "The mask is inverted, so the elements to keep are dropped, but kept says which ones stay.",
    source="related: hunkim/DeepLearningZeroToAll #122; titu1994/Inception-v4 #5",
    shown_by="three-of-four-dropped",
)
def dropout_inverted(x: np.ndarray, kept: np.ndarray, rate: float) -> np.ndarray:
    return np.where(kept, 0.0, x / (1 - rate))


@wrong(
    "out",
    "The kept elements are divided by rate, but they must be divided by 1 - rate, the probability to be kept.",
    source="lmjohns3/theanets #123; rasbt/LLMs-from-scratch #431",
    shown_by="three-of-four-dropped",
)
def dropout_divided_by_rate(x: np.ndarray, kept: np.ndarray, rate: float) -> np.ndarray:
    return np.where(kept, x / rate if rate else x, 0.0)


@wrong(
    "out",
    "The kept elements are multiplied by 1 - rate, which is for a test, but in training they must be divided by it.",
    source="asked in Stack Overflow 57193633",
    shown_by="three-of-four-dropped",
)
def dropout_multiplied(x: np.ndarray, kept: np.ndarray, rate: float) -> np.ndarray:
    return np.where(kept, x * (1 - rate), 0.0)


@wrong(
    "dx",
    "dropout's backward does not divide by 1 - rate, but the forward did, so the gradient must be divided too.",
    source="asked in stats.stackexchange 207481",
    shown_by="three-of-four-dropped",
)
def dropout_dx_not_scaled(dout: np.ndarray, kept: np.ndarray, rate: float) -> np.ndarray:
    return np.where(kept, dout, 0.0)


@wrong(
    "dx",
    "The gradient passes where elements were dropped, but it must pass where they were kept.",
    source="no public sighting known",
    shown_by="three-of-four-dropped",
)
def dropout_dx_inverted(dout: np.ndarray, kept: np.ndarray, rate: float) -> np.ndarray:
    return np.where(kept, 0.0, dout / (1 - rate))


@wrong(
    "dx",
    "dropout's backward does not apply the mask, but a dropped element had no part in the output, so its gradient "
    "must be 0.",
    source="ddbourgin/numpy-ml #94",
    shown_by="three-of-four-dropped",
)
def dropout_dx_not_masked(dout: np.ndarray, kept: np.ndarray, rate: float) -> np.ndarray:
    return dout / (1 - rate)


@wrong(
    "dx",
    "dropout's backward divides by rate, but the forward divided by 1 - rate, the probability to be kept.",
    source="related: lmjohns3/theanets #123, in the forward",
    shown_by="three-of-four-dropped",
)
def dropout_dx_divided_by_rate(dout: np.ndarray, kept: np.ndarray, rate: float) -> np.ndarray:
    return np.where(kept, dout / rate if rate else dout, 0.0)


@wrong(
    "dx",
    "The gradient is divided by 1 - rate twice, but the forward divided once.",
    source="related: CSTR-Edinburgh/mlpractical #32, in the forward",
    shown_by="three-of-four-dropped",
)
def dropout_dx_scaled_twice(dout: np.ndarray, kept: np.ndarray, rate: float) -> np.ndarray:
    return np.where(kept, dout / (1 - rate) ** 2, 0.0)


SUBJECTS = (
    Subject(
        "dropout_forward",
        ("x", "kept", "rate"),
        ("out",),
        _forward,
        CASES,
        _draw,
        beasts=(dropout_not_scaled, dropout_inverted, dropout_divided_by_rate, dropout_multiplied),
    ),
    Subject(
        name="dropout_backward",
        parameters=("dout", "kept", "rate"),
        outputs=("dx",),
        right=_backward,
        cases=CASES,
        draw=_draw,
        forward="dropout_forward",
        gradients={"dx": "x"},
        beasts=(
            dropout_dx_not_scaled,
            dropout_dx_inverted,
            dropout_dx_not_masked,
            dropout_dx_divided_by_rate,
            dropout_dx_scaled_twice,
        ),
    ),
)
