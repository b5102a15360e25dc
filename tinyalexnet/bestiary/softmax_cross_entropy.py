"""Softmax and cross-entropy in one: docs/softmax_cross_entropy.md."""

from __future__ import annotations

import numpy as np

from ..ops import softmax_cross_entropy
from .pools import REFERENCE, array, drawn, integers
from .subject import Case, Pool, Subject


def _right(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    return softmax_cross_entropy.softmax_cross_entropy(logits, labels, REFERENCE)


def _pool(logits: np.ndarray, labels: np.ndarray) -> Pool:
    # The loss is the last step, so its own gradient is 1.
    return {"logits": logits, "labels": labels, "dout": 1.0}


CASES = (
    Case("one-row", _pool(array([1, 2]), np.array([0]))),
    Case("two-rows", _pool(array([1, -1, 2], [0, 3, 1]), np.array([2, 0]))),
    # The exponential of 1000 is above the largest float64.
    Case("large-logits", _pool(array([1000, 999, 998], [-1000, -999, -1001]), np.array([1, 1]))),
    Case("ragged", _pool(integers(101, 4, 3), np.array([2, 0, 1, 1]))),
    Case("square", _pool(integers(102, 4, 4), np.array([3, 1, 0, 3]))),
)


def _draw(rng: np.random.Generator) -> Pool:
    n, classes = int(rng.integers(1, 6)), int(rng.integers(2, 6))
    return _pool(drawn(rng, n, classes), rng.integers(0, classes, n))


SUBJECTS = (
    Subject(
        name="softmax_cross_entropy",
        parameters=("logits", "labels"),
        outputs=("loss", "dlogits"),
        right=_right,
        cases=CASES,
        draw=_draw,
        forward="softmax_cross_entropy",
        gradients={"dlogits": "logits"},
        rounding=1e-9,
    ),
)
