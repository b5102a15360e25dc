"""Convolution, forward: fill the hole.

Each filter f goes over the padded images. An output is the inner product of the filter and a window, and a bias:

    out[n,oh,ow,f] = b[f] + sum over kh, kw, c of w[kh,kw,c,f] · padded[n, oh·stride_h+kh, ow·stride_w+kw, first+c]

    x (N, H, W, C)            w (KH, KW, depth, F)       pads = ((top, bottom), (left, right))
    out (N, OH, OW, F)        b (F,)                     stride = (stride_h, stride_w)

`padded` is x with zeros around each image. If groups = 1, each filter sees all channels: depth = C and first = 0. If
there are more groups, the channels and the filters are cut into as many slices. Then a filter sees the slice of its
group alone: `depth` channels from `first` on. The code below computes first, and also tops[oh] and lefts[ow]: the row
and the column of the padded images where window (oh, ow) begins.

    x = 3 1 4      w = 2 -1      b = 1      stride = (1, 1), no padding        out = 6 -1

Write what is in the loop, in place of the line `raise NotImplementedError`.
"""

import numpy as np


def conv2d_forward(x, w, b, stride, pads, groups):
    kernel_h, kernel_w, depth, filters = w.shape
    padded = np.pad(x, ((0, 0), *pads, (0, 0)))
    tops = range(0, padded.shape[1] - kernel_h + 1, stride[0])
    lefts = range(0, padded.shape[2] - kernel_w + 1, stride[1])
    out = np.zeros((len(x), len(tops), len(lefts), filters))
    for n, oh, ow, f in np.ndindex(*out.shape):
        first = f // (filters // groups) * depth
        raise NotImplementedError
    return out
