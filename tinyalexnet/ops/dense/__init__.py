"""The dense layer: every output is a weighted sum of every input.

Derivation: docs/dense.md. Tests: tests/ops/test_dense.py.
"""

import numpy as np

from ..checks import Shape, check_floats, check_shape, matrix_shape
from ..dispatch import resolve


def dense_forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, backend: str = "cpu", *, precision: str = "float32"
) -> np.ndarray:
    """Weighted sums of a batch of vectors, plus a bias per output.

    Math
        out[n,f] = b[f] + Σ_c x[n,c] w[c,f], that is out = x w + b.

        With ``precision="tf32"``, on the backend "cuda" alone, the factors of products of float32 arrays may be rounded
        to 11 bits: docs/tensor_cores.md.
    Shapes
        x (N, C), w (C, F), b (F,) -> out (N, F), all of one dtype.
    Errors
        TypeError if an array is not float32 or float64, or the dtypes differ; ValueError if shapes do not fit, or
        the backend does not have ``precision``.
    Cost
        N C F multiply-adds; C F elements of w are read.
    Source
        docs/dense.md.
    """
    device, kernels = resolve(__name__, backend)
    check_floats(device, w=w, x=x, b=b)
    dense_shape(x.shape, w.shape)
    check_shape("b", b.shape, w.shape[1:], "one element per output")
    with device.precision(precision):
        out: np.ndarray = kernels.dense_forward(x, w, b)
    return out


def dense_backward_input(
    dout: np.ndarray, w: np.ndarray, backend: str = "cpu", *, precision: str = "float32"
) -> np.ndarray:
    """Gradient with respect to the vectors: every output hands its gradient back along the weights it came by.

    Math
        dx[n,c] = Σ_f dout[n,f] w[c,f], that is dx = dout wᵀ.
    Shapes
        dout (N, F), w (C, F) -> dx (N, C).
    Errors
        TypeError if an array is not float32 or float64, or the dtypes differ; ValueError if shapes do not fit, or
        the backend does not have ``precision``.
    Cost
        N C F multiply-adds.
    Source
        docs/dense.md.
    """
    device, kernels = resolve(__name__, backend)
    check_floats(device, w=w, dout=dout)
    matrix_shape("w", w.shape, "(C, F)")
    n, _ = matrix_shape("dout", dout.shape, "(N, F)")
    check_shape("dout", dout.shape, (n, w.shape[1]), "the output's shape")
    with device.precision(precision):
        dx: np.ndarray = kernels.dense_backward_input(dout, w)
    return dx


def dense_backward_params(
    dout: np.ndarray, x: np.ndarray, backend: str = "cpu", *, precision: str = "float32"
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients with respect to the weights and the bias: both are sums over the batch.

    Math
        dw[c,f] = Σ_n x[n,c] dout[n,f], that is dw = xᵀ dout; and db[f] = Σ_n dout[n,f].
    Shapes
        dout (N, F), x (N, C) -> dw (C, F), db (F,).
    Errors
        TypeError if an array is not float32 or float64, or the dtypes differ; ValueError if shapes do not fit, or
        the backend does not have ``precision``.
    Cost
        N C F multiply-adds.
    Source
        docs/dense.md.
    """
    device, kernels = resolve(__name__, backend)
    check_floats(device, x=x, dout=dout)
    n, _ = matrix_shape("x", x.shape, "(N, C)")
    _, filters = matrix_shape("dout", dout.shape, "(N, F)")
    check_shape("dout", dout.shape, (n, filters), "the output's shape")
    with device.precision(precision):
        dw, db = kernels.dense_backward_params(dout, x)
    return dw, db


def dense_shape(x_shape: Shape, w_shape: Shape) -> tuple[int, int]:
    """The output's shape (N, F); ValueError, which names x or w, if they do not fit together."""
    n, channels = matrix_shape("x", x_shape, "(N, C)")
    rows, filters = matrix_shape("w", w_shape, "(C, F)")
    if channels != rows:
        raise ValueError(f"x has {channels} channels, but must have {rows} (N, C)")
    return n, filters
