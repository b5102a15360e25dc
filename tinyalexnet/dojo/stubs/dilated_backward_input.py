"""Dilated convolution, backward: fill the hole.

In a dilated convolution the positions of the kernel are `dilation` pixels apart. All else is as before:

    out[n,oh,ow,f] = b[f] + sum over kh, kw, c of x[n,h,i,c] · w[kh,kw,c,f]

    h = oh·stride_h + kh·dilation_h - pad_top
    i = ow·stride_w + kw·dilation_w - pad_left        (outside the image: 0)

dout is the gradient of the loss with respect to out. Write the function that returns dx, of the shape x_shape.

    x has 4 pixels, w = 2 -1, dilation = (1, 2):     out[0] = 2·x[0] - x[2] + b     out[1] = 2·x[1] - x[3] + b
    dout = 1 3:                                      dx = 2 6 -1 -3

    dout (N, OH, OW, F)      stride = (stride_h, stride_w)       pads = ((top, bottom), (left, right))
    w (KH, KW, C, F)         dilation = (dilation_h, dilation_w)
"""

import numpy as np


def dilated_conv2d_backward_input(dout, w, x_shape, stride, pads, dilation):
    raise NotImplementedError
