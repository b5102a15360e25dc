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
    top, left = pads[0][0], pads[1][0]
    return padded[:, top : top + x_shape[1], left : left + x_shape[2], :]
