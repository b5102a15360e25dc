import numpy as np


def conv2d_backward_input(dout, w, x_shape, stride, pads, groups):
    kernel_h, kernel_w, depth, filters = w.shape
    dx = np.zeros(x_shape)
    for n, oh, ow, f in np.ndindex(*dout.shape):
        first = f // (filters // groups) * depth
        for kh, kw in np.ndindex(kernel_h, kernel_w):
            h = oh * stride[0] + kh - pads[0][0]
            i = ow * stride[1] + kw - pads[1][0]
            if 0 <= h < x_shape[1] and 0 <= i < x_shape[2]:
                dx[n, h, i, first : first + depth] += dout[n, oh, ow, f] * w[kh, kw, :, f]
    return dx
