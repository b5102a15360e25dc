"""The update on a GPU."""

import functools
import math
from typing import Any

import numpy as np

from ...devices.cuda.memory import to_device
from ...devices.cuda.runtime import cuda, kernel, launch


def momentum_step(w: Any, v: Any, dw: Any, rate: Any, momentum: float, decay: float, loss: Any) -> None:
    """Schedule: one thread per element. The rate and the loss are read from arrays, so that a captured step can have
    others at each replay."""
    rate = to_device(np.array([rate], w.dtype)) if isinstance(rate, float) else rate
    factors = (w.dtype.type(factor) for factor in (momentum, decay))
    launch(_step, w.size, *(array.flat() for array in (w, v, dw)), rate, *factors, _finite() if loss is None else loss)


@functools.cache
def _finite() -> Any:
    """In place of a loss."""
    return to_device(np.zeros(1))


@kernel
def _step(w, v, dw, rate, momentum, decay, loss):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index < w.size and math.isfinite(loss[0]):
        velocity = momentum * v[index] - rate[0] * (decay * w[index] + dw[index])
        v[index] = velocity
        w[index] += velocity
