"""The update on a GPU."""

from typing import Any

import numpy as np

from ...devices.cuda.runtime import cuda, device, kernel, load, load4, store, store4
from ...devices.cuda.unrolled import unrolled_tuple
from ...devices.cuda.vectors import launch_by_four


def momentum_step(w: Any, v: Any, dw: Any, rate: float, momentum: float, decay: float) -> None:
    """Schedule: one thread per four elements, which it loads and stores with 16 bytes each."""
    factors = (w.dtype.type(factor) for factor in (rate, momentum, decay))
    launch_by_four(_step, (w, v, dw), *factors)


@device
def _velocity(w, v, dw, rate, momentum, decay):  # type: ignore[no-untyped-def]
    return momentum * v - rate * (decay * w + dw)


_four_velocities = unrolled_tuple(
    4, "w, v, dw, rate, momentum, decay", "velocity(w[{k}], v[{k}], dw[{k}], rate, momentum, decay)", velocity=_velocity
)

_four_sums = unrolled_tuple(4, "a, b", "a[{k}] + b[{k}]")


@kernel
def _step(aligned, rate, momentum, decay, w, v, dw):  # type: ignore[no-untyped-def]
    at = 4 * cuda.grid(1)
    if aligned and at + 4 <= w.size:
        weights = load4(w, np.int32(at))
        before, gradient = load4(v, np.int32(at)), load4(dw, np.int32(at))
        velocities = _four_velocities(weights, before, gradient, rate, momentum, decay)
        store4(v, np.int32(at), velocities)
        store4(w, np.int32(at), _four_sums(weights, velocities))
    else:
        for k in range(at, min(at + 4, w.size)):
            velocity = _velocity(load(w, k), load(v, k), load(dw, k), rate, momentum, decay)
            store(v, k, velocity)
            store(w, k, load(w, k) + velocity)
