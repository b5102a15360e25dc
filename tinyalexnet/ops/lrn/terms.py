"""The terms of single elements of LRN: scale, out and dx."""

import math
from collections.abc import Mapping

import numpy as np

from ..terms import Factor, Index, Terms, constant, elements, filled, grid, one_of, product

Arrays = Mapping[str, np.ndarray]

OF_A_POWER = 12
"""Roundings, at most, of a power and the products around it: libraries' functions are off by up to 4 units in the last
place, which is 8 roundings."""


def scale_terms(index: Index, arrays: Arrays, radius: int, bias: float, alpha: float) -> Terms:
    """The bias, and alpha times the square of each channel within ``radius``."""
    near = _near(index, arrays["x"], radius)
    x = elements("x", arrays["x"], near)
    return Terms(
        "scale[n,h,i,c] = bias + alpha Σ_{c'} x[n,h,i,c']², c - radius <= c' <= c + radius",
        f"{filled('scale', index)} = {bias:g} + {alpha:g} Σ {filled('x', [*index[:3], _span(near)])}²",
        (
            product([constant("bias", bias, 1)], "the bias"),
            product([constant("alpha", alpha, len(near)), x, x], "the squares"),
        ),
        roundings=3,
    )


def out_terms(index: Index, arrays: Arrays, beta: float) -> Terms:
    """The element and a power of its scale."""
    power = _power("scale^-beta", arrays["scale"], index, -beta)
    return Terms(
        "out[n,h,i,c] = x[n,h,i,c] scale[n,h,i,c]^-beta",
        f"{filled('out', index)} = {filled('x', index)} {filled('scale', index)}^-{beta:g}",
        (product([one_of(arrays["x"], "x", index), power]),),
        roundings=_roundings(arrays["scale"][index], beta),
    )


def dx_terms(index: Index, arrays: Arrays, radius: int, alpha: float, beta: float) -> Terms:
    """The share of the element itself, and those through the scales of the channels within ``radius``."""
    x, scale, dout = arrays["x"], arrays["scale"], arrays["dout"]
    near = _near(index, x, radius)
    span = _span(near)
    shares = [
        constant("-2 alpha beta", -2 * alpha * beta, len(near)),
        constant("x[c]", float(x[index]), len(near)),
        elements("dout", dout, near),
        elements("x", x, near),
        _power("scale^(-beta - 1)", scale, near, -beta - 1),
    ]
    return Terms(
        "dx[n,h,i,c] = dout[n,h,i,c] scale[n,h,i,c]^-beta - 2 alpha beta x[n,h,i,c] Σ_{c'} dout[n,h,i,c'] x[n,h,i,c'] "
        "scale[n,h,i,c']^(-beta - 1), c - radius <= c' <= c + radius",
        f"{filled('dx', index)} = {filled('dout', index)} {filled('scale', index)}^-{beta:g} - 2 {alpha:g} {beta:g} "
        f"{filled('x', index)} Σ_c' dout x scale^-{beta + 1:g} at [{','.join(map(str, (*index[:3], span)))}]",
        (
            product([one_of(dout, "dout", index), _power("scale^-beta", scale, index, -beta)], "the element itself"),
            product(shares, "through the scales"),
        ),
        roundings=_roundings(scale[tuple(near.T)].max(), beta + 1),
    )


def _near(index: Index, x: np.ndarray, radius: int) -> np.ndarray:
    *pixel, c = index
    return grid(*pixel, range(max(0, c - radius), min(x.shape[3] - 1, c + radius) + 1))


def _span(near: np.ndarray) -> str:
    return f"{near[0, 3]} ... {near[-1, 3]}"


def _power(text: str, scale: np.ndarray, index: Index | np.ndarray, exponent: float) -> Factor:
    base = elements("scale", scale, np.atleast_2d(np.asarray(index, np.int64)))
    with np.errstate(invalid="ignore"):
        return Factor(text, base.values**exponent, "scale", base.indices)


def _roundings(scale: float, exponent: float) -> int:
    """Rounding an exponent by u changes the power by a share of u times its logarithm."""
    logarithm = abs(exponent * math.log(scale)) if 0 < scale < math.inf else 0.0
    return OF_A_POWER + math.ceil(logarithm)
