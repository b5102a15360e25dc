import numpy as np


def lrn_backward(dout, x, radius, bias, alpha, beta):
    channels = x.shape[3]
    near = [slice(max(c - radius, 0), c + radius + 1) for c in range(channels)]
    scale = np.empty(x.shape)
    for c in range(channels):
        scale[..., c] = bias + alpha * np.sum(x[..., near[c]] ** 2, axis=-1)
    ratio = dout * x * scale ** (-beta - 1)
    dx = dout * scale**-beta
    for c in range(channels):
        dx[..., c] -= 2 * alpha * beta * x[..., c] * np.sum(ratio[..., near[c]], axis=-1)
    return dx
