"""Losses: the number to make small, and its gradient, with which a backward pass begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .devices import device, to_host
from .geometry import as_integer
from .ops.checks import Shape
from .ops.l2_loss import l2_loss
from .ops.l2_loss import terms as of_l2_loss
from .ops.softmax_cross_entropy import softmax_cross_entropy
from .ops.softmax_cross_entropy import terms as of_softmax_cross_entropy
from .ops.terms import Index, Terms, constant, filled, one_of, product

__all__ = ["CrossEntropyLoss", "L2Loss", "Loss", "OneOutput", "l2_loss", "softmax", "softmax_cross_entropy"]

Loss = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""The loss of a network's output, and its gradient."""

Arrays = Mapping[str, np.ndarray]


def softmax(logits: np.ndarray) -> np.ndarray:
    """The probability of each class, in float64.

    Math
        p[n,k] = exp(logits[n,k]) / Σ_j exp(logits[n,j]), with the largest logit of each row subtracted first.
    Shapes
        logits (N, K) -> p (N, K).
    Source
        docs/softmax_cross_entropy.md.
    """
    wide = logits.astype(np.float64)
    exponentials = np.exp(wide - wide.max(axis=1, keepdims=True))
    p: np.ndarray = exponentials / exponentials.sum(axis=1, keepdims=True)
    return p


class L2Loss:
    """Half the sum of squares of the output, as a loss that tells its terms: ``l2_loss``."""

    kind = "l2"

    def __init__(self, backend: str = "cpu") -> None:
        self.backend = backend

    def __call__(self, out: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss and its gradient; errors as ``l2_loss``."""
        return l2_loss(out, self.backend)

    def kept(self, out: np.ndarray) -> dict[str, np.ndarray]:
        """As ``Layer.kept``, of this output."""
        return {}

    def term_functions(self, arrays: Arrays) -> dict[str, Callable[[Index], Terms]]:
        """For each array of the loss, the function that tells the terms of an element, as ``Layer.terms`` does."""
        return {
            "loss": lambda index: of_l2_loss.loss_terms(index, arrays),
            "dx": lambda index: of_l2_loss.dx_terms(index, arrays),
        }

    def __repr__(self) -> str:
        return "L2Loss()"


class CrossEntropyLoss:
    """Softmax and cross-entropy for ``labels`` (N,), as a loss that tells its terms: ``softmax_cross_entropy``."""

    kind = "cross-entropy"

    def __init__(self, labels: Any, backend: str = "cpu") -> None:
        self.labels, self.backend = np.asarray(labels), backend

    def __call__(self, out: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss and its gradient; errors as ``softmax_cross_entropy``."""
        return softmax_cross_entropy(out, device(self.backend).to_device(self.labels), self.backend)

    def kept(self, out: np.ndarray) -> dict[str, np.ndarray]:
        """The probabilities ``p``, in float64, and the labels."""
        return {"p": softmax(to_host(out)), "labels": self.labels}

    def term_functions(self, arrays: Arrays) -> dict[str, Callable[[Index], Terms]]:
        """As ``L2Loss.term_functions``."""
        return {
            "p": lambda index: of_softmax_cross_entropy.p_terms(index, arrays),
            "loss": lambda index: of_softmax_cross_entropy.loss_terms(index, arrays),
            "dx": lambda index: of_softmax_cross_entropy.dx_terms(index, arrays),
        }

    def __repr__(self) -> str:
        return f"CrossEntropyLoss({self.labels.tolist()})"


class OneOutput:
    """A single element of the output as the loss: every gradient then is a derivative of that element.

    Shapes
        ``index`` has an int for each axis of the output.
    Errors
        ValueError if index has not one int for each axis, or is out of range.
    """

    kind = "one output"

    def __init__(self, index: Index, backend: str = "cpu") -> None:
        self.index, self.backend = index, backend

    def __call__(self, out: np.ndarray) -> tuple[float, np.ndarray]:
        """The element, and a gradient of 1 there and 0 elsewhere."""
        self.index = check_index("index", self.index, out.shape)
        dout = np.zeros(out.shape, out.dtype)
        dout[self.index] = 1
        return float(to_host(out)[self.index]), device(self.backend).to_device(dout)

    def kept(self, out: np.ndarray) -> dict[str, np.ndarray]:
        """As ``Layer.kept``, of this output."""
        return {}

    def term_functions(self, arrays: Arrays) -> dict[str, Callable[[Index], Terms]]:
        """As ``L2Loss.term_functions``."""
        name = filled("out", self.index)

        def loss_terms(_: Index) -> Terms:
            return Terms("loss = out[index]", f"loss = {name}", (product([one_of(arrays["x"], "x", self.index)]),))

        def dx_terms(index: Index) -> Terms:
            one = product([constant("is the same element", float(index == self.index), 1)])
            return Terms(
                "dloss/dout = 1 at the index, else 0", f"dloss/d{filled('out', index)} of loss = {name}", (one,)
            )

        return {"loss": loss_terms, "dx": dx_terms}

    def description(self, x_shape: Shape) -> dict[str, Any]:
        """As ``Layer.description``."""
        return {"index": self.index}

    def __repr__(self) -> str:
        return f"OneOutput({self.index})"


def check_index(name: str, index: Any, shape: Shape) -> Index:
    """``index`` as ints; ValueError unless it has one from 0 up to below the size for each axis of ``shape``."""
    allowed = f"{len(shape)} ints, each from 0 to below {shape}" if shape else "empty: it is one number"
    try:
        found = tuple(as_integer(name, i, 0) for i in index)
    except (TypeError, ValueError):
        found = (-1,)
    if len(found) != len(shape) or any(not 0 <= i < size for i, size in zip(found, shape, strict=True)):
        raise ValueError(f"{name} is {index!r}, but must be {allowed}")
    return found
