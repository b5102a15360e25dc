"""Average-pool with counted padding, backward: fill the hole.

This is the average pool of PyTorch (count_include_pad=True). The padding counts, as zeros. So each sum is divided by
the same number:

    out[n,oh,ow,c] = (sum of x[n,h,i,c] over the window) / (KH·KW)

    h = oh·stride_h + kh - pad_top
    i = ow·stride_w + kw - pad_left        (outside the image: 0)

dout is the gradient of the loss with respect to out. Write the function that returns dx, of the shape x_shape.

    x has 3 pixels, kernel = (1, 2), no padding:     out[0] = (x[0] + x[1])/2     out[1] = (x[1] + x[2])/2
    dout = 2 4:                                      dx = 1 3 2

    dout (N, OH, OW, C)       kernel = (KH, KW)                 pads = ((top, bottom), (left, right))
                              stride = (stride_h, stride_w)
"""

import numpy as np


def avgpool_counted_backward(dout, x_shape, kernel, stride, pads):
    raise NotImplementedError
