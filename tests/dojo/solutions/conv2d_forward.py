import numpy as np


def conv2d_forward(x, w, b, stride, pads, groups):
    kernel_h, kernel_w, depth, filters = w.shape
    padded = np.pad(x, ((0, 0), *pads, (0, 0)))
    tops = range(0, padded.shape[1] - kernel_h + 1, stride[0])
    lefts = range(0, padded.shape[2] - kernel_w + 1, stride[1])
    out = np.zeros((len(x), len(tops), len(lefts), filters))
    for n, oh, ow, f in np.ndindex(*out.shape):
        first = f // (filters // groups) * depth
        top, left = tops[oh], lefts[ow]
        window = padded[n, top : top + kernel_h, left : left + kernel_w, first : first + depth]
        out[n, oh, ow, f] = b[f] + np.sum(window * w[:, :, :, f])
    return out
