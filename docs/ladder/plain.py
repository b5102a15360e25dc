"""Rung 1: the formula of docs/conv2d.md as seven loops over single elements, compiled, on one thread.

The innermost loop is over filters. They are adjacent in ``w``, ``out`` and ``dout``, so the compiler can take several
at once. ``backward_input`` sums over the filters, and the order of a sum stays as it is written. So its innermost loop
is over channels, of filters that are transposed beforehand. The padding is stored as zeros beforehand, so no index
needs a check. Limit of this rung: each multiply-add reads its elements from the cache, and writes its sum to the cache.
The unit that multiplies waits for them.
"""

from __future__ import annotations

import numpy as np

from tinyalexnet.devices.cpu.compiler import inner
from tinyalexnet.ops.padding import padded_zeros


def forward(x, w, b, window):
    out = np.empty((x.shape[0], *window.output_size(x.shape[1:3]), w.shape[3]), x.dtype)
    out[...] = b
    _forward(pad(x, window), w, window.stride, out)
    return out


def backward_input(dout, w, x_shape, window):
    dx, dpadded = padded_zeros(x_shape, window, dout.dtype)
    _backward_input(dout, np.ascontiguousarray(w.transpose(0, 1, 3, 2)), window.stride, dpadded)
    return np.ascontiguousarray(dx)


def backward_params(dout, x, window):
    dw = np.zeros((*window.kernel, x.shape[3], dout.shape[3]), x.dtype)
    _backward_params(dout, pad(x, window), window.stride, dw)
    return dw, dout.sum(axis=(0, 1, 2))


def pad(x, window):
    """The images with their padding around them."""
    inside, padded = padded_zeros(x.shape, window, x.dtype)
    inside[...] = x
    return padded


@inner
def _forward(padded, w, stride, out):
    for n in range(out.shape[0]):
        for oh in range(out.shape[1]):
            for ow in range(out.shape[2]):
                for kh in range(w.shape[0]):
                    for kw in range(w.shape[1]):
                        for c in range(w.shape[2]):
                            pixel = padded[n, oh * stride[0] + kh, ow * stride[1] + kw, c]
                            for f in range(w.shape[3]):
                                out[n, oh, ow, f] += pixel * w[kh, kw, c, f]


@inner
def _backward_input(dout, transposed, stride, dpadded):
    for n in range(dout.shape[0]):
        for oh in range(dout.shape[1]):
            for ow in range(dout.shape[2]):
                for kh in range(transposed.shape[0]):
                    for kw in range(transposed.shape[1]):
                        for f in range(transposed.shape[2]):
                            gradient = dout[n, oh, ow, f]
                            for c in range(transposed.shape[3]):
                                dpadded[n, oh * stride[0] + kh, ow * stride[1] + kw, c] += (
                                    gradient * transposed[kh, kw, f, c]
                                )


@inner
def _backward_params(dout, padded, stride, dw):
    for n in range(dout.shape[0]):
        for oh in range(dout.shape[1]):
            for ow in range(dout.shape[2]):
                for kh in range(dw.shape[0]):
                    for kw in range(dw.shape[1]):
                        for c in range(dw.shape[2]):
                            pixel = padded[n, oh * stride[0] + kh, ow * stride[1] + kw, c]
                            for f in range(dw.shape[3]):
                                dw[kh, kw, c, f] += pixel * dout[n, oh, ow, f]
