import numpy as np


def conv2d_backward_input(dout, w, x_shape, stride, pads, groups):
    douts = np.split(dout, groups, axis=3)
    kernels = np.split(w, groups, axis=3)
    parts = []
    while douts:
        parts.append(part_of_one_group(douts.pop(0), kernels.pop(0), x_shape, stride, pads))
    return np.concatenate(parts, axis=3)


def part_of_one_group(dout, w, x_shape, stride, pads):
    part = np.zeros((*x_shape[:3], w.shape[2]))
    for oh, ow, kh, kw in np.ndindex(*dout.shape[1:3], *w.shape[:2]):
        h = oh * stride[0] + kh - pads[0][0]
        i = ow * stride[1] + kw - pads[1][0]
        if 0 <= h < x_shape[1] and 0 <= i < x_shape[2]:
            part[:, h, i] += dout[:, oh, ow] @ w[kh, kw].T
    return part
