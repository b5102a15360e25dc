"""Groups in the backward: find the bug.

With groups, the channels of x and the filters are cut into `groups` slices of neighbours. The filters of a group see
the channels of the same group alone. So each group is a convolution of its own: the first one takes the first slice of
channels, and gives the first slice of out.

The backward below computes dx of each group, and joins the parts. With one group it is right. Find the mistake and mend
it.

    dout (N, OH, OW, F)       dx has x_shape = (N, H, W, C)      pads = ((top, bottom), (left, right))
    w (KH, KW, depth, F)      stride = (stride_h, stride_w)      C = groups · depth
"""

import numpy as np


def conv2d_backward_input(dout, w, x_shape, stride, pads, groups):
    douts = np.split(dout, groups, axis=3)
    kernels = np.split(w, groups, axis=3)
    parts = []
    while douts:
        parts.append(part_of_one_group(douts.pop(), kernels.pop(), x_shape, stride, pads))
    return np.concatenate(parts, axis=3)


def part_of_one_group(dout, w, x_shape, stride, pads):
    part = np.zeros((*x_shape[:3], w.shape[2]))
    for oh, ow, kh, kw in np.ndindex(*dout.shape[1:3], *w.shape[:2]):
        h = oh * stride[0] + kh - pads[0][0]
        i = ow * stride[1] + kw - pads[1][0]
        if 0 <= h < x_shape[1] and 0 <= i < x_shape[2]:
            part[:, h, i] += dout[:, oh, ow] @ w[kh, kw].T
    return part
