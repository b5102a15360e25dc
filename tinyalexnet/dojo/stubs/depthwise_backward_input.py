"""Depthwise convolution, backward: find the bug.

In a depthwise convolution each channel has a filter of its own, and stays alone:

    out[n,oh,ow,c] = sum over kh, kw of x[n,h,i,c] · w[kh,kw,c]

    h = oh·stride_h + kh - pad_top
    i = ow·stride_w + kw - pad_left        (outside the image: 0)

Somebody took the backward of an ordinary convolution, and changed it. There is one mistake in it. Find it and mend it.

    one channel, w = 2 -1, dout = 1 3:     dx = 2·1  (-1·1 + 2·3)  -1·3 = 2 5 -3

    dout (N, OH, OW, C)       stride = (stride_h, stride_w)
    w (KH, KW, C)             pads = ((top, bottom), (left, right))
    dx has the shape x_shape
"""

import numpy as np


def depthwise_backward_input(dout, w, x_shape, stride, pads):
    kernel_h, kernel_w, channels = w.shape
    (top, bottom), (left, right) = pads
    dx = np.zeros((x_shape[0], top + x_shape[1] + bottom, left + x_shape[2] + right, channels))
    for oh, ow, kh, kw in np.ndindex(dout.shape[1], dout.shape[2], kernel_h, kernel_w):
        products = dout[:, oh, ow, :] * w[kh, kw, :]
        dx[:, oh * stride[0] + kh, ow * stride[1] + kw, :] += np.sum(products, axis=1, keepdims=True)
    return dx[:, top : top + x_shape[1], left : left + x_shape[2], :].copy()
