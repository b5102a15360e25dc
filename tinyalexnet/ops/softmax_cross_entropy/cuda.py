"""Softmax and cross-entropy on a GPU."""

import math
from typing import Any

import numpy as np

from ...devices.cuda.memory import empty
from ...devices.cuda.reduction import sum_of
from ...devices.cuda.runtime import cuda, kernel, launch


def softmax_cross_entropy(logits: Any, labels: Any) -> tuple[Any, Any]:
    """Schedule: one thread per row; then ``sum_of`` adds up their losses."""
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
        # A NaN takes over and stays: no comparison with it is true.
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
