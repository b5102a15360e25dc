import numpy as np


def conv2d_backward_params(dout, x, w_shape, stride, pads, groups):
    kernel_h, kernel_w, depth, filters = w_shape
    padded = np.pad(x, ((0, 0), *pads, (0, 0)))
    dw = np.zeros(w_shape)
    db = np.zeros(filters)
    for n, oh, ow, f in np.ndindex(*dout.shape):
        first = f // (filters // groups) * depth
        top, left = oh * stride[0], ow * stride[1]
        window = padded[n, top : top + kernel_h, left : left + kernel_w, first : first + depth]
        dw[:, :, :, f] += dout[n, oh, ow, f] * window
        db[f] += dout[n, oh, ow, f]
    return dw, db
