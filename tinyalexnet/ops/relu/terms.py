"""The terms of single elements of a ReLU: out and dx."""

from collections.abc import Mapping

import numpy as np

from ..terms import LARGEST, Factor, Index, Terms, constant, filled, one_of, product

Arrays = Mapping[str, np.ndarray]


def out_terms(index: Index, arrays: Arrays) -> Terms:
    """The element and 0."""
    parts = product([one_of(arrays["x"], "x", index)]), product([constant("0", 0.0, 1)])
    return Terms("out = max(x, 0)", f"{filled('out', index)} = max({filled('x', index)}, 0)", parts, LARGEST)


def dx_terms(index: Index, arrays: Arrays) -> Terms:
    """The gradient, if the element was above 0."""
    dout, out = one_of(arrays["dout"], "dout", index), one_of(arrays["out"], "out", index)
    above = Factor("out > 0", (~(out.values <= 0)).astype(np.float64), "out", out.indices)
    return Terms(
        "dx = dout if out > 0, else 0",
        f"{filled('dx', index)} = {filled('dout', index)} if {filled('out', index)} > 0, else 0",
        (product([dout, above]),),
    )
