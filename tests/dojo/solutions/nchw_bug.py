import numpy as np


def conv2d_nchw_forward(x, w, b, stride, pads):
    filters, _, kernel_h, kernel_w = w.shape
    images = np.pad(x.transpose(0, 2, 3, 1), ((0, 0), pads[0], pads[1], (0, 0)))
    kernels = w.transpose(2, 3, 1, 0)
    out_h = (images.shape[1] - kernel_h) // stride[0] + 1
    out_w = (images.shape[2] - kernel_w) // stride[1] + 1
    out = np.zeros((x.shape[0], out_h, out_w, filters))
    for oh, ow in np.ndindex(out_h, out_w):
        top, left = oh * stride[0], ow * stride[1]
        window = images[:, top : top + kernel_h, left : left + kernel_w, :]
        out[:, oh, ow, :] = b + np.tensordot(window, kernels, axes=3)
    return out.transpose(0, 3, 1, 2).copy()
