import numpy as np


def depthwise_backward_input(dout, w, x_shape, stride, pads):
    kernel_h, kernel_w, channels = w.shape
    (top, bottom), (left, right) = pads
    dx = np.zeros((x_shape[0], top + x_shape[1] + bottom, left + x_shape[2] + right, channels))
    for oh, ow, kh, kw in np.ndindex(dout.shape[1], dout.shape[2], kernel_h, kernel_w):
        products = dout[:, oh, ow, :] * w[kh, kw, :]
        dx[:, oh * stride[0] + kh, ow * stride[1] + kw, :] += products
    return dx[:, top : top + x_shape[1], left : left + x_shape[2], :].copy()
