"""A convolution of a row, backward: fill the hole.

The forward slides a kernel w over a row x, without padding:

    out[o] = sum over k of x[o+k] · w[k]        k = 0 ... KW - 1

    x (L,)        w (KW,)        out (O,), where O = L - KW + 1

dout has the shape of out. Write the backward. It returns two gradients:

    dx (L,)       each x[i] lies in several windows: the sum over all of them
    dw (KW,)      each w[k] is used in every window: the sum over all of them

    x = 3 1 4 2      w = 2 -1 1      dout = 1 3      dx = 2 5 -2 3      dw = 6 13 10
"""

import numpy as np


def conv1d_backward(dout, x, w):
    dx = np.zeros(x.shape)
    dw = np.zeros(w.shape)
    raise NotImplementedError
    return dx, dw
