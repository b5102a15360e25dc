"""Average-pool, backward: fill the hole.

The forward takes the mean of each window, for each image n and channel c alone:

    out[n,oh,ow,c] = 1/m · sum of x[n,h,i,c] over the window
                     h = oh·stride_h + kh - pad_top      for kh = 0 ... KH - 1
                     i = ow·stride_w + kw - pad_left     for kw = 0 ... KW - 1

Only pixels inside the image count. m is their number: KH·KW in the middle of the image, and fewer at its edge.

Write the backward. It gets the shape of x, because the elements of x are not needed, and returns dx of this shape.
Windows may overlap. First count m, then share the gradient.

    x_shape (N, H, W, C)     kernel = (KH, KW)                 pads = ((pad_top, pad_bottom), (pad_left, pad_right))
    dout (N, OH, OW, C)      stride = (stride_h, stride_w)

    dout = 2 4        x_shape = (1, 1, 3, 1), kernel = (1, 2), stride = (1, 1), no padding        dx = 1 3 2
"""

import numpy as np


def avgpool_backward(dout, x_shape, kernel, stride, pads):
    dx = np.zeros(x_shape)
    raise NotImplementedError
    return dx
