"""LRN, forward: find the bug.

Local response normalisation divides each element by a power of its scale. The scale is a sum over neighbouring
channels of the same pixel:

    scale[c] = bias + alpha · (sum of x[k]² over the channels k near c)        near: |k - c| <= radius
    out[c]   = x[c] / scale[c] ** beta

Only channels that exist are in the sum. By hand, for a pixel with two channels, radius = 1, bias = 2, alpha = beta = 1:

    x = 1 -1        scale = 2 + 1 + 1 = 4 for both        out = 1/4  -1/4

There is one mistake in the function below. Find it and mend it.

    x and out (N, H, W, C)        radius is an int        bias, alpha and beta are numbers
"""

import numpy as np


def lrn_forward(x, radius, bias, alpha, beta):
    channels = x.shape[3]
    out = np.zeros(x.shape)
    for c in range(channels):
        first, last = max(c - radius, 0), min(c + radius, channels - 1)
        squares = np.sum(x[..., first : last + 1] ** 2, axis=-1)
        scale = bias + alpha / (2 * radius + 1) * squares
        out[..., c] = x[..., c] / scale**beta
    return out
