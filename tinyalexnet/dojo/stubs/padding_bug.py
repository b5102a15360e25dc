"""Padding in the backward: find the bug.

The forward of a convolution puts rows and columns of zeros around each image. Its windows go over this padded image:

    window (oh, ow):    padded row oh·stride_h + kh        padded column ow·stride_w + kw

The backward below first makes the gradient of the padded images. Each window adds its share. At the end it returns the
part that belongs to x. With no padding it is right. Find the mistake and mend it.

    dout (N, OH, OW, F)       dx has x_shape = (N, H, W, C)      pads = ((top, bottom), (left, right))
    w (KH, KW, depth, F)      stride = (stride_h, stride_w)
"""

import numpy as np


def conv2d_backward_input(dout, w, x_shape, stride, pads, groups):
    kernel_h, kernel_w, depth, filters = w.shape
    padded = np.zeros((x_shape[0], x_shape[1] + sum(pads[0]), x_shape[2] + sum(pads[1]), x_shape[3]))
    for n, oh, ow, f in np.ndindex(*dout.shape):
        rows = slice(oh * stride[0], oh * stride[0] + kernel_h)
        columns = slice(ow * stride[1], ow * stride[1] + kernel_w)
        group = f // (filters // groups)
        channels = slice(group * depth, (group + 1) * depth)
        padded[n, rows, columns, channels] += dout[n, oh, ow, f] * w[:, :, :, f]
    return padded[:, : x_shape[1], : x_shape[2], :]
