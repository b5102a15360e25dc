import numpy as np


def dense_backward(dout, x, w):
    dx = np.zeros(x.shape)
    dw = np.zeros(w.shape)
    for n, f in np.ndindex(*dout.shape):
        dx[n] += dout[n, f] * w[:, f]
        dw[:, f] += dout[n, f] * x[n]
    db = dout.sum(axis=0)
    return dx, dw, db
