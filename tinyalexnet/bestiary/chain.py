"""The chain rule on arrays: the inner product, a sum of squares, and a gain for each column.

The functions are exercises alone. What is right comes from NumPy, or from the forward by differences that are exact.
"""

from __future__ import annotations

import numpy as np

from .pools import array, drawn, integers
from .subject import Case, Pool, Subject, wrong


def _inner(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.vdot(a, b))


def _square_sum_forward(x: np.ndarray) -> float:
    return _inner(x, x)


def _square_sum_backward(dout: float, x: np.ndarray) -> np.ndarray:
    dx = np.zeros_like(x)
    for at in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[at] = 1
        # The central difference of a square is exact, and so are these numbers.
        dx[at] = dout * (_square_sum_forward(x + step) - _square_sum_forward(x - step)) / 2
    return dx


def _scale_forward(x: np.ndarray, gain: np.ndarray) -> np.ndarray:
    out: np.ndarray = np.einsum("nc,c->nc", x, gain)
    return out


def _scale_backward(dout: np.ndarray, x: np.ndarray, gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _scale_forward(dout, gain), np.einsum("nc,nc->c", dout, x)


def _pool(x: np.ndarray, b: np.ndarray, gain: np.ndarray, dout: np.ndarray) -> Pool:
    return {"a": x, "b": b, "x": x, "gain": gain, "dout": dout}


def _square_pool(x: np.ndarray, dout: float) -> Pool:
    return {"x": x, "dout": dout}


def _cases() -> tuple[Case, ...]:
    return (
        Case("one-row", _pool(array([2, -1]), array([3, 4]), array(2, 3), array([1, -2]))),
        Case("square", _pool(array([1, 2], [3, 4]), array([2, 0], [-1, 3]), array(3, -2), array([1, -1], [2, 3]))),
        Case("three-rows", _pool(integers(1, 3, 2), integers(2, 3, 2), array(-3, 2), integers(4, 3, 2))),
        Case("wide", _pool(integers(5, 2, 5), integers(6, 2, 5), integers(7, 5), integers(8, 2, 5))),
    )


def _square_cases() -> tuple[Case, ...]:
    return (
        Case("two-elements", _square_pool(array(3, -1), 2.0)),
        Case("matrix", _square_pool(array([1, 2, 0], [-3, 1, 4]), -3.0)),
        Case("images", _square_pool(integers(9, 2, 2, 2, 2), 4.0)),
    )


def _draw(rng: np.random.Generator) -> Pool:
    n, c = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    return _pool(drawn(rng, n, c), drawn(rng, n, c), drawn(rng, c), drawn(rng, n, c))


def _square_draw(rng: np.random.Generator) -> Pool:
    shape = [int(size) for size in rng.integers(1, 4, int(rng.integers(1, 5)))]
    return _square_pool(drawn(rng, *shape), float(rng.integers(1, 5)))


@wrong(
    "s",
    "The sum of a is multiplied by the sum of b, but the inner product must multiply element by element and then sum.",
    source="no public sighting known",
    shown_by="one-row",
)
def inner_product_of_sums(a: np.ndarray, b: np.ndarray) -> float:
    return float(a.sum() * b.sum())


@wrong(
    "s",
    "The products are averaged, but the inner product must be their sum, not divided by their number.",
    source="no public sighting known",
    shown_by="one-row",
)
def inner_mean(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).mean())


@wrong(
    "s",
    "The sum is squared, but each element must be squared first, and then the squares are summed.",
    source="no public sighting known",
    shown_by="two-elements",
)
def square_of_the_sum(x: np.ndarray) -> float:
    return float(x.sum() ** 2)


@wrong(
    "s",
    "The sum of squares is halved, as in the loss of weight decay, but this one must have no factor.",
    source="the factor of TensorFlow's nn.l2_loss",
    shown_by="two-elements",
)
def square_sum_halved(x: np.ndarray) -> float:
    return float((x * x).sum() / 2)


@wrong(
    "dx",
    "The 2 of the square's derivative is missing, but the derivative of x² is 2 x.",
    source="no public sighting known",
    shown_by="two-elements",
)
def square_without_two(dout: float, x: np.ndarray) -> np.ndarray:
    return dout * x


@wrong(
    "dx",
    "dx is 2 x alone, but by the chain rule it must be multiplied by dout, the gradient of the sum.",
    source="related: haifengl/smile #528, for ReLU",
    shown_by="two-elements",
)
def square_without_dout(dout: float, x: np.ndarray) -> np.ndarray:
    return 2 * x


@wrong(
    "out",
    "The gain is added to each row, but it must be multiplied.",
    source="no public sighting known",
    shown_by="one-row",
)
def scale_adds(x: np.ndarray, gain: np.ndarray) -> np.ndarray:
    return x + gain


@wrong(
    "out",
    "The first gain multiplies all columns, but each column has a gain of its own.",
    source="no public sighting known",
    shown_by="one-row",
)
def scale_one_gain(x: np.ndarray, gain: np.ndarray) -> np.ndarray:
    return x * gain[0]


@wrong(
    "dx",
    "dx multiplies dout by x, but the derivative of gain x with respect to x is the other factor, gain.",
    source="no public sighting known",
    shown_by="one-row",
)
def scale_own_factor(dout: np.ndarray, x: np.ndarray, gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, dgain = _scale_backward(dout, x, gain)
    return dout * x, dgain


@wrong(
    "dgain",
    "dgain is the mean over the rows, but every row used the gain, so it must be the sum.",
    source="related: kvfrans/notes #5, for a bias",
    shown_by="square",
)
def gain_mean(dout: np.ndarray, x: np.ndarray, gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    dx, _ = _scale_backward(dout, x, gain)
    return dx, (dout * x).mean(axis=0)


@wrong(
    "dgain",
    "Each row overwrites dgain (=), but the rows' shares must be added (+=).",
    source="no public sighting known",
    shown_by="square",
)
def gain_of_the_last_row(dout: np.ndarray, x: np.ndarray, gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    dx, dgain = _scale_backward(dout, x, gain)
    for n in range(len(x)):
        dgain[:] = dout[n] * x[n]
    return dx, dgain


@wrong(
    "dgain",
    "dgain is one sum over rows and columns, the same for all, but each gain must get the sum over its own column.",
    source="no public sighting known",
    shown_by="one-row",
)
def gain_summed_over_all(dout: np.ndarray, x: np.ndarray, gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    dx, _ = _scale_backward(dout, x, gain)
    return dx, np.full_like(gain, (dout * x).sum())


SUBJECTS = (
    Subject("inner", ("a", "b"), ("s",), _inner, _cases(), _draw, beasts=(inner_product_of_sums, inner_mean)),
    Subject(
        "square_sum_forward",
        ("x",),
        ("s",),
        _square_sum_forward,
        _square_cases(),
        _square_draw,
        beasts=(square_of_the_sum, square_sum_halved),
    ),
    Subject(
        name="square_sum_backward",
        parameters=("dout", "x"),
        outputs=("dx",),
        right=_square_sum_backward,
        cases=_square_cases(),
        draw=_square_draw,
        forward="square_sum_forward",
        gradients={"dx": "x"},
        beasts=(square_without_two, square_without_dout),
    ),
    Subject(
        "scale_forward", ("x", "gain"), ("out",), _scale_forward, _cases(), _draw, beasts=(scale_adds, scale_one_gain)
    ),
    Subject(
        name="scale_backward",
        parameters=("dout", "x", "gain"),
        outputs=("dx", "dgain"),
        right=_scale_backward,
        cases=_cases(),
        draw=_draw,
        forward="scale_forward",
        gradients={"dx": "x", "dgain": "gain"},
        beasts=(scale_own_factor, gain_mean, gain_of_the_last_row, gain_summed_over_all),
    ),
)
