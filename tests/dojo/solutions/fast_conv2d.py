import numpy as np


def conv2d_forward(x, w, b, stride, pads, groups):
    kernel_h, kernel_w, depth, filters = w.shape
    padded = np.pad(x, ((0, 0), pads[0], pads[1], (0, 0)))
    out_h = (padded.shape[1] - kernel_h) // stride[0] + 1
    out_w = (padded.shape[2] - kernel_w) // stride[1] + 1
    out = np.zeros((x.shape[0], out_h, out_w, filters)) + b
    each = filters // groups
    for kh, kw in np.ndindex(kernel_h, kernel_w):
        rows = slice(kh, kh + out_h * stride[0], stride[0])
        columns = slice(kw, kw + out_w * stride[1], stride[1])
        pixels = padded[:, rows, columns]
        for group in range(groups):
            mine = slice(group * each, (group + 1) * each)
            out[..., mine] += pixels[..., group * depth : (group + 1) * depth] @ w[kh, kw, :, mine]
    return out
