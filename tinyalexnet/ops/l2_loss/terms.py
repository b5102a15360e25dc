"""The terms of half the sum of squares, and of its gradient."""

from collections.abc import Mapping

import numpy as np

from ..terms import Index, Terms, constant, elements, filled, grid, one_of, product

Arrays = Mapping[str, np.ndarray]


def loss_terms(index: Index, arrays: Arrays) -> Terms:
    """Half the square of each element."""
    y = arrays["x"]
    each = elements("x", y, grid(*map(range, y.shape)), "y")
    half = constant("1/2", 0.5, y.size)
    return Terms(
        "loss = 1/2 Σ y²", f"loss = 1/2 Σ y² of {y.size:,} elements", (product([half, each, each]),), roundings=1
    )


def dx_terms(index: Index, arrays: Arrays) -> Terms:
    """The element itself."""
    y = one_of(arrays["x"], "x", index, "y")
    return Terms("dloss/dy = y", f"{filled('dx', index)} = {filled('y', index)}", (product([y]),))
