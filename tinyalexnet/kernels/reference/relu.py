"""The rectified linear unit."""

from __future__ import annotations

import numpy as np

from ..contract import check_relu_backward, check_relu_forward


def relu_forward(x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Keeps what is positive.

    Math
        y = max(x, 0); NaN stays NaN.
    Shapes
        x of any shape -> y of the same; written to ``out`` where given, which may be x itself.
    Errors
        TypeError where x is not float32 or float64; ValueError where ``out`` has another shape.
    Cost
        One comparison and two memory accesses an element.
    Source
        Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", 2010; docs/pooling.md.
    """
    y = check_relu_forward(x, out)
    y[...] = np.where(x <= 0, 0, x)
    return y


def relu_backward(dout: np.ndarray, y: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Gradient with respect to x, told from the output y alone: y is positive exactly where x is.

    Math
        dx = 0 where y <= 0, else dout. So the derivative at 0 is 0, and where y is NaN the gradient passes.
    Shapes
        dout and y of one shape -> dx of the same; written to ``out`` where given, which may be dout itself.
    Errors
        TypeError where an array is not float32 or float64, or the dtypes differ; ValueError where shapes differ.
    Cost
        One comparison and three memory accesses an element.
    Source
        docs/pooling.md.
    """
    dx = check_relu_backward(dout, y, out)
    dx[...] = np.where(y <= 0, 0, dout)
    return dx
