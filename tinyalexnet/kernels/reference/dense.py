"""The dense layer: every output is a weighted sum of every input."""

from __future__ import annotations

import numpy as np

from ..contract import check_dense_backward_input, check_dense_backward_params, check_dense_forward


def dense_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Weighted sums of a batch of vectors, plus a bias per output.

    Math
        out[n,f] = b[f] + Σ_c x[n,c] w[c,f], that is out = x w + b.
    Shapes
        x (N, C), w (C, F), b (F,) -> out (N, F), all of one dtype.
    Errors
        TypeError where an array is not float32 or float64, or the dtypes differ; ValueError where shapes do not fit.
    Cost
        N C F multiply-adds; C F numbers of w are read.
    Source
        docs/dense.md.
    """
    check_dense_forward(x, w, b)
    out: np.ndarray = x @ w + b
    return out


def dense_backward_input(dout: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Gradient with respect to the vectors: every output hands its gradient back along the weights it came by.

    Math
        dx[n,c] = Σ_f dout[n,f] w[c,f], that is dx = dout wᵀ.
    Shapes
        dout (N, F), w (C, F) -> dx (N, C).
    Errors
        TypeError where an array is not float32 or float64, or the dtypes differ; ValueError where shapes do not fit.
    Cost
        N C F multiply-adds.
    Source
        docs/dense.md.
    """
    check_dense_backward_input(dout, w)
    dx: np.ndarray = dout @ w.T
    return dx


def dense_backward_params(dout: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients with respect to the weights and the bias: both are sums over the batch.

    Math
        dw[c,f] = Σ_n x[n,c] dout[n,f], that is dw = xᵀ dout; and db[f] = Σ_n dout[n,f].
    Shapes
        dout (N, F), x (N, C) -> dw (C, F), db (F,).
    Errors
        TypeError where an array is not float32 or float64, or the dtypes differ; ValueError where shapes do not fit.
    Cost
        N C F multiply-adds.
    Source
        docs/dense.md.
    """
    check_dense_backward_params(dout, x)
    return x.T @ dout, dout.sum(axis=0)
