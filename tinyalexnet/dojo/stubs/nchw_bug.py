"""Convolution in NCHW: find the bug.

PyTorch has the channels before rows and columns. The convolution is the same, only its axes are in another order:

    out[n,f,oh,ow] = b[f] + sum over c, kh, kw of x[n,c,h,i] · w[f,c,kh,kw]

    h = oh·stride_h + kh - pad_top
    i = ow·stride_w + kw - pad_left        (outside the image: 0)

The function below brings images and filters into the order of TensorFlow, (N, H, W, C) and (KH, KW, C, F), computes
there, and brings the result back. With one channel all is right, but there is a mistake in it. Find it and mend it.

    x (N, C, H, W)      b (F,)                    stride = (stride_h, stride_w)
    w (F, C, KH, KW)    out (N, F, OH, OW)        pads = ((top, bottom), (left, right))
"""

import numpy as np


def conv2d_nchw_forward(x, w, b, stride, pads):
    n, c, height, width = x.shape
    filters, c, kernel_h, kernel_w = w.shape
    images = np.pad(x.reshape(n, height, width, c), ((0, 0), pads[0], pads[1], (0, 0)))
    kernels = w.transpose(2, 3, 1, 0)
    out_h = (images.shape[1] - kernel_h) // stride[0] + 1
    out_w = (images.shape[2] - kernel_w) // stride[1] + 1
    out = np.zeros((n, out_h, out_w, filters))
    for oh, ow in np.ndindex(out_h, out_w):
        top, left = oh * stride[0], ow * stride[1]
        window = images[:, top : top + kernel_h, left : left + kernel_w, :]
        out[:, oh, ow, :] = b + np.tensordot(window, kernels, axes=3)
    return out.transpose(0, 3, 1, 2).copy()
