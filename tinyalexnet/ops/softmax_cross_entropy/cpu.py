"""Softmax and cross-entropy, compiled."""

import numba
import numpy as np

from ...devices.cpu.compiler import streaming


def softmax_cross_entropy(logits: np.ndarray, labels: np.ndarray, batch: int) -> tuple[float, np.ndarray]:
    """Schedule: parallel over the rows, which are independent. Their losses are added in float64, in one order."""
    losses, dlogits = np.empty(len(labels)), np.empty(logits.shape, logits.dtype)
    count = logits.dtype.type(batch)
    _rows(np.ascontiguousarray(logits), np.ascontiguousarray(labels, np.intp), count, losses, dlogits)
    return float(losses.sum() / batch), dlogits


@streaming
def _rows(logits, labels, batch, losses, dlogits):  # type: ignore[no-untyped-def]
    n, classes = logits.shape
    for row in numba.prange(n):
        values, gradient, label = logits[row], dlogits[row], labels[row]
        largest = values[0]
        for k in range(classes):
            # A NaN takes over and stays: no comparison with it is true.
            largest = values[k] if values[k] > largest or values[k] != values[k] else largest
        total = logits.dtype.type(0)
        for k in range(classes):
            gradient[k] = np.exp(values[k] - largest)
            total += gradient[k]
        losses[row] = np.log(np.float64(total)) - np.float64(values[label] - largest)
        for k in range(classes):
            gradient[k] /= total
        gradient[label] -= logits.dtype.type(1)
        for k in range(classes):
            gradient[k] /= batch
