"""Winograd's F(2, 3): fill the hole.

Two outputs of a filter of three elements take six multiplications:

    out[0] = x[0]·w[0] + x[1]·w[1] + x[2]·w[2]
    out[1] = x[1]·w[0] + x[2]·w[1] + x[3]·w[2]

Winograd needs only four: the four products q0 ... q3 in the function below. (The sums of w, and their halves, are
computed once for many images.) Both outputs are sums and differences of these four. Find them: expand q1 and q2 on
paper. Which of their terms are in out[0]? What do q1 + q2 and q1 - q2 give?

    x = 3 1 4 5, w = 2 -1 1:     q0 = -2   q1 = 5   q2 = 6   q3 = -4      out = 9 3

The check sees the numbers alone. So be your own judge that no further product is needed.

    x (4,)        w (3,)        out (2,)
"""

import numpy as np


def winograd_f23(x, w):
    q0 = (x[0] - x[2]) * w[0]
    q1 = (x[1] + x[2]) * ((w[0] + w[1] + w[2]) / 2)
    q2 = (x[2] - x[1]) * ((w[0] - w[1] + w[2]) / 2)
    q3 = (x[1] - x[3]) * w[2]
    raise NotImplementedError
