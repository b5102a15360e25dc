"""ReLU: docs/relu.md."""

from __future__ import annotations

import numpy as np

from ..ops import relu
from .pools import REFERENCE, array, drawn, integers
from .subject import Case, Pool, Subject, wrong


def _forward(x: np.ndarray) -> np.ndarray:
    return relu.relu_forward(x, backend=REFERENCE)


def _backward(dout: np.ndarray, x: np.ndarray) -> np.ndarray:
    return relu.relu_backward(dout, relu.relu_forward(x, backend=REFERENCE), backend=REFERENCE)


def _pool(x: np.ndarray, dout: np.ndarray) -> Pool:
    return {"x": x, "dout": dout}


CASES = (
    Case("both-signs", _pool(array([2, -3]), array([-4, 3]))),
    Case("zero", _pool(array([0, 2, -1]), array([3, 2, 4]))),
    Case("rows", _pool(integers(21, 3, 4), integers(22, 3, 4))),
    Case("images", _pool(integers(23, 2, 2, 3, 2), integers(24, 2, 2, 3, 2))),
)


def _draw(rng: np.random.Generator) -> Pool:
    shape = [int(size) for size in rng.integers(1, 4, int(rng.integers(1, 5)))]
    return _pool(drawn(rng, *shape), drawn(rng, *shape))


@wrong(
    "out",
    "Negative elements change their sign, but ReLU must set them to 0.",
    source="no public sighting known",
    shown_by="both-signs",
)
def relu_absolute(x: np.ndarray) -> np.ndarray:
    return np.abs(x)


@wrong(
    "out",
    "Positive elements become 1, which is ReLU's derivative, but ReLU must keep them as they are.",
    source="no public sighting known",
    shown_by="both-signs",
)
def relu_step(x: np.ndarray) -> np.ndarray:
    return (x > 0) * 1.0


@wrong(
    "dx",
    "The gradient passes where dout is positive, as in a deconvnet, but it must pass where x is positive.",
    source="exacity/deeplearningbook-chinese #127; meant so in Zeiler and Fergus, 2014",
    shown_by="both-signs",
)
def relu_sign_of_the_gradient(dout: np.ndarray, x: np.ndarray) -> np.ndarray:
    return dout * (dout > 0)


@wrong(
    "dx",
    "Negative gradients are dropped too, as in guided backpropagation, but a gradient of either sign must pass if "
    "x is positive.",
    source="meant so in Springenberg et al., 2015, section 3.4",
    shown_by="both-signs",
)
def relu_guided(dout: np.ndarray, x: np.ndarray) -> np.ndarray:
    return dout * (dout > 0) * (x > 0)


@wrong(
    "dx",
    "The gradient passes at x = 0, but the convention here is ReLU'(0) = 0.",
    source="tensorflow/playground #19; iamtrask/Grokking-Deep-Learning #13",
    shown_by="zero",
)
def relu_passes_at_zero(dout: np.ndarray, x: np.ndarray) -> np.ndarray:
    return dout * (x >= 0)


@wrong(
    "dx",
    "ReLU's dx is 0 or 1, the derivative alone, but by the chain rule it must be multiplied by dout.",
    source="haifengl/smile #528",
    shown_by="both-signs",
)
def relu_without_dout(dout: np.ndarray, x: np.ndarray) -> np.ndarray:
    return (x > 0) * 1.0


SUBJECTS = (
    Subject("relu_forward", ("x",), ("out",), _forward, CASES, _draw, beasts=(relu_absolute, relu_step)),
    Subject(
        name="relu_backward",
        parameters=("dout", "x"),
        outputs=("dx",),
        right=_backward,
        cases=CASES,
        draw=_draw,
        forward="relu_forward",
        gradients={"dx": "x"},
        beasts=(relu_sign_of_the_gradient, relu_guided, relu_passes_at_zero, relu_without_dout),
    ),
)
