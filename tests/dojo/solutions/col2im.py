import numpy as np


def col2im(columns, x_shape, kernel, stride, pads):
    n, height, width, c = x_shape
    (top, bottom), (left, right) = pads
    out_h = (height + top + bottom - kernel[0]) // stride[0] + 1
    out_w = (width + left + right - kernel[1]) // stride[1] + 1
    padded = np.zeros((n, top + height + bottom, left + width + right, c))
    windows = columns.reshape(n, out_h, out_w, kernel[0], kernel[1], c)
    for oh, ow, kh, kw in np.ndindex(out_h, out_w, kernel[0], kernel[1]):
        h = oh * stride[0] + kh
        i = ow * stride[1] + kw
        padded[:, h, i, :] += windows[:, oh, ow, kh, kw, :]
    return padded[:, top : top + height, left : left + width, :].copy()
