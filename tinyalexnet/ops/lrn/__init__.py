"""LRN (local response normalisation): each element is divided by a power of a sum over neighbouring channels.

Derivation: docs/lrn.md. Tests: tests/ops/test_lrn.py.
"""

import numpy as np

from ...geometry import as_integer, as_number
from ..checks import check_floats, check_shape, images_shape
from ..dispatch import resolve


def lrn_forward(
    x: np.ndarray, radius: int, bias: float, alpha: float, beta: float, backend: str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """Divides each element by a power of the sum of squares around it, across the channels.

    Math
        scale[n,h,i,c] = bias + alpha Σ_{c'} x[n,h,i,c']²,   c - radius <= c' <= c + radius, inside the channels

        out = x scale^-beta. alpha multiplies the sum as it is; it is not divided by the size of the window.
    Shapes
        x (N, H, W, C) -> out and scale of the same shape and dtype.
    Errors
        TypeError if x is not float32 or float64. ValueError if its rank does not fit, radius, alpha or beta is below 0,
        or bias is not above 0, so that scale could be 0.
    Cost
        N H W C (2 radius + 1) multiply-adds and N H W C powers.
    Source
        Krizhevsky et al., 2012, section 3.3; TensorFlow's ``nn.local_response_normalization``; docs/lrn.md.
    """
    device, kernels = resolve(__name__, backend)
    check_floats(device, x=x)
    images_shape("x", x.shape)
    radius, bias, alpha, beta = check_options(radius, bias, alpha, beta)
    out, scale = kernels.lrn_forward(x, radius, bias, alpha, beta)
    return out, scale


def lrn_backward(
    dout: np.ndarray, x: np.ndarray, scale: np.ndarray, radius: int, alpha: float, beta: float, backend: str = "cpu"
) -> np.ndarray:
    """Gradient with respect to x: the share of the element itself, less the shares through its neighbours' divisors.

    Math
        dx[c] = dout[c] scale[c]^-beta - 2 alpha beta x[c] Σ_{c'} dout[c'] x[c'] scale[c']^(-beta - 1)

        at each n, h, i, over the c' within radius of c: those whose scale contains x[c].
    Shapes
        dout, x and scale (N, H, W, C) -> dx of the same shape and dtype.
    Errors
        TypeError if an array is not float32 or float64, or the dtypes differ. ValueError if shapes differ or an option
        is out of range, as in the forward.
    Cost
        N H W C (2 radius + 1) additions and N H W C powers.
    Source
        docs/lrn.md.
    """
    device, kernels = resolve(__name__, backend)
    check_floats(device, x=x, dout=dout, scale=scale)
    images_shape("x", x.shape)
    radius, _, alpha, beta = check_options(radius, 1.0, alpha, beta)
    for name, array in (("dout", dout), ("scale", scale)):
        check_shape(name, array.shape, x.shape, "the shape of x")
    dx: np.ndarray = kernels.lrn_backward(dout, x, scale, radius, alpha, beta)
    return dx


def check_options(radius: int, bias: float, alpha: float, beta: float) -> tuple[int, float, float, float]:
    """The options as Python's own numbers; ValueError if one is out of range."""
    return as_integer("radius", radius, 0), as_bias("bias", bias), as_factor("alpha", alpha), as_factor("beta", beta)


def as_factor(name: str, value: float) -> float:
    """``value`` as a float; ValueError, which calls it ``name``, if it is not a finite number from 0 up."""
    return as_number(name, value, "a number from 0 up")


def as_bias(name: str, value: float) -> float:
    """As ``as_factor``, but for the bias."""
    return as_number(name, value, "a number above 0: it keeps the divisor from 0", lambda number: number > 0)
