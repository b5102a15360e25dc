"""The update on a GPU."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...devices.cuda.memory import to_device
from ...devices.cuda.runtime import cuda, device, kernel, load, load4, store, store4
from ...devices.cuda.unrolled import unrolled_tuple
from ...devices.cuda.vectors import launch_by_four


def momentum_steps(moves: Sequence[Any], loss: Any) -> None:
    """Schedule: a launch for each parameter, one thread per four elements, which it loads and stores with 16 bytes
    each. The rate, the momentum and the loss are read from arrays, so that a captured step can have others at each
    replay."""
    for w, v, dw, rate, momentum, decay in moves:
        arrays = (to_device(np.array([f], w.dtype)) if isinstance(f, float) else f for f in (rate, momentum))
        launch_by_four(_step, (w, v, dw), *arrays, w.dtype.type(decay), _finite() if loss is None else loss)


@functools.cache
def _finite() -> Any:
    """In place of a loss."""
    return to_device(np.zeros(1))


@device
def _velocity(w, v, dw, rate, momentum, decay):  # type: ignore[no-untyped-def]
    return momentum * v - rate * (decay * w + dw)


_four_velocities = unrolled_tuple(
    4, "w, v, dw, rate, momentum, decay", "velocity(w[{k}], v[{k}], dw[{k}], rate, momentum, decay)", velocity=_velocity
)

_four_sums = unrolled_tuple(4, "a, b", "a[{k}] + b[{k}]")


@kernel
def _step(rates, momenta, decay, loss, w, v, dw):  # type: ignore[no-untyped-def]
    at, rate, momentum = 4 * cuda.grid(1), rates[0], momenta[0]
    if not math.isfinite(loss[0]):
        return
    if at + 4 <= w.size:
        weights = load4(w, np.int32(at))
        before, gradient = load4(v, np.int32(at)), load4(dw, np.int32(at))
        velocities = _four_velocities(weights, before, gradient, rate, momentum, decay)
        store4(v, np.int32(at), velocities)
        store4(w, np.int32(at), _four_sums(weights, velocities))
    else:
        for k in range(at, w.size):
            velocity = _velocity(load(w, k), load(v, k), load(dw, k), rate, momentum, decay)
            store(v, k, velocity)
            store(w, k, load(w, k) + velocity)
