"""Losses: the number to make small, and its gradient, which is where a backward pass begins."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .kernels import load
from .kernels.contract import check_floats

Loss = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""The loss of a network's output, and its gradient."""


def l2_loss(y: np.ndarray) -> tuple[float, np.ndarray]:
    """Half the sum of squares.

    Math
        loss = ½ Σ y², and so dloss/dy = y.
    Shapes
        y of any shape -> the loss, summed in float64, and dout: a copy of y.
    Errors
        TypeError where y is not float32 or float64.
    Cost
        One multiply-add an element.
    Source
        TensorFlow's ``nn.l2_loss``.
    """
    check_floats("y", y)
    return 0.5 * float(np.sum(np.square(y, dtype=np.float64))), y.copy()


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
