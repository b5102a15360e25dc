"""Softmax and cross-entropy in one: docs/softmax_cross_entropy.md."""

from __future__ import annotations

import numpy as np

from ..ops import softmax_cross_entropy
from .pools import REFERENCE, array, drawn, integers
from .subject import Case, Pool, Subject, wrong


def _right(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    return softmax_cross_entropy.softmax_cross_entropy(logits, labels, REFERENCE)


def _pool(logits: np.ndarray, labels: np.ndarray) -> Pool:
    # The loss is the last step, so its own gradient is 1.
    return {"logits": logits, "labels": labels, "dout": 1.0}


CASES = (
    Case("one-row", _pool(array([1, 2]), np.array([0]))),
    Case("two-rows", _pool(array([1, -1, 2], [0, 3, 1]), np.array([2, 0]))),
    # The exponential of 1000 is above the largest float64.
    Case("large-logits", _pool(array([1000, 999, 998], [-1000, -999, -1001]), np.array([1, 1]))),
    Case("ragged", _pool(integers(101, 4, 3), np.array([2, 0, 1, 1]))),
    Case("square", _pool(integers(102, 4, 4), np.array([3, 1, 0, 3]))),
)


def _draw(rng: np.random.Generator) -> Pool:
    n, classes = int(rng.integers(1, 6)), int(rng.integers(2, 6))
    return _pool(drawn(rng, n, classes), rng.integers(0, classes, n))


def _softmax(logits: np.ndarray, axis: int = 1) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=axis, keepdims=True))
    probabilities: np.ndarray = exponentials / exponentials.sum(axis=axis, keepdims=True)
    return probabilities


def _one_hot(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.eye(logits.shape[1])[labels]


@wrong(
    "loss",
    "The loss is the sum over the batch, but here it must be the mean.",
    source="related: jxgu1016/MNIST_center_loss_pytorch #9, for a centre loss",
    shown_by="two-rows",
)
def loss_summed(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    loss, dlogits = _right(logits, labels)
    return loss * len(logits), dlogits


@wrong(
    "loss",
    "The loss is divided by the number of logits, N·K, but each row has one loss, so it must be divided by N.",
    source="related: victorlempitsky/Mate #2, in the gradient",
    shown_by="one-row",
)
def loss_mean_over_classes(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    loss, dlogits = _right(logits, labels)
    return loss / logits.shape[1], dlogits


@wrong(
    "loss",
    "Softmax is taken twice, because the loss was given probabilities, but it has a softmax in it and must be "
    "given the logits.",
    source="tflearn/tflearn #562; bowang-lab/Transformer-GCN-QA #32",
    shown_by="one-row",
)
def loss_of_softmax_twice(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    _, dlogits = _right(logits, labels)
    return _right(_softmax(logits), labels)[0], dlogits


@wrong(
    "dlogits",
    "dlogits is not divided by N, but the loss is the mean over N rows, so it must be.",
    source="tensorflow/swift-apis #42; apache/mxnet #2215",
    shown_by="two-rows",
)
def softmax_not_divided(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    loss, _ = _right(logits, labels)
    return loss, _softmax(logits) - _one_hot(logits, labels)


@wrong(
    "dlogits",
    "dlogits is divided by N twice, but the mean over the batch divides once.",
    source="apache/mxnet #4761; deeplearning4j/deeplearning4j #366",
    shown_by="two-rows",
)
def softmax_divided_twice(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    loss, _ = _right(logits, labels)
    return loss, (_softmax(logits) - _one_hot(logits, labels)) / len(logits) ** 2


@wrong(
    "dlogits",
    "dlogits is divided by the number of logits, N·K, but the loss is the mean over N rows, so it must be divided "
    "by N.",
    source="victorlempitsky/Mate #2",
    shown_by="one-row",
)
def softmax_divided_by_elements(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    loss, _ = _right(logits, labels)
    return loss, (_softmax(logits) - _one_hot(logits, labels)) / logits.size


@wrong(
    "dlogits",
    "dlogits has the probabilities alone, but 1 must be subtracted at the label of each row.",
    source="no public sighting known",
    shown_by="one-row",
)
def softmax_without_label(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    loss, _ = _right(logits, labels)
    return loss, _softmax(logits) / len(logits)


@wrong(
    "dlogits",
    "dlogits has the wrong sign, label minus probability, but it must be probability minus label.",
    source="Site1997/LeNet-python #2, with += in the update",
    shown_by="one-row",
)
def softmax_sign(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    loss, _ = _right(logits, labels)
    return loss, (_one_hot(logits, labels) - _softmax(logits)) / len(logits)


@wrong(
    "dlogits",
    "The softmax of dlogits runs over the batch, so each column sums to 1, but it must run over the classes of "
    "each row.",
    source="ethanfetaya/NRI #25",
    shown_by="one-row",
)
def softmax_over_the_batch(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    loss, _ = _right(logits, labels)
    return loss, (_softmax(logits, axis=0) - _one_hot(logits, labels)) / len(logits)


@wrong(
    "dlogits",
    "Large logits give NaN, because their exponentials overflow, but the largest logit of each row must be "
    "subtracted first.",
    source="apache/singa #540; numenta/nupic-legacy #3818",
    shown_by="large-logits",
)
def softmax_overflows(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    loss, _ = _right(logits, labels)
    with np.errstate(over="ignore", invalid="ignore"):
        exponentials = np.exp(logits)
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    return loss, (probabilities - _one_hot(logits, labels)) / len(logits)


@wrong(
    "dlogits",
    "The largest logit of the whole batch is subtracted from all rows, but each row must lose its own largest, or all "
    "its exponentials may be 0.",
    source="no public sighting known",
    shown_by="large-logits",
)
def softmax_largest_of_the_batch(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    loss, _ = _right(logits, labels)
    exponentials = np.exp(logits - logits.max())
    with np.errstate(invalid="ignore"):
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    return loss, (probabilities - _one_hot(logits, labels)) / len(logits)


SUBJECTS = (
    Subject(
        name="softmax_cross_entropy",
        parameters=("logits", "labels"),
        outputs=("loss", "dlogits"),
        right=_right,
        cases=CASES,
        draw=_draw,
        forward="softmax_cross_entropy",
        gradients={"dlogits": "logits"},
        rounding=1e-9,
        beasts=(
            loss_summed,
            loss_mean_over_classes,
            loss_of_softmax_twice,
            softmax_not_divided,
            softmax_divided_twice,
            softmax_divided_by_elements,
            softmax_without_label,
            softmax_sign,
            softmax_over_the_batch,
            softmax_overflows,
            softmax_largest_of_the_batch,
        ),
    ),
)
