"""Rung 3: im2col of one block of output pixels at a time, compiled, on one thread.

Changed: the rows of the im2col matrix are made for some hundred output pixels, multiplied, and dropped before the
next block is made. It is faster, because a block is still in the cache when BLAS reads it: the large matrix never
exists. Limit of this rung: the number of multiplications, all of them on one core.

A block is a slice of the output rows; row ``oh`` of image ``n`` is row ``n * OH + oh``. The next rung also uses the
three functions for one block.
"""

from __future__ import annotations

import numpy as np
from blas import one_blas_thread
from plain import pad

from tinyalexnet.devices.cpu.compiler import inner
from tinyalexnet.ops.padding import padded_zeros

BLOCK_PIXELS = 448
"""Rows of one matrix product: enough to keep it near its peak, few enough for a block to stay in the cache."""


def forward(x, w, b, window):
    out = np.empty((x.shape[0], *window.output_size(x.shape[1:3]), w.shape[3]), x.dtype)
    with one_blas_thread():
        _forward(pad(x, window), w.reshape(-1, w.shape[3]), b, window.kernel, window.stride, block_rows(out), out)
    return out


def backward_input(dout, w, x_shape, window):
    dx, dpadded = padded_zeros(x_shape, window, dout.dtype)
    with one_blas_thread():
        _backward_input(dout, w.reshape(-1, w.shape[3]), window.kernel, window.stride, block_rows(dout), dpadded)
    return np.ascontiguousarray(dx)


def backward_params(dout, x, window):
    kernel_h, kernel_w = window.kernel
    dw = np.zeros((kernel_h * kernel_w * x.shape[3], dout.shape[3]), x.dtype)
    db = np.zeros(dout.shape[3], x.dtype)
    with one_blas_thread():
        _backward_params(dout, pad(x, window), window.kernel, window.stride, block_rows(dout), dw, db)
    return dw.reshape(kernel_h, kernel_w, x.shape[3], dout.shape[3]), db


def block_rows(out):
    """Output rows of one block."""
    return max(1, BLOCK_PIXELS // out.shape[2])


@inner
def _forward(padded, w, b, kernel, stride, block, out):
    rows = out.shape[0] * out.shape[1]
    for first in range(0, rows, block):
        forward_block(padded, w, b, kernel, stride, first, min(first + block, rows), out)


@inner
def _backward_input(dout, w, kernel, stride, block, dpadded):
    rows = dout.shape[0] * dout.shape[1]
    for first in range(0, rows, block):
        backward_input_block(dout, w, kernel, stride, first, min(first + block, rows), dpadded)


@inner
def _backward_params(dout, padded, kernel, stride, block, dw, db):
    rows = dout.shape[0] * dout.shape[1]
    for first in range(0, rows, block):
        backward_params_block(dout, padded, kernel, stride, first, min(first + block, rows), dw, db)


@inner
def forward_block(padded, w, b, kernel, stride, first, last, out):
    """Output rows ``first`` up to ``last``."""
    cols = im2col(padded, kernel, stride, out.shape, first, last)
    out_block = pixels(out, first, last)
    np.dot(cols, w, out_block)
    for pixel in range(len(out_block)):
        add(out_block[pixel], b)


@inner
def backward_input_block(dout, w, kernel, stride, first, last, dpadded):
    """Adds the gradient of output rows ``first`` up to ``last`` to ``dpadded``."""
    dout_block = pixels(dout, first, last)
    dcols = np.empty((len(dout_block), len(w)), dout.dtype)
    np.dot(dout_block, w.T, dcols)
    col2im(dcols, kernel, stride, dout.shape, first, last, dpadded)


@inner
def backward_params_block(dout, padded, kernel, stride, first, last, dw, db):
    """Adds to ``dw`` and ``db`` the share of output rows ``first`` up to ``last``."""
    cols = im2col(padded, kernel, stride, dout.shape, first, last)
    dout_block = pixels(dout, first, last)
    product = np.empty_like(dw)
    np.dot(cols.T, dout_block, product)
    add(dw.reshape(-1), product.reshape(-1))
    for pixel in range(len(dout_block)):
        add(db, dout_block[pixel])


@inner
def pixels(out, first, last):
    """Output rows ``first`` up to ``last`` as a matrix with a row for each pixel."""
    n, out_h, out_w, filters = out.shape
    return out.reshape(n * out_h * out_w, filters)[first * out_w : last * out_w]


@inner
def im2col(padded, kernel, stride, out_shape, first, last):
    """A row for each output pixel: the KH*KW*C elements of its window."""
    (n, height, width, channels), (_, out_h, out_w, _) = padded.shape, out_shape
    lines = padded.reshape(n, height, width * channels)
    length = kernel[1] * channels
    cols = np.empty(((last - first) * out_w, kernel[0] * length), padded.dtype)
    for row in range(first, last):
        image, oh = divmod(row, out_h)
        for kh in range(kernel[0]):
            for ow in range(out_w):
                # The pixels that one row of the kernel meets are neighbours in memory: one copy moves them all.
                start = ow * stride[1] * channels
                source = lines[image, oh * stride[0] + kh, start : start + length]
                target = cols[(row - first) * out_w + ow, kh * length : (kh + 1) * length]
                for i in range(length):
                    target[i] = source[i]
    return cols


@inner
def col2im(dcols, kernel, stride, out_shape, first, last, dpadded):
    """The adjoint of ``im2col``: the gradients of the copies of a pixel are added up."""
    (n, height, width, channels), (_, out_h, out_w, _) = dpadded.shape, out_shape
    lines = dpadded.reshape(n, height, width * channels)
    length = kernel[1] * channels
    for row in range(first, last):
        image, oh = divmod(row, out_h)
        for kh in range(kernel[0]):
            for ow in range(out_w):
                start = ow * stride[1] * channels
                source = dcols[(row - first) * out_w + ow, kh * length : (kh + 1) * length]
                add(lines[image, oh * stride[0] + kh, start : start + length], source)


@inner
def add(target, source):
    for i in range(target.size):
        target[i] += source[i]
