"""Batch normalisation of x (N, C) in training: each column less its mean, over its standard deviation.

The package has none. What is right as a backward is the derivative of the forward by complex steps: the imaginary part
of F(x + i h), divided by h, has no rounding of a difference.
"""

from __future__ import annotations

import numpy as np

from ..pools import array, drawn, integers
from ..subject import Case, Pool, Subject, wrong

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


@wrong(
    "out",
    "The variance is divided by N - 1, but batch normalisation must divide by N; N - 1 is for the average that a "
    "test uses.",
    source="tiny-dnn's moments, seen in uxlfoundation/oneDNN #517",
    shown_by="one-column",
)
def batchnorm_unbiased(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float) -> np.ndarray:
    deviation = np.sqrt(x.var(axis=0, ddof=1) + epsilon)
    return gamma * (x - x.mean(axis=0)) / deviation + beta


@wrong(
    "out",
    "Epsilon is added to the standard deviation, but it must be added to the variance, inside the root.",
    source="taokong/group_normalization #1; pytorch/pytorch #1804, its page",
    shown_by="one-column",
)
def batchnorm_epsilon_outside(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float) -> np.ndarray:
    return gamma * (x - x.mean(axis=0)) / (x.std(axis=0) + epsilon) + beta


@wrong(
    "out",
    "Mean and variance run over each row, which is layer normalisation, but they must run over each column.",
    source="no public sighting known",
    shown_by="one-column",
)
def batchnorm_over_channels(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float) -> np.ndarray:
    centred = x - x.mean(axis=1, keepdims=True)
    return gamma * centred / np.sqrt(x.var(axis=1, keepdims=True) + epsilon) + beta


@wrong(
    "out",
    "One mean and one variance of the whole array normalise all columns, but each column must have its own.",
    source="parasdahal/deepnet #11",
    shown_by="three-rows",
)
def batchnorm_over_all(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float) -> np.ndarray:
    return gamma * (x - x.mean()) / np.sqrt(x.var() + epsilon) + beta


@wrong(
    "out",
    "The centred values are divided by the variance, but they must be divided by its root.",
    source="related: jax-ml/jax #442, which squared",
    shown_by="one-column",
)
def batchnorm_root_forgotten(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float) -> np.ndarray:
    return gamma * (x - x.mean(axis=0)) / (x.var(axis=0) + epsilon) + beta


def _normalised(x: np.ndarray, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """x with mean 0 and variance 1, and the standard deviation."""
    deviation = np.sqrt(x.var(axis=0) + epsilon)
    return (x - x.mean(axis=0)) / deviation, deviation


@wrong(
    "dx",
    "The mean is taken for a constant, but it depends on x, so the mean of the gradients must be subtracted.",
    source="no public sighting known",
    shown_by="one-column",
)
def batchnorm_mean_constant(
    dout: np.ndarray, x: np.ndarray, gamma: np.ndarray, epsilon: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    _, dgamma, dbeta = _backward(dout, x, gamma, epsilon)
    normalised, deviation = _normalised(x, epsilon)
    return gamma / deviation * (dout - normalised * (dout * normalised).mean(axis=0)), dgamma, dbeta


@wrong(
    "dx",
    "The variance is taken for a constant, but it depends on x, so a multiple of the normalised x must be subtracted.",
    source="abhiskk/ladder #2",
    shown_by="one-column",
)
def batchnorm_variance_constant(
    dout: np.ndarray, x: np.ndarray, gamma: np.ndarray, epsilon: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    _, dgamma, dbeta = _backward(dout, x, gamma, epsilon)
    _, deviation = _normalised(x, epsilon)
    return gamma / deviation * (dout - dout.mean(axis=0)), dgamma, dbeta


@wrong(
    "dx",
    "Mean and variance are both taken for constants, as in a test, but in training both depend on x.",
    source="deeplearning4j/deeplearning4j #8379",
    shown_by="one-column",
)
def batchnorm_statistics_constant(
    dout: np.ndarray, x: np.ndarray, gamma: np.ndarray, epsilon: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    _, dgamma, dbeta = _backward(dout, x, gamma, epsilon)
    _, deviation = _normalised(x, epsilon)
    return gamma / deviation * dout, dgamma, dbeta


@wrong(
    "dx",
    "Sums over the batch are subtracted from the gradient, but mean and variance divide by N, so they must be means.",
    source="no public sighting known",
    shown_by="one-column",
)
def batchnorm_sums_subtracted(
    dout: np.ndarray, x: np.ndarray, gamma: np.ndarray, epsilon: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    _, dgamma, dbeta = _backward(dout, x, gamma, epsilon)
    normalised, deviation = _normalised(x, epsilon)
    return gamma / deviation * (dout - dbeta - normalised * dgamma), dgamma, dbeta


@wrong(
    "dx",
    "dx is not multiplied by gamma, but gamma stands between the normalised x and the output.",
    source="no public sighting known",
    shown_by="one-column",
)
def batchnorm_gamma_forgotten(
    dout: np.ndarray, x: np.ndarray, gamma: np.ndarray, epsilon: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    _, dgamma, dbeta = _backward(dout, x, gamma, epsilon)
    dx, _, _ = _backward(dout, x, np.ones_like(gamma), epsilon)
    return dx, dgamma, dbeta


@wrong(
    "dgamma",
    "dgamma sums dout times x, but gamma multiplied the normalised x.",
    source="related: tensorflow/tensorflow #14676, its page",
    shown_by="one-column",
)
def batchnorm_dgamma_of_x(
    dout: np.ndarray, x: np.ndarray, gamma: np.ndarray, epsilon: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dx, _, dbeta = _backward(dout, x, gamma, epsilon)
    return dx, (dout * x).sum(axis=0), dbeta


@wrong(
    "dbeta",
    "dbeta is the mean over the batch, but beta was added to each row, so it must be the sum.",
    source="proposed in cthorey/CS231 #9",
    shown_by="one-column",
)
def batchnorm_dbeta_mean(
    dout: np.ndarray, x: np.ndarray, gamma: np.ndarray, epsilon: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dx, dgamma, _ = _backward(dout, x, gamma, epsilon)
    return dx, dgamma, dout.mean(axis=0)


SUBJECTS = (
    Subject(
        name="batchnorm_forward",
        parameters=("x", "gamma", "beta", "epsilon"),
        outputs=("out",),
        right=_forward,
        cases=CASES,
        draw=_draw,
        rounding=1e-9,
        beasts=(
            batchnorm_unbiased,
            batchnorm_epsilon_outside,
            batchnorm_over_channels,
            batchnorm_over_all,
            batchnorm_root_forgotten,
        ),
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
        beasts=(
            batchnorm_mean_constant,
            batchnorm_variance_constant,
            batchnorm_statistics_constant,
            batchnorm_sums_subtracted,
            batchnorm_gamma_forgotten,
            batchnorm_dgamma_of_x,
            batchnorm_dbeta_mean,
        ),
    ),
)
