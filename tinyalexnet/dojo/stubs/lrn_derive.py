"""The slope of one output of LRN: derive the formula.

For one pixel, x holds its channels. Local response normalisation makes of them

    scale[k] = bias + alpha · (sum of x[j]² over the channels j near k)        near: |j - k| <= radius
    out[k]   = x[k] · scale[k] ** -beta

How fast does out[k] change if x[c] changes? Write the function lrn_slope that returns the derivative

    ∂out[k] / ∂x[c]

c and k are any two channels. There are three cases: c = k, c near k, and c not near k.

    x = 1 -1, radius = 1, bias = 2, alpha = 1, beta = 1. Both scales are 4.
    c = 0, k = 0:   0.125
    c = 0, k = 1:   0.125

x is an array of shape (C,), c and k are ints from 0 to C - 1, and the others are numbers.
"""

import numpy as np


def lrn_slope(c, k, x, radius, bias, alpha, beta):
    near = range(max(k - radius, 0), min(k + radius + 1, len(x)))
    scale = bias + alpha * np.sum(x[near] ** 2)  # of out[k]
    raise NotImplementedError
