import numpy as np


def dilated_conv2d_backward_input(dout, w, x_shape, stride, pads, dilation):
    (top, bottom), (left, right) = pads
    dx = np.zeros((x_shape[0], top + x_shape[1] + bottom, left + x_shape[2] + right, x_shape[3]))
    for oh, ow, kh, kw in np.ndindex(*dout.shape[1:3], *w.shape[:2]):
        h, i = oh * stride[0] + kh * dilation[0], ow * stride[1] + kw * dilation[1]
        dx[:, h, i] += dout[:, oh, ow] @ w[kh, kw].T
    return dx[:, top : top + x_shape[1], left : left + x_shape[2]].copy()
