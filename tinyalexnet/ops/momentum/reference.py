"""The update in NumPy."""

import numpy as np


def momentum_step(w: np.ndarray, v: np.ndarray, dw: np.ndarray, rate: float, momentum: float, decay: float) -> None:
    change = decay * w
    change += dw
    change *= rate
    v *= momentum
    v -= change
    w += v
