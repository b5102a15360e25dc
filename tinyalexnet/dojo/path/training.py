"""The step of a parameter, and a network that learns."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bestiary import SUBJECTS
from ..exercise import Arrays, Bug, Exercise, Train

SIDE = 4
HIDDEN = 8
PICTURES = 10
"""Of each class."""

NOISE = 0.3


def _data() -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """The parameters before the first step, and pictures of a horizontal, a vertical, or a diagonal line, with labels.

    The lines lie in turn at each row or column; a diagonal is shifted, and goes on at the other side.
    """
    rng = np.random.default_rng(3)
    images, labels = [], []
    for number in range(PICTURES):
        at = number % SIDE
        horizontal = np.zeros((SIDE, SIDE))
        horizontal[at] = 1
        for label, line in enumerate((horizontal, horizontal.T, np.roll(np.eye(SIDE), at, axis=1))):
            images.append((line + NOISE * rng.standard_normal(line.shape)).ravel())
            labels.append(label)
    sizes = {"w1": (SIDE * SIDE, HIDDEN), "b1": (HIDDEN,), "w2": (HIDDEN, 3), "b2": (3,)}
    params = {name: 0.3 * rng.standard_normal(shape) for name, shape in sizes.items()}
    return params, np.array(images), np.array(labels)


def _loss(params: Arrays, images: np.ndarray, labels: np.ndarray) -> float:
    dense, relu, loss = (SUBJECTS[name].right for name in ("dense_forward", "relu_forward", "softmax_cross_entropy"))
    hidden = relu(dense(images, params["w1"], params["b1"]))
    return float(loss(dense(hidden, params["w2"], params["b2"]), labels)[0])


def _step(w: np.ndarray, v: np.ndarray, dw: np.ndarray) -> Any:
    return SUBJECTS["momentum_step"].right(w, v, dw, 0.2, 0.9, 0.0)


EXERCISES = (
    Exercise(
        name="momentum_step",
        title="A step with momentum",
        task=Bug("momentum_step"),
        hints=(
            "In the example decay is 0. What does the function do with decay, and what does the formula say?",
            "formula   v  <-  momentum·v  -  rate·(decay·w + dw)      rate multiplies both terms\n"
            "code      v  =   momentum·v  -  rate·dw  -  ...          which terms does it multiply here?",
            "v = momentum * v - rate * (decay * w + dw)",
        ),
    ),
    Exercise(
        name="train_network",
        title="A network that learns",
        task=Train(attribute="loss_and_gradients", data=_data, loss=_loss, step=_step, steps=60, bound=0.05),
        hints=(
            "A backward needs what its forward was given. Which arrays are these, for each of the four layers?",
            "images --dense--> hidden --ReLU--> active --dense--> logits --softmax--> loss\n"
            "                                                                          |\n"
            "dw1, db1 <-- dhidden <--ReLU-- dactive <--dense-- dlogits <--softmax------+\n"
            "                                          dw2, db2",
            "dactive, dw2, db2 = dense_backward(dlogits, active, w2), then dhidden = relu_backward(dactive, hidden)",
        ),
        points=3,
    ),
)
