"""Dense layer, backward, a wrong gradient: find the bug.

The forward of a dense layer, for N rows of C inputs and F outputs:

    out[n,f] = b[f] + sum over c of x[n,c] · w[c,f]        x (N, C), w (C, F), b (F,), out (N, F)

The backward below goes through all rows and outputs, and returns dx, dw and db. Somebody tested it with one row, and
all was right. With more rows, one of the three gradients is wrong. Find the mistake and mend it.
"""

import numpy as np


def dense_backward(dout, x, w):
    dx = np.zeros(x.shape)
    dw = np.zeros(w.shape)
    for n, f in np.ndindex(*dout.shape):
        dx[n] += dout[n, f] * w[:, f]
        dw[:, f] += dout[n, f] * x[n]
    db = dout.mean(axis=0)
    return dx, dw, db
