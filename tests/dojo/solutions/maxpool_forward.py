import numpy as np


def maxpool_forward(x, kernel, stride, pads):
    n, height, width, channels = x.shape
    tops = range(-pads[0][0], height + pads[0][1] - kernel[0] + 1, stride[0])
    lefts = range(-pads[1][0], width + pads[1][1] - kernel[1] + 1, stride[1])
    out = np.zeros((n, len(tops), len(lefts), channels))
    for oh, top in enumerate(tops):
        for ow, left in enumerate(lefts):
            window = x[:, max(top, 0) : top + kernel[0], max(left, 0) : left + kernel[1]]
            out[:, oh, ow] = window.max(axis=(1, 2))
    return out
