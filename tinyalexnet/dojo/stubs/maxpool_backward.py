"""Max-pool, backward: find the bug.

The forward takes the maximum of each window of KH x KW pixels, for each image n and channel c alone:

    out[n,oh,ow,c] = the maximum of x[n,h,i,c] over the window,
                     h = oh·stride_h + kh - pad_top      for kh = 0 ... KH - 1
                     i = ow·stride_w + kw - pad_left     for kw = 0 ... KW - 1

Only pixels inside the image count: padding never wins. Of equal pixels, the first one wins (kh first, then kw).

The backward gives each dout to the pixel that won. There is one mistake in the function below. Find it and mend it.

    x (N, H, W, C)        kernel = (KH, KW)        pads = ((top, bottom), (left, right))
    dout (N, OH, OW, C)   stride = (stride_h, stride_w)
"""

import numpy as np


def maxpool_backward(dout, x, kernel, stride, pads):
    dx = np.zeros(x.shape)
    for n, oh, ow, c in np.ndindex(*dout.shape):
        largest = -np.inf
        for kh in range(kernel[0]):
            for kw in range(kernel[1]):
                h = oh * stride[0] + kh - pads[0][0]
                i = ow * stride[1] + kw - pads[1][0]
                inside = 0 <= h < x.shape[1] and 0 <= i < x.shape[2]
                if inside and x[n, h, i, c] > largest:
                    largest = x[n, h, i, c]
                    winner = h, i
        h, i = winner
        dx[n, h, i, c] = dout[n, oh, ow, c]
    return dx
