"""Losses: the number to make small, and its gradient, with which a backward pass begins."""

from collections.abc import Callable

import numpy as np

from .ops.l2_loss import l2_loss
from .ops.softmax_cross_entropy import softmax_cross_entropy

__all__ = ["Loss", "l2_loss", "softmax", "softmax_cross_entropy"]

Loss = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""The loss of a network's output, and its gradient."""


def softmax(logits: np.ndarray) -> np.ndarray:
    """The probability of each class, in float64.

    Math
        p[n,k] = exp(logits[n,k]) / Σ_j exp(logits[n,j]), with the largest logit of each row subtracted first.
    Shapes
        logits (N, K) -> p (N, K).
    Source
        docs/softmax_cross_entropy.md.
    """
    wide = logits.astype(np.float64)
    exponentials = np.exp(wide - wide.max(axis=1, keepdims=True))
    p: np.ndarray = exponentials / exponentials.sum(axis=1, keepdims=True)
    return p
