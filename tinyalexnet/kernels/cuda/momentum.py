"""The update of stochastic gradient descent with momentum, on a GPU."""

from __future__ import annotations

from typing import Any

from ..contract import check_same_dtype, check_shape
from .runtime import cuda, kernel, launch, stand_in


def momentum_step(w: Any, v: Any, dw: Any, rate: float, momentum: float, decay: float) -> None:
    """Moves a parameter by its velocity, when the gradient and the decay have changed that; see reference.

    Schedule
        A thread for each number.
    """
    shape = stand_in("w", w).shape
    for name, array in (("v", v), ("dw", dw)):
        check_same_dtype(name, stand_in(name, array), "w", w)
        check_shape(name, array, shape, "the shape of w")
    factors = (w.dtype.type(factor) for factor in (rate, momentum, decay))
    launch(_step, w.size, *(array.reshape(w.size) for array in (w, v, dw)), *factors)


@kernel
def _step(w, v, dw, rate, momentum, decay):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index < w.size:
        velocity = momentum * v[index] - rate * (decay * w[index] + dw[index])
        v[index] = velocity
        w[index] += velocity
