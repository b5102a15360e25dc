import numpy as np


def im2col(x, kernel, stride, pads):
    padded = np.pad(x, ((0, 0), pads[0], pads[1], (0, 0)))
    out_h = (padded.shape[1] - kernel[0]) // stride[0] + 1
    out_w = (padded.shape[2] - kernel[1]) // stride[1] + 1
    windows = np.zeros((x.shape[0], out_h, out_w, kernel[0], kernel[1], x.shape[3]))
    for oh, ow in np.ndindex(out_h, out_w):
        h, i = oh * stride[0], ow * stride[1]
        windows[:, oh, ow] = padded[:, h : h + kernel[0], i : i + kernel[1]]
    return windows.reshape(-1, kernel[0] * kernel[1] * x.shape[3])
