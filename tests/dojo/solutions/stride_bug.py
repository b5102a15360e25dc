import numpy as np


def conv2d_backward_input(dout, w, x_shape, stride, pads, groups):
    depth, per_group = w.shape[2], w.shape[3] // groups
    dx = np.zeros(x_shape)
    for h, i, kh, kw in np.ndindex(x_shape[1], x_shape[2], w.shape[0], w.shape[1]):
        oh, rest_h = divmod(h + pads[0][0] - kh, stride[0])
        ow, rest_w = divmod(i + pads[1][0] - kw, stride[1])
        if rest_h == rest_w == 0 and 0 <= oh < dout.shape[1] and 0 <= ow < dout.shape[2]:
            for group in range(groups):
                channels = slice(group * depth, (group + 1) * depth)
                seen_by = slice(group * per_group, (group + 1) * per_group)
                dx[:, h, i, channels] += dout[:, oh, ow, seen_by] @ w[kh, kw, :, seen_by].T
    return dx
