"""The update in NumPy."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def momentum_steps(moves: Sequence[Any], loss: float | None) -> None:
    if loss is not None and not math.isfinite(loss):
        return
    for move in moves:
        _step(*move)


def _step(w: np.ndarray, v: np.ndarray, dw: np.ndarray, rate: float, momentum: float, decay: float) -> None:
    change = decay * w
    change += dw
    change *= rate
    v *= momentum
    v -= change
    w += v
