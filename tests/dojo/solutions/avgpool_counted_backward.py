import numpy as np


def avgpool_counted_backward(dout, x_shape, kernel, stride, pads):
    (top, bottom), (left, right) = pads
    dx = np.zeros((x_shape[0], top + x_shape[1] + bottom, left + x_shape[2] + right, x_shape[3]))
    for oh, ow in np.ndindex(*dout.shape[1:3]):
        h, i = oh * stride[0], ow * stride[1]
        share = dout[:, oh, ow] / (kernel[0] * kernel[1])
        dx[:, h : h + kernel[0], i : i + kernel[1]] += share[:, np.newaxis, np.newaxis]
    return dx[:, top : top + x_shape[1], left : left + x_shape[2]].copy()
