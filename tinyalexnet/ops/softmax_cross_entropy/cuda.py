"""Softmax and cross-entropy on a GPU."""

import math
from typing import Any

import numpy as np

from ...devices.cuda.memory import empty
from ...devices.cuda.reduction import block_tree, sum_of
from ...devices.cuda.runtime import cuda, device, kernel, launch_blocks

ROW_THREADS = 128
"""Threads of a row, a power of two."""


def softmax_cross_entropy(logits: Any, labels: Any, batch: int) -> tuple[Any, Any]:
    """Schedule: one block per row. A thread has every ROW_THREADS-th class; trees in shared memory find the largest
    logit and the sum. Then ``sum_of`` adds up the losses of the rows."""
    n = logits.shape[0]
    losses = empty((n,), np.float64)
    dlogits = empty(logits.shape, logits.dtype)
    launch_blocks(_rows, (n,), ROW_THREADS, logits, labels, logits.dtype.type(batch), losses, dlogits)
    return sum_of(losses, 1 / batch), dlogits


@device
def _larger(a, b):  # type: ignore[no-untyped-def]
    """The larger of two. A NaN takes over and stays: no comparison with it is true."""
    return b if b > a or b != b else a


@device
def _plus(a, b):  # type: ignore[no-untyped-def]
    return a + b


_largest_of_block = block_tree(_larger, ROW_THREADS)
_sum_of_block = block_tree(_plus, ROW_THREADS)


@kernel
def _rows(logits, labels, batch, losses, dlogits):  # type: ignore[no-untyped-def]
    own_largest = cuda.shared.array(ROW_THREADS, logits.dtype)
    own_total = cuda.shared.array(ROW_THREADS, logits.dtype)
    row, thread = cuda.blockIdx.x, cuda.threadIdx.x
    classes = logits.shape[1]
    label = labels[row]
    largest = logits[row, min(thread, classes - 1)]
    for k in range(thread, classes, ROW_THREADS):
        largest = _larger(largest, logits[row, k])
    largest = _largest_of_block(own_largest, largest)
    total = logits.dtype.type(0)
    for k in range(thread, classes, ROW_THREADS):
        value = math.exp(logits[row, k] - largest)
        dlogits[row, k] = value
        total += value
    total = _sum_of_block(own_total, total)
    is_class = 0 <= label < classes
    if thread == 0:
        log_total = math.log(np.float64(total))
        losses[row] = log_total - np.float64(logits[row, label] - largest) if is_class else math.nan
    if not is_class:
        total = logits.dtype.type(math.nan)
    for k in range(thread, classes, ROW_THREADS):
        share = dlogits[row, k] / total - logits.dtype.type(1 if k == label else 0)
        dlogits[row, k] = share / batch
