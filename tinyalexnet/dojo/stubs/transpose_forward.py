"""Transposed convolution: fill the hole.

It makes a small image large. Each pixel of x lays a copy of the kernel, times its value, on the output. The copies of
neighbouring pixels lie stride pixels apart. Where they overlap, they are added:

    the pixel (h, i) adds x[n,h,i,c] · w[kh,kw,f,c], for each c, to out[n,oh,ow,f]

    oh = h·stride_h + kh - pad_top
    ow = i·stride_w + kw - pad_left        (outside of out: nothing is added)

So padding works the other way round here: it crops the output.

    x = 3 1, w = 2 -1, stride = (1, 1):     3 lays   6 -3
                                            1 lays      2 -1        out = 6 -1 -1

Write the function that returns out.

    x (N, H, W, C)            stride = (stride_h, stride_w)
    w (KH, KW, F, C)          pads = ((top, bottom), (left, right))
    out (N, OH, OW, F)        OH = (H - 1)·stride_h + KH - top - bottom, and OW likewise

Look at the shape of w, and then at a function that you have written before: the backward of which forward is this?
"""

import numpy as np


def conv2d_transpose_forward(x, w, stride, pads):
    raise NotImplementedError
