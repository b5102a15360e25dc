import numpy as np


def conv1d_backward(dout, x, w):
    dx = np.zeros(x.shape)
    dw = np.zeros(w.shape)
    for o, k in np.ndindex(len(dout), len(w)):
        dx[o + k] += dout[o] * w[k]
        dw[k] += dout[o] * x[o + k]
    return dx, dw
