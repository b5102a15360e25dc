"""The loss of TensorFlow's benchmark, which has no labels."""

from __future__ import annotations

import numpy as np

from ..contract import check_l2_loss


def l2_loss(y: np.ndarray) -> tuple[float, np.ndarray]:
    """Half the sum of squares, and its gradient.

    Math
        loss = ½ Σ y², and so dloss/dy = y.
    Shapes
        y of any shape -> the loss, summed in float64, and dout: a copy of y.
    Errors
        TypeError where y is not float32 or float64.
    Cost
        One multiply-add and two memory accesses an element.
    Source
        TensorFlow's ``nn.l2_loss``; docs/benchmark.md.
    """
    check_l2_loss(y)
    return 0.5 * float(np.sum(np.square(y, dtype=np.float64))), y.copy()
