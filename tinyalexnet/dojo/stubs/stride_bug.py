"""A stride above 1: find the bug.

In the forward of a convolution, output pixel (oh, ow) reads at kernel position (kh, kw) this pixel of the image:

    h = oh·stride_h + kh - pad_top        i = ow·stride_w + kw - pad_left

The backward below asks the other way round. For each pixel (h, i) and kernel position (kh, kw), it looks for the output
(oh, ow) that reads this pixel there, and adds its gradient to dx. With a stride of (1, 1) it is right. Find the mistake
and mend it.

    dout (N, OH, OW, F)       dx has x_shape = (N, H, W, C)      pads = ((pad_top, pad_bottom), (pad_left, pad_right))
    w (KH, KW, depth, F)      stride = (stride_h, stride_w)

The slices of channels and filters are those of a group. They are right.
"""

import numpy as np


def conv2d_backward_input(dout, w, x_shape, stride, pads, groups):
    depth, per_group = w.shape[2], w.shape[3] // groups
    dx = np.zeros(x_shape)
    for h, i, kh, kw in np.ndindex(x_shape[1], x_shape[2], w.shape[0], w.shape[1]):
        oh = h + pads[0][0] - kh
        ow = i + pads[1][0] - kw
        if 0 <= oh < dout.shape[1] and 0 <= ow < dout.shape[2]:
            for group in range(groups):
                channels = slice(group * depth, (group + 1) * depth)
                seen_by = slice(group * per_group, (group + 1) * per_group)
                dx[:, h, i, channels] += dout[:, oh, ow, seen_by] @ w[kh, kw, :, seen_by].T
    return dx
