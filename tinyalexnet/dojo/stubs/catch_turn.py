"""The kernel that is not turned: catch the mistake.

Somebody wrote dx of a convolution, and in its innermost loop the kernel is read backwards:

    dx[n, oh + kh, ow + kw, c] += dout[n, oh, ow, f] * w[KH - 1 - kh, KW - 1 - kw, c, f]

where it should be w[kh, kw, c, f]. (Seen from dx, the wrong function slides the kernel over dout as it is. The right
one slides it turned by 180 degrees.)

Many tests do not find this mistake. Write a test case that does: arguments for which the wrong function and the right
one give different dx. w may have at most 2 elements. The stride is (1, 1), there is no padding, and one group.

    dout (N, OH, OW, F)        w (KH, KW, C, F)        x_shape = (N, H, W, C)

dout must have the shape of the output:  OH = H - KH + 1, and OW likewise.

The case below does not show the mistake. Change it.
"""

import numpy as np


def case():
    return {
        "dout": np.array([3.0, 5]).reshape(1, 1, 2, 1),
        "w": np.array([1.0, 2, 1]).reshape(1, 3, 1, 1),
        "x_shape": (1, 1, 4, 1),
    }
