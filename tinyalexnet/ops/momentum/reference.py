"""The update in NumPy."""

import math

import numpy as np


def momentum_step(
    w: np.ndarray, v: np.ndarray, dw: np.ndarray, rate: float, momentum: float, decay: float, loss: float | None
) -> None:
    if loss is not None and not math.isfinite(loss):
        return
    change = decay * w
    change += dw
    change *= rate
    v *= momentum
    v -= change
    w += v
