"""Losses: the number to make small, and its gradient, which is where a backward pass begins."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .kernels import load

Loss = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""The loss of a network's output, and its gradient."""


def l2_loss(y: np.ndarray, backend: str = "cpu") -> tuple[float, np.ndarray]:
    """Half the sum of squares: ``kernels.l2_loss``.

    Shapes
        y of any shape -> the loss, summed in float64, and dout: a copy of y.
    Errors
        TypeError where y is not float32 or float64.
    Source
        ``kernels/reference/l2.py``.
    """
    return load(backend).l2_loss(y)


def softmax(logits: np.ndarray) -> np.ndarray:
    """The probability that each class gets, in float64.

    Math
        p[n,k] = exp(logits[n,k]) / Σ_j exp(logits[n,j]), with the largest logit of each row subtracted first.
    Shapes
        logits (N, K) -> p (N, K).
    Source
        docs/dense.md.
    """
    wide = logits.astype(np.float64)
    exponentials = np.exp(wide - wide.max(axis=1, keepdims=True))
    p: np.ndarray = exponentials / exponentials.sum(axis=1, keepdims=True)
    return p


def softmax_cross_entropy(logits: np.ndarray, labels: np.ndarray, backend: str = "cpu") -> tuple[float, np.ndarray]:
    """The mean of -log of the probability that the right class gets: ``kernels.softmax_cross_entropy``.

    Shapes
        logits (N, K), labels (N,) of integers from 0 to K - 1 -> the loss and dlogits (N, K).
    Errors
        TypeError where logits are not float32 or float64, or labels no integers. ValueError where shapes do not fit or
        a label is out of range.
    Source
        ``kernels/reference/softmax.py``.
    """
    return load(backend).softmax_cross_entropy(logits, labels)
