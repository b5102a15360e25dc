import numpy as np


def lrn_forward(x, radius, bias, alpha, beta):
    channels = x.shape[3]
    out = np.zeros(x.shape)
    for c in range(channels):
        first, last = max(c - radius, 0), min(c + radius, channels - 1)
        squares = np.sum(x[..., first : last + 1] ** 2, axis=-1)
        scale = bias + alpha * squares
        out[..., c] = x[..., c] / scale**beta
    return out
