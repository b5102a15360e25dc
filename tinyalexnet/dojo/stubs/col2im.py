"""col2im, the backward of im2col: find the bug.

im2col copied each window of the images into a row of a matrix:

    row     (n, oh, ow)   one for each window
    column  (kh, kw, c)   one for each element of a window, the channel last
    value   x[n,h,i,c]    h = oh·stride_h + kh - pad_top
                          i = ow·stride_w + kw - pad_left

Its backward gets the gradient of that matrix, columns. A pixel that was copied several times gets the sum of the
gradients of all its copies.

    x 1 2 3, kernel = (1, 2):   im2col gave   1 2   for columns =  1 -2    dx = 1  (-2 + 3)  4
                                              2 3                  3  4

There is one mistake in the function below. Find it and mend it.

    columns (N·OH·OW, KH·KW·C)     kernel = (KH, KW)              pads = ((top, bottom), (left, right))
    dx has the shape x_shape       stride = (stride_h, stride_w)
"""

import numpy as np


def col2im(columns, x_shape, kernel, stride, pads):
    n, height, width, c = x_shape
    (top, bottom), (left, right) = pads
    out_h = (height + top + bottom - kernel[0]) // stride[0] + 1
    out_w = (width + left + right - kernel[1]) // stride[1] + 1
    padded = np.zeros((n, top + height + bottom, left + width + right, c))
    windows = columns.reshape(n, out_h, out_w, c, kernel[0], kernel[1])
    for oh, ow, kh, kw in np.ndindex(out_h, out_w, kernel[0], kernel[1]):
        h = oh * stride[0] + kh
        i = ow * stride[1] + kw
        padded[:, h, i, :] += windows[:, oh, ow, :, kh, kw]
    return padded[:, top : top + height, left : left + width, :].copy()
