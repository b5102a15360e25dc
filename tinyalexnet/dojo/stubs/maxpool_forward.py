"""Max-pool, forward: fill the hole.

A max-pool goes over the image with a window of KH x KW pixels. Each output is the largest pixel of its window, for each
image n and channel c alone:

    out[n,oh,ow,c] = the maximum of x[n,h,i,c] over the window
                     h = top ... top + KH - 1        i = left ... left + KW - 1

    x (N, H, W, C)        kernel = (KH, KW)        pads = ((top, bottom), (left, right))
    out (N, OH, OW, C)    stride = (stride_h, stride_w)

The first windows begin in the padding, so top and left may be negative, and the last ones may end behind the image.
Padding never wins: only pixels inside the image count. (Each window has at least one.)
In NumPy a slice may end behind an array, but a negative begin counts from its end.

    x = 1 4 2        kernel = (1, 2), stride = (1, 1), no padding        out = 4 4

The two loops go over the windows. Write what is in them, in place of the line `raise NotImplementedError`.
"""

import numpy as np


def maxpool_forward(x, kernel, stride, pads):
    n, height, width, channels = x.shape
    tops = range(-pads[0][0], height + pads[0][1] - kernel[0] + 1, stride[0])
    lefts = range(-pads[1][0], width + pads[1][1] - kernel[1] + 1, stride[1])
    out = np.zeros((n, len(tops), len(lefts), channels))
    for oh, top in enumerate(tops):
        for ow, left in enumerate(lefts):
            raise NotImplementedError
    return out
