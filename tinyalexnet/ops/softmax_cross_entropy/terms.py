"""The terms of single elements of softmax and cross-entropy: the probabilities p, the loss, and dx = dlogits."""

import math
from collections.abc import Mapping

import numpy as np

from ..terms import QUOTIENT, Factor, Index, Terms, constant, elements, filled, grid, one_of, product

Arrays = Mapping[str, np.ndarray]

OF_AN_EXPONENTIAL = 12
"""Roundings, at most, of an exponential and the operations around it, as ``OF_A_POWER`` of LRN."""


def p_terms(index: Index, arrays: Arrays) -> Terms:
    """The exponential of the logit, and those of all logits of the row. The largest is subtracted first."""
    logits = arrays["x"]
    n, k = index
    row = elements("x", logits, grid(n, range(logits.shape[1])), "logits")
    largest = row.values.max()
    with np.errstate(invalid="ignore"):  # infinity less infinity is NaN, as in the forward
        exponentials = Factor("exp(logit - largest)", np.exp(row.values - largest), "x", row.indices)
    own = Factor("exp(logit - largest)", exponentials.values[k : k + 1], "x", grid(n, k))
    return Terms(
        "p[n,k] = exp(logits[n,k]) / Σ_j exp(logits[n,j])",
        f"{filled('p', index)} = exp({filled('logits', index)}) / Σ_j exp(logits[{n},j]), all less {largest:g}",
        (product([own], "above the line"), product([exponentials], "below the line")),
        QUOTIENT,
        roundings=_roundings(logits[n]),
    )


def loss_terms(index: Index, arrays: Arrays) -> Terms:
    """-log of the probability of each image's class, divided by the number of images."""
    p, labels = arrays["p"], arrays["labels"]
    count = len(labels)
    right = elements("p", p, np.stack([np.arange(count), labels], axis=1))
    with np.errstate(divide="ignore"):
        logarithms = Factor("-log p[n,labels[n]]", -np.log(right.values), "p", right.indices)
    return Terms(
        "loss = -1/N Σ_n log p[n,labels[n]]",
        f"loss = -1/{count} Σ_n log p[n,labels[n]]",
        (product([logarithms, constant(f"1/{count}", 1 / count, count)]),),
        # Computed as the logarithm of a sum, less a logit: what these round by does not shrink with log p.
        absolute_roundings=max(2 * _roundings(row) for row in arrays["x"]),
        computed_in=arrays["x"].dtype,
    )


def dx_terms(index: Index, arrays: Arrays) -> Terms:
    """The probability, less 1 for the right class, divided by the number of images."""
    labels = arrays["labels"]
    n, k = index
    count = len(labels)
    share = constant("1/N", 1 / count, 1)
    parts = [product([one_of(arrays["p"], "p", index), share], "the probability")]
    if labels[n] == k:
        parts.append(product([constant("-1, as this is the right class", -1.0, 1), share], "the right class"))
    less = " - 1" if labels[n] == k else ""
    return Terms(
        "dlogits[n,k] = (p[n,k] - 1 if k = labels[n], else p[n,k]) / N",
        f"{filled('dlogits', index)} = ({filled('p', index)}{less}) / {count}",
        tuple(parts),
        roundings=_roundings(arrays["x"][n]) + 2,
    )


def _roundings(logits: np.ndarray) -> int:
    """Of a probability: a sum over the classes, and exponentials, whose argument rounds in proportion to its size."""
    spread = float(logits.max()) - float(logits.min())
    return logits.size + OF_AN_EXPONENTIAL + (math.ceil(spread) if math.isfinite(spread) else 0)
