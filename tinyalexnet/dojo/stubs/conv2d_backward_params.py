"""Convolution, backward of the filters: fill the hole.

The forward, where `padded` is x with zeros around each image:

    out[n,oh,ow,f] = b[f] + sum over kh, kw, c of w[kh,kw,c,f] · padded[n, oh·stride_h+kh, ow·stride_w+kw, first+c]

Write the backward of the filters and the bias. A filter is used at every output pixel of every image, so its gradient
is a sum over all of them. The same is true of its bias.

    x (N, H, W, C)            dw has w_shape = (KH, KW, depth, F)       pads = ((top, bottom), (left, right))
    dout (N, OH, OW, F)       db (F,)                                   stride = (stride_h, stride_w)

Filter f sees `depth` channels from `first` on (all of them if groups = 1). The loop below goes over all elements of
dout. Write what is in it, in place of the line `raise NotImplementedError`.

    x = 3 1 4      w_shape = (1, 2, 1, 1)      dout = 1 3      stride = (1, 1), no padding      dw = 6 13      db = 4
"""

import numpy as np


def conv2d_backward_params(dout, x, w_shape, stride, pads, groups):
    kernel_h, kernel_w, depth, filters = w_shape
    padded = np.pad(x, ((0, 0), *pads, (0, 0)))
    dw = np.zeros(w_shape)
    db = np.zeros(filters)
    for n, oh, ow, f in np.ndindex(*dout.shape):
        first = f // (filters // groups) * depth
        raise NotImplementedError
    return dw, db
