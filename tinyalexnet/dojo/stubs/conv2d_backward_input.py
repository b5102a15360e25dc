"""Convolution, backward of the images: fill the hole.

In the forward, output pixel (oh, ow) reads at kernel position (kh, kw) this pixel of the image:

    h = oh·stride_h + kh - pad_top        i = ow·stride_w + kw - pad_left

If (h, i) is outside the image, it reads padding, which is 0. The product is added to the output:

    out[n,oh,ow,f] += w[kh,kw,c,f] · x[n, h, i, first + c]

Write the backward: dx, the gradient of x. A pixel lies in several windows, and several filters see it, so its gradient
is a sum. Padding has no gradient. x itself is not needed, but its shape is.

    dout (N, OH, OW, F)       dx has x_shape = (N, H, W, C)      pads = ((pad_top, pad_bottom), (pad_left, pad_right))
    w (KH, KW, depth, F)      stride = (stride_h, stride_w)

Filter f sees `depth` channels from `first` on (all of them if groups = 1). The loop below goes over all elements of
dout. Write what is in it, in place of the line `raise NotImplementedError`.

    w = 2 -1      dout = 1 3      x_shape = (1, 1, 3, 1), stride = (1, 1), no padding        dx = 2 5 -3
"""

import numpy as np


def conv2d_backward_input(dout, w, x_shape, stride, pads, groups):
    kernel_h, kernel_w, depth, filters = w.shape
    dx = np.zeros(x_shape)
    for n, oh, ow, f in np.ndindex(*dout.shape):
        first = f // (filters // groups) * depth
        raise NotImplementedError
    return dx
