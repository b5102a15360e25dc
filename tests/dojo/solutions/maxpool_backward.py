import numpy as np


def maxpool_backward(dout, x, kernel, stride, pads):
    dx = np.zeros(x.shape)
    for n, oh, ow, c in np.ndindex(*dout.shape):
        largest = -np.inf
        for kh in range(kernel[0]):
            for kw in range(kernel[1]):
                h = oh * stride[0] + kh - pads[0][0]
                i = ow * stride[1] + kw - pads[1][0]
                inside = 0 <= h < x.shape[1] and 0 <= i < x.shape[2]
                if inside and x[n, h, i, c] > largest:
                    largest = x[n, h, i, c]
                    winner = h, i
        h, i = winner
        dx[n, h, i, c] += dout[n, oh, ow, c]
    return dx
