"""The loss of a classifier: softmax and cross-entropy in one, because only together they are stable and simple."""

from __future__ import annotations

import numpy as np

from ..contract import check_softmax_cross_entropy


def softmax_cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean over the batch of -log of the probability that the right class gets, and its gradient.

    Math
        p[n,k] = exp(logits[n,k]) / Σ_j exp(logits[n,j]),   loss = -1/N Σ_n log p[n, labels[n]]

        dlogits[n,k] = (p[n,k] - 1 where k = labels[n], else p[n,k]) / N. The largest logit of each row is subtracted
        first, which changes neither and keeps exp from overflowing.
    Shapes
        logits (N, K), labels (N,) of integers from 0 to K - 1 -> the loss, summed in float64, and dlogits (N, K).
    Errors
        TypeError where logits are not float32 or float64, or labels no integers. ValueError where shapes do not fit or
        a label is out of range.
    Cost
        N K exponentials.
    Source
        docs/dense.md.
    """
    check_softmax_cross_entropy(logits, labels)
    rows = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    sums = exponentials.sum(axis=1, keepdims=True)
    losses = np.log(sums[:, 0].astype(np.float64)) - shifted[rows, labels]
    dlogits = exponentials / sums
    dlogits[rows, labels] -= 1
    return float(losses.mean()), dlogits / len(labels)
