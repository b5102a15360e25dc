"""The smallest overlap: catch the mistake.

Somebody wrote the backward of a max-pool, and its last line is

    dx[n, h, i, c] = dout[n, oh, ow, c]        where it should be  +=

Many tests do not find this mistake. Write a test case that does: arguments for which the wrong function and the right
one give different dx. x may have at most 3 elements. There is no padding.

    x (N, H, W, C)        kernel = (KH, KW)
    dout (N, OH, OW, C)   stride = (stride_h, stride_w)

dout must have the shape of the output:  OH = (H - KH) // stride_h + 1, and OW likewise.

The case below does not show the mistake. Change it.
"""

import numpy as np


def case():
    return {
        "dout": np.ones((1, 1, 2, 1)),
        "x": np.array([1.0, 2, 3, 4]).reshape(1, 1, 4, 1),
        "kernel": (1, 2),
        "stride": (1, 2),
    }
