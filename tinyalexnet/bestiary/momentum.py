"""One step of stochastic gradient descent with momentum and weight decay: docs/momentum.md.

It returns the new w and v. Rates, momenta and decays are sums of few powers of two, so that the steps are exact.
"""

from __future__ import annotations

import numpy as np

from ..ops import momentum as ops
from .pools import REFERENCE, array, drawn, integers
from .subject import Case, Pool, Subject, wrong


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


@wrong(
    "w",
    "w moves by the velocity of the step before, but v must change first, and then w moves by the new v.",
    source="no public sighting known",
    shown_by="first-step",
)
def momentum_old_velocity(
    w: np.ndarray, v: np.ndarray, dw: np.ndarray, rate: float, momentum: float, decay: float
) -> tuple[np.ndarray, np.ndarray]:
    _, new_v = _right(w, v, dw, rate, momentum, decay)
    return w + v, new_v


@wrong(
    "w",
    "w moves by momentum·v and once more by the new gradient, Nesterov's step, but here it must move by v.",
    source="meant so in lisa-lab/pylearn2 #677",
    shown_by="first-step",
)
def momentum_nesterov(
    w: np.ndarray, v: np.ndarray, dw: np.ndarray, rate: float, momentum: float, decay: float
) -> tuple[np.ndarray, np.ndarray]:
    _, new_v = _right(w, v, dw, rate, momentum, decay)
    return w + momentum * new_v - rate * (decay * w + dw), new_v


@wrong(
    "v",
    "The rate multiplies the velocity when w moves, PyTorch's convention, but here it must multiply the gradient "
    "that enters v.",
    source="pytorch/pytorch #1099; Russell91/apollocaffe #35",
    shown_by="first-step",
    also=("w",),
)
def momentum_rate_outside(
    w: np.ndarray, v: np.ndarray, dw: np.ndarray, rate: float, momentum: float, decay: float
) -> tuple[np.ndarray, np.ndarray]:
    v = momentum * v + decay * w + dw
    return w - rate * v, v


@wrong(
    "v",
    "The gradient enters v times 1 - momentum, a running mean, but here it must enter whole.",
    source="HIPS/autograd #289; keras-team/keras #13971",
    shown_by="first-step",
    also=("w",),
)
def momentum_dampened(
    w: np.ndarray, v: np.ndarray, dw: np.ndarray, rate: float, momentum: float, decay: float
) -> tuple[np.ndarray, np.ndarray]:
    v = momentum * v - (1 - momentum) * rate * (decay * w + dw)
    return w + v, v


@wrong(
    "v",
    "The rate does not multiply the decay, but v must change by rate·(decay·w + dw).",
    source="leondgarse/Keras_insightface #5; clab/dynet #159",
    shown_by="decay",
    also=("w",),
)
def decay_without_rate(
    w: np.ndarray, v: np.ndarray, dw: np.ndarray, rate: float, momentum: float, decay: float
) -> tuple[np.ndarray, np.ndarray]:
    v = momentum * v - decay * w - rate * dw
    return w + v, v


@wrong(
    "v",
    "The decay has a 2 in front, the derivative of decay·w², but here it must be decay·w, the derivative of half "
    "of that.",
    source="titu1994/DenseNet #57",
    shown_by="decay",
    also=("w",),
)
def decay_doubled(
    w: np.ndarray, v: np.ndarray, dw: np.ndarray, rate: float, momentum: float, decay: float
) -> tuple[np.ndarray, np.ndarray]:
    v = momentum * v - rate * (2 * decay * w + dw)
    return w + v, v


@wrong(
    "v",
    "The decay shrinks w directly, decoupled as in SGDW and AdamW, but here it must enter v with the gradient.",
    source="meant so in Loshchilov and Hutter, 2019; pytorch/pytorch #3740",
    shown_by="decay",
)
def decay_decoupled(
    w: np.ndarray, v: np.ndarray, dw: np.ndarray, rate: float, momentum: float, decay: float
) -> tuple[np.ndarray, np.ndarray]:
    v = momentum * v - rate * dw
    return w + v - rate * decay * w, v


@wrong(
    "v",
    "v moves along the gradient, uphill, but it must move against it.",
    source="fchollet/deep-learning-with-python-notebooks #19",
    shown_by="first-step",
    also=("w",),
)
def momentum_uphill(
    w: np.ndarray, v: np.ndarray, dw: np.ndarray, rate: float, momentum: float, decay: float
) -> tuple[np.ndarray, np.ndarray]:
    v = momentum * v + rate * (decay * w + dw)
    return w + v, v


SUBJECTS = (
    Subject(
        "momentum_step",
        ("w", "v", "dw", "rate", "momentum", "decay"),
        ("w", "v"),
        _right,
        CASES,
        _draw,
        beasts=(
            momentum_old_velocity,
            momentum_nesterov,
            momentum_rate_outside,
            momentum_dampened,
            decay_without_rate,
            decay_doubled,
            decay_decoupled,
            momentum_uphill,
        ),
    ),
)
