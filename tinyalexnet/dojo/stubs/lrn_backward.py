"""LRN, backward: fill the hole.

The forward, for each pixel alone:

    scale[c] = bias + alpha · (sum of x[k]² over the channels k near c)        near: |k - c| <= radius
    out[c]   = x[c] · scale[c] ** -beta

dout is the gradient of the loss with respect to out. By the chain rule, dx[c] is a sum over all outputs that x[c] has
a part in:

    dx[c] = sum over k of dout[k] · ∂out[k]/∂x[c]

x[c] is the numerator of out[c], and it is in the scale of each channel near c. Write the function that returns dx.

    x = 1 -1, dout = 4 8, radius = 1, bias = 2, alpha = beta = 1:     dx = 1.5  1.5

    x, dout and dx (N, H, W, C)        radius is an int        bias, alpha and beta are numbers
"""

import numpy as np


def lrn_backward(dout, x, radius, bias, alpha, beta):
    channels = x.shape[3]
    near = [slice(max(c - radius, 0), c + radius + 1) for c in range(channels)]  # near[c] selects the channels near c
    scale = np.empty(x.shape)
    for c in range(channels):
        scale[..., c] = bias + alpha * np.sum(x[..., near[c]] ** 2, axis=-1)
    raise NotImplementedError
