"""Every subject of the bestiary as plain loops, straight from its formula. They share no code with the package."""

from __future__ import annotations

import math

import loops
import numpy as np

NONE = ((0, 0), (0, 0))


# --- the chain rule, and layers without a window ----------------------------------------------------------------------


def inner(a, b):
    return sum(float(x) * float(y) for x, y in zip(a.ravel(), b.ravel(), strict=True))


def square_sum_forward(x):
    return inner(x, x)


def square_sum_backward(dout, x):
    return np.array([2 * dout * value for value in x.ravel()]).reshape(x.shape)


def scale_forward(x, gain):
    return np.array([[gain[c] * row[c] for c in range(len(gain))] for row in x])


def scale_backward(dout, x, gain):
    dgain = [sum(dout[n, c] * x[n, c] for n in range(len(x))) for c in range(len(gain))]
    return scale_forward(dout, gain), np.array(dgain)


def dense_forward(x, w, b):
    return loops.dense(x, w, b, np.zeros((len(x), len(b))))[0]


def dense_backward(dout, x, w):
    return loops.dense(x, w, np.zeros(w.shape[1]), dout)[1:]


def relu_forward(x):
    return np.array([max(value, 0.0) for value in x.ravel()]).reshape(x.shape)


def relu_backward(dout, x):
    pairs = zip(dout.ravel(), x.ravel(), strict=True)
    return np.array([gradient if value > 0 else 0.0 for gradient, value in pairs]).reshape(x.shape)


def lrn_forward(x, radius, bias, alpha, beta):
    return loops.lrn(x, np.zeros_like(x), radius, bias, alpha, beta)[0]


def lrn_backward(dout, x, radius, bias, alpha, beta):
    return loops.lrn(x, dout, radius, bias, alpha, beta)[2]


def dropout_forward(x, kept, rate):
    pairs = zip(x.ravel(), kept.ravel(), strict=True)
    return np.array([value / (1 - rate) if keep else 0.0 for value, keep in pairs]).reshape(x.shape)


def dropout_backward(dout, kept, rate):
    return dropout_forward(dout, kept, rate)


def softmax_cross_entropy(logits, labels):
    loss, dlogits = 0.0, np.zeros_like(logits)
    for n, row in enumerate(logits):
        exponentials = [math.exp(value - max(row)) for value in row]
        loss -= math.log(exponentials[labels[n]] / sum(exponentials)) / len(logits)
        for k, value in enumerate(exponentials):
            dlogits[n, k] = (value / sum(exponentials) - (k == labels[n])) / len(logits)
    return loss, dlogits


def momentum_step(w, v, dw, rate, momentum, decay):
    new_w, new_v = np.zeros_like(w), np.zeros_like(v)
    for at in np.ndindex(*w.shape):
        new_v[at] = momentum * v[at] - rate * (decay * w[at] + dw[at])
        new_w[at] = w[at] + new_v[at]
    return new_w, new_v


# --- windows ----------------------------------------------------------------------------------------------------------


def output_size(size, kernel, stride, pads):
    """Counts the windows that fit, one by one."""
    return tuple(
        sum(1 for first in range(0, n + sum(p), s) if first + k <= n + sum(p))
        for n, k, s, p in zip(size, kernel, stride, pads, strict=True)
    )


def same_pads(size, kernel, stride):
    """Adds one pixel after the other, first after the image, until there are ceil(size / stride) windows."""
    pads = []
    for n, k, s in zip(size, kernel, stride, strict=True):
        before, after = 0, 0
        while before + n + after < (math.ceil(n / s) - 1) * s + k:
            before, after = (before + 1, after) if after > before else (before, after + 1)
        pads.append((before, after))
    return tuple(pads)


def out_shape(x, kernel, stride, pads, channels):
    return len(x), *output_size(x.shape[1:3], kernel, stride, pads), channels


def maxpool_forward(x, kernel, stride, pads):
    return loops.maxpool(x, np.zeros(out_shape(x, kernel, stride, pads, x.shape[3])), kernel, stride, pads)[0]


def maxpool_backward(dout, x, kernel, stride, pads):
    return loops.maxpool(x, dout, kernel, stride, pads)[2]


def avgpool_forward(x, kernel, stride, pads):
    return loops.avgpool(x, np.zeros(out_shape(x, kernel, stride, pads, x.shape[3])), kernel, stride, pads)[0]


def avgpool_backward(dout, x_shape, kernel, stride, pads):
    return loops.avgpool(np.zeros(x_shape), dout, kernel, stride, pads)[1]


def padded(x, pads):
    return np.pad(x, ((0, 0), *pads, (0, 0)))


def cropped(x, pads, size):
    return x[:, pads[0][0] : pads[0][0] + size[0], pads[1][0] : pads[1][0] + size[1]]


def avgpool_counted_forward(x, kernel, stride, pads):
    return avgpool_forward(padded(x, pads), kernel, stride, NONE)


def avgpool_counted_backward(dout, x_shape, kernel, stride, pads):
    shape = padded(np.zeros(x_shape), pads).shape
    return cropped(avgpool_backward(dout, shape, kernel, stride, NONE), pads, x_shape[1:3])


def im2col(x, kernel, stride, pads):
    images, rows = padded(x, pads), []
    for n, oh, ow in np.ndindex(*out_shape(x, kernel, stride, pads, 1)[:3]):
        top, left = oh * stride[0], ow * stride[1]
        rows.append(images[n, top : top + kernel[0], left : left + kernel[1]].ravel())
    return np.array(rows)


def col2im(columns, x_shape, kernel, stride, pads):
    dx = padded(np.zeros(x_shape), pads)
    outputs = np.ndindex(*out_shape(np.zeros(x_shape), kernel, stride, pads, 1)[:3])
    for row, (n, oh, ow) in zip(columns, outputs, strict=True):
        top, left = oh * stride[0], ow * stride[1]
        dx[n, top : top + kernel[0], left : left + kernel[1]] += row.reshape(*kernel, x_shape[3])
    return cropped(dx, pads, x_shape[1:3])


# --- convolutions -----------------------------------------------------------------------------------------------------


def conv1d_forward(x, w):
    return np.array([sum(x[o + k] * w[k] for k in range(len(w))) for o in range(len(x) - len(w) + 1)])


def conv1d_backward(dout, x, w):
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for o, k in np.ndindex(len(dout), len(w)):
        dx[o + k] += dout[o] * w[k]
        dw[k] += dout[o] * x[o + k]
    return dx, dw


def conv2d_forward(x, w, b, stride, pads, groups):
    return loops.conv2d_forward(x, w, b, stride, pads, groups, output_size(x.shape[1:3], w.shape[:2], stride, pads))


def conv2d_backward_input(dout, w, x_shape, stride, pads, groups):
    return loops.conv2d_backward(np.zeros(x_shape), w, dout, stride, pads, groups)[0]


def conv2d_backward_params(dout, x, w_shape, stride, pads, groups):
    return loops.conv2d_backward(x, np.zeros(w_shape), dout, stride, pads, groups)[1:]


def dilated_conv2d_forward(x, w, b, stride, pads, dilation):
    reach = [(k - 1) * d + 1 for k, d in zip(w.shape[:2], dilation, strict=True)]
    images = padded(x, pads)
    out = np.zeros(out_shape(x, reach, stride, pads, len(b)))
    for n, oh, ow, f in np.ndindex(*out.shape):
        out[n, oh, ow, f] = b[f]
        for kh, kw, c in np.ndindex(*w.shape[:3]):
            h, i = oh * stride[0] + kh * dilation[0], ow * stride[1] + kw * dilation[1]
            out[n, oh, ow, f] += images[n, h, i, c] * w[kh, kw, c, f]
    return out


def dilated_conv2d_backward_input(dout, w, x_shape, stride, pads, dilation):
    dx = padded(np.zeros(x_shape), pads)
    for n, oh, ow, f in np.ndindex(*dout.shape):
        for kh, kw, c in np.ndindex(*w.shape[:3]):
            h, i = oh * stride[0] + kh * dilation[0], ow * stride[1] + kw * dilation[1]
            dx[n, h, i, c] += dout[n, oh, ow, f] * w[kh, kw, c, f]
    return cropped(dx, pads, x_shape[1:3])


def conv2d_transpose_forward(x, w, stride, pads):
    n_images, height, width, _ = x.shape
    kernel_h, kernel_w, filters, _ = w.shape
    whole = np.zeros((n_images, (height - 1) * stride[0] + kernel_h, (width - 1) * stride[1] + kernel_w, filters))
    for n, h, i, c in np.ndindex(*x.shape):
        top, left = h * stride[0], i * stride[1]
        whole[n, top : top + kernel_h, left : left + kernel_w] += x[n, h, i, c] * w[..., c]
    return cropped(whole, pads, (whole.shape[1] - sum(pads[0]), whole.shape[2] - sum(pads[1])))


def conv2d_transpose_backward_input(dout, w, stride, pads):
    kernel, whole = w.shape[:2], padded(dout, pads)
    dx = np.zeros(out_shape(dout, kernel, stride, pads, w.shape[3]))
    for n, h, i, c in np.ndindex(*dx.shape):
        top, left = h * stride[0], i * stride[1]
        dx[n, h, i, c] = np.sum(whole[n, top : top + kernel[0], left : left + kernel[1]] * w[..., c])
    return dx


def depthwise_forward(x, w, stride, pads):
    images = padded(x, pads)
    out = np.zeros(out_shape(x, w.shape[:2], stride, pads, w.shape[2]))
    for n, oh, ow, c in np.ndindex(*out.shape):
        for kh, kw in np.ndindex(*w.shape[:2]):
            out[n, oh, ow, c] += images[n, oh * stride[0] + kh, ow * stride[1] + kw, c] * w[kh, kw, c]
    return out


def depthwise_backward_input(dout, w, x_shape, stride, pads):
    dx = padded(np.zeros(x_shape), pads)
    for n, oh, ow, c in np.ndindex(*dout.shape):
        for kh, kw in np.ndindex(*w.shape[:2]):
            dx[n, oh * stride[0] + kh, ow * stride[1] + kw, c] += dout[n, oh, ow, c] * w[kh, kw, c]
    return cropped(dx, pads, x_shape[1:3])


def torch_same_pads(kernel, dilation):
    """As PyTorch's ``_ConvNd``: the smaller half of dilation (kernel - 1) before."""
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)


def conv2d_nchw_forward(x, w, b, stride, pads):
    n_images, channels, *size = x.shape
    filters, _, *kernel = w.shape
    out = np.zeros((n_images, filters, *output_size(size, kernel, stride, pads)))
    for n, f, oh, ow in np.ndindex(*out.shape):
        out[n, f, oh, ow] = b[f]
        for c, kh, kw in np.ndindex(channels, *kernel):
            h, i = oh * stride[0] + kh - pads[0][0], ow * stride[1] + kw - pads[1][0]
            if 0 <= h < size[0] and 0 <= i < size[1]:
                out[n, f, oh, ow] += x[n, c, h, i] * w[f, c, kh, kw]
    return out


def conv2d_nchw_backward_input(dout, w, x_shape, stride, pads):
    dx = np.zeros(x_shape)
    for n, f, oh, ow in np.ndindex(*dout.shape):
        for c, kh, kw in np.ndindex(*w.shape[1:]):
            h, i = oh * stride[0] + kh - pads[0][0], ow * stride[1] + kw - pads[1][0]
            if 0 <= h < x_shape[2] and 0 <= i < x_shape[3]:
                dx[n, c, h, i] += dout[n, f, oh, ow] * w[f, c, kh, kw]
    return dx


def winograd_f23(x, w):
    return conv1d_forward(x, w)


# --- batch normalisation ----------------------------------------------------------------------------------------------


def batchnorm_forward(x, gamma, beta, epsilon):
    out = np.zeros_like(x)
    for n, c in np.ndindex(*x.shape):
        mean = sum(x[:, c]) / len(x)
        variance = sum((value - mean) ** 2 for value in x[:, c]) / len(x)
        out[n, c] = gamma[c] * (x[n, c] - mean) / math.sqrt(variance + epsilon) + beta[c]
    return out


def batchnorm_backward(dout, x, gamma, epsilon):
    """Through the variance, the mean and the element itself, as in Ioffe and Szegedy, 2015, section 3."""
    dx, dgamma, dbeta = np.zeros_like(x), np.zeros_like(gamma), np.zeros_like(gamma)
    for c in range(len(gamma)):
        centred = x[:, c] - sum(x[:, c]) / len(x)
        root = math.sqrt(sum(centred**2) / len(x) + epsilon)
        dnormalised = gamma[c] * dout[:, c]
        dvariance = sum(dnormalised * centred) * -0.5 / root**3
        dmean = sum(-dnormalised / root)
        dx[:, c] = dnormalised / root + dvariance * 2 * centred / len(x) + dmean / len(x)
        dgamma[c], dbeta[c] = sum(dout[:, c] * centred / root), sum(dout[:, c])
    return dx, dgamma, dbeta
