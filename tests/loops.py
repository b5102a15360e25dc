"""The oracle: convolution, pools, LRN and dense layer as plain loops over single elements, straight from the formula.

It shares no code with the package.
"""

from __future__ import annotations

import numpy as np


def conv2d_forward(x, w, b, stride, pads, groups, out_size):
    """Each output as the sum over its window; pixels outside the image count as 0."""
    batch, height, width, _ = x.shape
    kernel_h, kernel_w, group_channels, filters = w.shape
    out = np.zeros((batch, *out_size, filters), x.dtype)
    for n, oh, ow, f in np.ndindex(*out.shape):
        first_channel = f // (filters // groups) * group_channels
        total = b[f]
        for kh, kw, c in np.ndindex(kernel_h, kernel_w, group_channels):
            h, i = oh * stride[0] + kh - pads[0][0], ow * stride[1] + kw - pads[1][0]
            if 0 <= h < height and 0 <= i < width:
                total += x[n, h, i, first_channel + c] * w[kh, kw, c, f]
        out[n, oh, ow, f] = total
    return out


def conv2d_backward(x, w, dout, stride, pads, groups):
    """dx, dw and db: each multiplication of the forward hands dout to both of its factors."""
    _, height, width, _ = x.shape
    kernel_h, kernel_w, group_channels, filters = w.shape
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros(filters, x.dtype)
    for n, oh, ow, f in np.ndindex(*dout.shape):
        first_channel = f // (filters // groups) * group_channels
        gradient = dout[n, oh, ow, f]
        db[f] += gradient
        for kh, kw, c in np.ndindex(kernel_h, kernel_w, group_channels):
            h, i = oh * stride[0] + kh - pads[0][0], ow * stride[1] + kw - pads[1][0]
            if 0 <= h < height and 0 <= i < width:
                dx[n, h, i, first_channel + c] += gradient * w[kh, kw, c, f]
                dw[kh, kw, c, f] += gradient * x[n, h, i, first_channel + c]
    return dx, dw, db


def maxpool(x, dout, kernel, stride, pads):
    """out, argmax and dx of a max-pool."""
    _, height, width, _ = x.shape
    out, argmax, dx = np.zeros_like(dout), np.zeros(dout.shape, int), np.zeros_like(x)
    for n, oh, ow, c in np.ndindex(*dout.shape):
        best = None
        for kh, kw in np.ndindex(*kernel):
            h, i = oh * stride[0] + kh - pads[0][0], ow * stride[1] + kw - pads[1][0]
            if not (0 <= h < height and 0 <= i < width):
                continue
            value = x[n, h, i, c]
            if best is None or value > out[n, oh, ow, c] or (np.isnan(value) and not np.isnan(out[n, oh, ow, c])):
                best, out[n, oh, ow, c], argmax[n, oh, ow, c] = (h, i), value, kh * kernel[1] + kw
        dx[n, best[0], best[1], c] += dout[n, oh, ow, c]
    return out, argmax, dx


def avgpool(x, dout, kernel, stride, pads):
    """out and dx of an average-pool; padding is not counted."""
    _, height, width, _ = x.shape
    out, dx = np.zeros_like(dout), np.zeros_like(x)
    for n, oh, ow, c in np.ndindex(*dout.shape):
        inside = []
        for kh, kw in np.ndindex(*kernel):
            h, i = oh * stride[0] + kh - pads[0][0], ow * stride[1] + kw - pads[1][0]
            if 0 <= h < height and 0 <= i < width:
                inside.append((h, i))
        for h, i in inside:
            out[n, oh, ow, c] += x[n, h, i, c]
            dx[n, h, i, c] += dout[n, oh, ow, c] / len(inside)
        out[n, oh, ow, c] /= len(inside)
    return out, dx


def lrn(x, dout, radius, bias, alpha, beta):
    """out, scale and dx: each divisor hands a gradient to every number in it."""
    channels = x.shape[3]
    out, scale, dx = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    for n, h, i, c in np.ndindex(*x.shape):
        window = range(max(c - radius, 0), min(c + radius + 1, channels))
        scale[n, h, i, c] = bias + alpha * sum(x[n, h, i, k] ** 2 for k in window)
        out[n, h, i, c] = x[n, h, i, c] / scale[n, h, i, c] ** beta
        dx[n, h, i, c] += dout[n, h, i, c] / scale[n, h, i, c] ** beta
        dscale = -beta * dout[n, h, i, c] * x[n, h, i, c] / scale[n, h, i, c] ** (beta + 1)
        for k in window:
            dx[n, h, i, k] += dscale * alpha * 2 * x[n, h, i, k]
    return out, scale, dx


def dense(x, w, b, dout):
    """out, dx, dw and db: each multiplication hands dout to both of its factors."""
    out, dx, dw, db = np.zeros_like(dout), np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    for n, f in np.ndindex(*dout.shape):
        out[n, f] = b[f]
        db[f] += dout[n, f]
        for c in range(x.shape[1]):
            out[n, f] += x[n, c] * w[c, f]
            dx[n, c] += dout[n, f] * w[c, f]
            dw[c, f] += dout[n, f] * x[n, c]
    return out, dx, dw, db
