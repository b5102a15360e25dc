"""Batch normalisation of x (N, C) in training: each column less its mean, over its standard deviation.

The package has none. What is right as a backward is the derivative of the forward by complex steps: the imaginary part
of F(x + i h), divided by h, has no rounding of a difference.
"""

from __future__ import annotations

import numpy as np

from ..pools import array, drawn, integers
from ..subject import Case, Pool, Subject

STEP = 1e-30


def _forward(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float) -> np.ndarray:
    centred = x - x.mean(axis=0)
    # Not np.var, which takes the absolute value of complex numbers.
    out: np.ndarray = gamma * centred / np.sqrt((centred * centred).mean(axis=0) + epsilon) + beta
    return out


def _backward(
    dout: np.ndarray, x: np.ndarray, gamma: np.ndarray, epsilon: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    beta = np.zeros_like(gamma)

    def slope(dx: np.ndarray, dgamma: np.ndarray, dbeta: np.ndarray) -> float:
        moved = [value + 1j * STEP * change for value, change in ((x, dx), (gamma, dgamma), (beta, dbeta))]
        return float(np.sum(dout * _forward(moved[0], moved[1], moved[2], epsilon).imag) / STEP)

    gradients = []
    for argument in range(3):
        shape = (x, gamma, beta)[argument].shape
        gradient = np.zeros(shape)
        for at in np.ndindex(*shape):
            directions = [np.zeros_like(x), np.zeros_like(gamma), np.zeros_like(beta)]
            directions[argument][at] = 1
            gradient[at] = slope(*directions)
        gradients.append(gradient)
    return gradients[0], gradients[1], gradients[2]


def _pool(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, dout: np.ndarray, epsilon: float) -> Pool:
    return {"x": x, "gamma": gamma, "beta": beta, "dout": dout, "epsilon": epsilon}


def _integers(seed: int, n: int, c: int, epsilon: float) -> Pool:
    gamma, beta = integers(seed + 1, c), integers(seed + 2, c)
    return _pool(integers(seed, n, c), gamma, beta, integers(seed + 3, n, c), epsilon)


CASES = (
    # The mean is 1, the variance 4: with epsilon 5 the divisor is 3.
    Case("one-column", _pool(array([3], [-1]), array(3), array(-2), array([2], [1]), 5.0)),
    Case(
        "three-rows",
        _pool(array([1, 4], [-2, 0], [4, 2]), array(2, -1), array(1, 3), array([1, -2], [3, 1], [2, 4]), 0.5),
    ),
    Case("four-rows", _integers(151, 4, 3, 1.0)),
    Case("square", _integers(152, 4, 4, 0.25)),
)


def _draw(rng: np.random.Generator) -> Pool:
    n, c = int(rng.integers(2, 6)), int(rng.integers(1, 5))
    return _pool(drawn(rng, n, c), drawn(rng, c), drawn(rng, c), drawn(rng, n, c), float(rng.choice([0.25, 0.5, 1, 2])))


SUBJECTS = (
    Subject(
        name="batchnorm_forward",
        parameters=("x", "gamma", "beta", "epsilon"),
        outputs=("out",),
        right=_forward,
        cases=CASES,
        draw=_draw,
        rounding=1e-9,
    ),
    Subject(
        name="batchnorm_backward",
        parameters=("dout", "x", "gamma", "epsilon"),
        outputs=("dx", "dgamma", "dbeta"),
        right=_backward,
        cases=CASES,
        draw=_draw,
        forward="batchnorm_forward",
        gradients={"dx": "x", "dgamma": "gamma", "dbeta": "beta"},
        rounding=1e-9,
    ),
)
