"""The loss of a classifier on a GPU."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..contract import check_softmax_cross_entropy
from .memory import empty
from .reduction import sum_of
from .runtime import cuda, kernel, launch, stand_in


def softmax_cross_entropy(logits: Any, labels: Any) -> tuple[Any, Any]:
    """The mean over the batch of -log of the probability that the right class gets, and its gradient; see reference.

    The loss is a device array of one number, so that nothing has to wait for it. Labels are not looked at on the host:
    the loss, and the gradients of the row, are NaN where one is out of range.

    Schedule
        A thread for each row; then their losses are added up by ``sum_of``.
    """
    check_softmax_cross_entropy(stand_in("logits", logits), stand_in("labels", labels))
    n = logits.shape[0]
    losses = empty((n,), np.float64)
    dlogits = empty(logits.shape, logits.dtype)
    launch(_rows, n, logits, labels, losses, dlogits)
    return sum_of(losses, 1 / n), dlogits


@kernel
def _rows(logits, labels, losses, dlogits):  # type: ignore[no-untyped-def]
    row = cuda.grid(1)
    n, classes = logits.shape
    if row >= n:
        return
    label = labels[row]
    largest = logits[row, 0]
    for k in range(classes):
        value = logits[row, k]
        # A NaN takes over, and stays: nothing compares with it.
        if value > largest or value != value:
            largest = value
    total = logits.dtype.type(0)
    for k in range(classes):
        dlogits[row, k] = math.exp(logits[row, k] - largest)
        total += dlogits[row, k]
    if 0 <= label < classes:
        losses[row] = math.log(np.float64(total)) - np.float64(logits[row, label] - largest)
    else:
        losses[row] = math.nan
        total = logits.dtype.type(math.nan)
    for k in range(classes):
        share = dlogits[row, k] / total - logits.dtype.type(1 if k == label else 0)
        dlogits[row, k] = share / logits.dtype.type(n)
