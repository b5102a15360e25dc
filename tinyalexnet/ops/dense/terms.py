"""The terms of single elements of a dense layer: out, dx, dw and db."""

from collections.abc import Mapping

import numpy as np

from ..conv2d.terms import sum_over_outputs
from ..terms import Index, Terms, constant, elements, filled, grid, one_of, product

Arrays = Mapping[str, np.ndarray]


def out_terms(index: Index, arrays: Arrays) -> Terms:
    """The bias, and a product for each input."""
    x, w, b = arrays["x"], arrays["w"], arrays["b"]
    n, f = index
    inputs, weights = grid(n, range(x.shape[1])), grid(range(x.shape[1]), f)
    return Terms(
        "out[n,f] = b[f] + Σ x[n,c] w[c,f]",
        f"{filled('out', index)} = b[{f}] + Σ x[{n},c] w[c,{f}]",
        (
            product([one_of(b, "b", (f,)), constant("1", 1.0, 1)], "the bias"),
            product([elements("x", x, inputs), elements("w", w, weights)], "the inputs"),
        ),
    )


def dx_terms(index: Index, arrays: Arrays) -> Terms:
    """A product for each output."""
    w, dout = arrays["w"], arrays["dout"]
    n, c = index
    gradients, weights = grid(n, range(w.shape[1])), grid(c, range(w.shape[1]))
    return Terms(
        "dx[n,c] = Σ dout[n,f] w[c,f]",
        f"{filled('dx', index)} = Σ dout[{n},f] w[{c},f]",
        (product([elements("dout", dout, gradients), elements("w", w, weights)], "the outputs"),),
    )


def dw_terms(index: Index, arrays: Arrays) -> Terms:
    """A product for each image."""
    x, dout = arrays["x"], arrays["dout"]
    c, f = index
    images = range(x.shape[0])
    return Terms(
        "dw[c,f] = Σ x[n,c] dout[n,f]",
        f"{filled('dw', index)} = Σ x[n,{c}] dout[n,{f}]",
        (product([elements("x", x, grid(images, c)), elements("dout", dout, grid(images, f))], "the images"),),
    )


def db_terms(index: Index, arrays: Arrays) -> Terms:
    """The gradient of each image."""
    (f,) = index
    return sum_over_outputs(f, arrays["dout"], "db[f] = Σ dout[n,f]", f"db[{f}] = Σ dout[n,{f}]")
