"""The update of stochastic gradient descent with momentum, in place."""

from __future__ import annotations

import numpy as np

from ..contract import check_momentum_step


def momentum_step(w: np.ndarray, v: np.ndarray, dw: np.ndarray, rate: float, momentum: float, decay: float) -> None:
    """Moves a parameter by its velocity, when the gradient and the decay have changed that.

    Math
        v <- momentum v - rate (decay w + dw), then w <- w + v.
    Shapes
        w, v and dw of one shape. w and v are overwritten.
    Errors
        TypeError where one is not float32 or float64, or dtypes differ; ValueError where shapes differ, or w or v is
        strided or read-only.
    Cost
        Six operations a number; three numbers read and two written. (This one makes temporaries of that size.)
    Source
        Krizhevsky, Sutskever and Hinton, 2012, section 5; docs/training.md.
    """
    check_momentum_step(w, v, dw)
    change = decay * w
    change += dw
    change *= rate
    v *= momentum
    v -= change
    w += v
