"""One step of stochastic gradient descent with momentum and weight decay: docs/momentum.md.

It returns the new w and v. Rates, momenta and decays are sums of few powers of two, so that the steps are exact.
"""

from __future__ import annotations

import numpy as np

from ..ops import momentum as ops
from .pools import REFERENCE, array, drawn, integers
from .subject import Case, Pool, Subject


def _right(
    w: np.ndarray, v: np.ndarray, dw: np.ndarray, rate: float, momentum: float, decay: float
) -> tuple[np.ndarray, np.ndarray]:
    w, v = w.copy(), v.copy()
    ops.momentum_step(w, v, dw, rate, momentum, decay, REFERENCE)
    return w, v


def _pool(w: np.ndarray, v: np.ndarray, dw: np.ndarray, rate: float, momentum: float, decay: float) -> Pool:
    return {"w": w, "v": v, "dw": dw, "rate": rate, "momentum": momentum, "decay": decay}


CASES = (
    Case("first-step", _pool(array(4), array(0), array(8), 0.25, 0.5, 0.0)),
    Case("second-step", _pool(array(2), array(-2), array(4), 0.25, 0.5, 0.0)),
    Case("decay", _pool(array(4, -8), array(2, 1), array(8, 4), 0.25, 0.5, 0.125)),
    Case("matrix", _pool(integers(111, 3, 2), integers(112, 3, 2), integers(113, 3, 2), 0.125, 0.75, 0.5)),
)


def _draw(rng: np.random.Generator) -> Pool:
    shape = [int(size) for size in rng.integers(1, 4, int(rng.integers(1, 5)))]
    rate, momentum, decay = rng.choice([0.0, 0.125, 0.25, 0.5, 0.75], 3)
    return _pool(drawn(rng, *shape), drawn(rng, *shape), drawn(rng, *shape), float(rate), float(momentum), float(decay))


SUBJECTS = (Subject("momentum_step", ("w", "v", "dw", "rate", "momentum", "decay"), ("w", "v"), _right, CASES, _draw),)
