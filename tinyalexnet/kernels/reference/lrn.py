"""Local response normalisation: each number divided by a power of what its neighbouring channels hold."""

from __future__ import annotations

import numpy as np

from ..contract import check_lrn_backward, check_lrn_forward


def lrn_forward(x: np.ndarray, radius: int, bias: float, alpha: float, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Divides each number by a power of the sum of squares around it, across the channels.

    Math
        scale[n,h,i,c] = bias + alpha Σ_{c'} x[n,h,i,c']²,   c - radius <= c' <= c + radius, inside the channels

        out = x scale^-beta. alpha multiplies the sum as it is; it is not divided by the size of the window.
    Shapes
        x (N, H, W, C) -> out and scale of the same shape and dtype.
    Errors
        TypeError where x is not float32 or float64. ValueError where its rank does not fit, radius or alpha is below 0,
        or bias is not above 0, so that scale could be 0.
    Cost
        N H W C (2 radius + 1) multiply-adds and N H W C powers.
    Source
        Krizhevsky et al., 2012, section 3.3; TensorFlow's ``nn.local_response_normalization``; docs/normalisation.md.
    """
    check_lrn_forward(x, radius, bias, alpha, beta)
    scale = bias + alpha * _window_sum(np.square(x), radius)
    return x * scale**-beta, scale


def lrn_backward(
    dout: np.ndarray, x: np.ndarray, scale: np.ndarray, radius: int, alpha: float, beta: float
) -> np.ndarray:
    """Gradient with respect to x: what each passes on itself, less what it takes from its neighbours.

    Math
        dx[c] = dout[c] scale[c]^-beta - 2 alpha beta x[c] Σ_{c'} dout[c'] x[c'] scale[c']^(-beta - 1)

        at each n, h, i, over the c' within radius of c: those in whose scale x[c] is.
    Shapes
        dout, x and scale (N, H, W, C) -> dx of the same shape and dtype.
    Errors
        TypeError where an array is not float32 or float64, or the dtypes differ. ValueError where shapes differ or an
        option is out of range, as in the forward.
    Cost
        N H W C (2 radius + 1) additions and N H W C powers.
    Source
        docs/normalisation.md.
    """
    check_lrn_backward(dout, x, scale, radius, alpha, beta)
    power = scale**-beta
    # x[c] is in the scale of each c' within radius, and c' is within radius of c just where c is of c'.
    dx: np.ndarray = dout * power - 2 * alpha * beta * x * _window_sum(dout * x * power / scale, radius)
    return dx


def _window_sum(values: np.ndarray, radius: int) -> np.ndarray:
    """The sum over the channels within ``radius`` of each channel."""
    channels = values.shape[-1]
    total = np.zeros_like(values)
    for shift in range(-min(radius, channels - 1), min(radius, channels - 1) + 1):
        first, last = max(-shift, 0), min(channels - shift, channels)
        total[..., first:last] += values[..., first + shift : last + shift]
    return total
