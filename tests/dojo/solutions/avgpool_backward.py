import numpy as np


def avgpool_backward(dout, x_shape, kernel, stride, pads):
    dx = np.zeros(x_shape)
    for oh, ow in np.ndindex(*dout.shape[1:3]):
        top, left = oh * stride[0] - pads[0][0], ow * stride[1] - pads[1][0]
        window = dx[:, max(top, 0) : top + kernel[0], max(left, 0) : left + kernel[1]]
        window += dout[:, oh : oh + 1, ow : ow + 1] / (window.shape[1] * window.shape[2])
    return dx
