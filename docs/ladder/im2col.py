"""Rung 2: one matrix product instead of the loops, on one thread.

Changed: ``im2col`` copies the window under each output pixel into a row of a matrix. The convolution is then that
matrix times the filters, and BLAS computes it (docs/conv2d.md). It is faster, because BLAS keeps a small block of the
result in registers and uses each loaded element many times. Limit of this rung: if the stride is 1, the matrix is KH*KW
times the batch. It is written to memory and read again, and does not fit any cache.
"""

from __future__ import annotations

import numpy as np
from blas import one_blas_thread
from plain import pad

from tinyalexnet.ops.padding import padded_zeros


def forward(x, w, b, window):
    cols = im2col(x, window)
    with one_blas_thread():
        out = cols @ w.reshape(-1, w.shape[3])
    out += b
    return out.reshape(x.shape[0], *window.output_size(x.shape[1:3]), w.shape[3])


def backward_input(dout, w, x_shape, window):
    filters = w.shape[3]
    with one_blas_thread():
        dcols = dout.reshape(-1, filters) @ w.reshape(-1, filters).T
    return col2im(dcols, x_shape, window)


def backward_params(dout, x, window):
    filters = dout.shape[3]
    cols = im2col(x, window)
    with one_blas_thread():
        dw = cols.T @ dout.reshape(-1, filters)
    return dw.reshape(*window.kernel, x.shape[3], filters), dout.sum(axis=(0, 1, 2))


def im2col(x, window):
    """A row for each output pixel: the KH*KW*C elements of its window."""
    out_size, channels = window.output_size(x.shape[1:3]), x.shape[3]
    padded = pad(x, window)
    cols = np.empty((x.shape[0], *out_size, *window.kernel, channels), x.dtype)
    for kh, kw, rows, columns in window.positions(out_size):
        cols[:, :, :, kh, kw] = padded[:, rows, columns]
    return cols.reshape(-1, window.kernel[0] * window.kernel[1] * channels)


def col2im(dcols, x_shape, window):
    """The adjoint of ``im2col``: the gradients of the copies of a pixel are added up."""
    out_size = window.output_size(x_shape[1:3])
    by_position = dcols.reshape(x_shape[0], *out_size, *window.kernel, x_shape[3])
    dx, dpadded = padded_zeros(x_shape, window, dcols.dtype)
    for kh, kw, rows, columns in window.positions(out_size):
        dpadded[:, rows, columns] += by_position[:, :, :, kh, kw]
    return np.ascontiguousarray(dx)
