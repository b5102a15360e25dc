"""A fast convolution: make it fast.

Each output is a sum over the window, and over the channels of the group:

    out[n,oh,ow,f] = b[f] + sum over kh, kw, c of x[n,h,i,g·CG + c] · w[kh,kw,c,f]

    h = oh·stride_h + kh - pad_top        g  = the group of filter f: F/groups filters each
    i = ow·stride_w + kw - pad_left       CG = the channels of one group, C/groups

The function below is right, but all its loops run in Python. Make it at least 20 times as fast. It must stay right, for
all strides, paddings and groups. There are several ways: gather the windows into a matrix, or loop over the kernel
positions alone and treat all outputs at once.

    x (N, H, W, C)             stride = (stride_h, stride_w)
    w (KH, KW, CG, F)          pads = ((top, bottom), (left, right))
    b (F,)                     groups is an int
"""

import numpy as np


def conv2d_forward(x, w, b, stride, pads, groups):
    kernel_h, kernel_w, depth, filters = w.shape
    padded = np.pad(x, ((0, 0), pads[0], pads[1], (0, 0)))
    out_h = (padded.shape[1] - kernel_h) // stride[0] + 1
    out_w = (padded.shape[2] - kernel_w) // stride[1] + 1
    out = np.zeros((x.shape[0], out_h, out_w, filters))
    for n, oh, ow, f in np.ndindex(*out.shape):
        group = f // (filters // groups)
        total = b[f]
        for kh in range(kernel_h):
            for kw in range(kernel_w):
                for c in range(depth):
                    pixel = padded[n, oh * stride[0] + kh, ow * stride[1] + kw, group * depth + c]
                    total += pixel * w[kh, kw, c, f]
        out[n, oh, ow, f] = total
    return out
