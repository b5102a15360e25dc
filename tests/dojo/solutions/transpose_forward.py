import numpy as np


def conv2d_transpose_forward(x, w, stride, pads):
    n, height, width, _ = x.shape
    kernel_h, kernel_w, filters, _ = w.shape
    whole_h, whole_w = (height - 1) * stride[0] + kernel_h, (width - 1) * stride[1] + kernel_w
    whole = np.zeros((n, whole_h, whole_w, filters))
    for h, i, kh, kw in np.ndindex(height, width, kernel_h, kernel_w):
        whole[:, h * stride[0] + kh, i * stride[1] + kw] += x[:, h, i] @ w[kh, kw].T
    (top, bottom), (left, right) = pads
    return whole[:, top : whole_h - bottom, left : whole_w - right].copy()
