"""The update on a GPU."""

from typing import Any

from ...devices.cuda.runtime import cuda, kernel, launch


def momentum_step(w: Any, v: Any, dw: Any, rate: float, momentum: float, decay: float) -> None:
    """Schedule: one thread per element."""
    factors = (w.dtype.type(factor) for factor in (rate, momentum, decay))
    launch(_step, w.size, *(array.reshape(w.size) for array in (w, v, dw)), *factors)


@kernel
def _step(w, v, dw, rate, momentum, decay):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index < w.size:
        velocity = momentum * v[index] - rate * (decay * w[index] + dw[index])
        v[index] = velocity
        w[index] += velocity
