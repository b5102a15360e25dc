"""Rung 4: the blocks of rung 3 on all cores.

Changed: blocks are tasks of a parallel loop, each with its own block of the im2col matrix and BLAS on one thread.
It is faster by nearly the number of cores, because no two tasks write the same element. The forward needs nothing more.
In dx windows overlap within an image, so a task takes whole images. For dw all blocks add to the same sums, so each
task sums a slice of them for itself, and the partial sums are added in a fixed order. Limit of this rung: the number of
multiplications, at nearly the peak of the matrix product.
"""

from __future__ import annotations

import numba
import numpy as np
from blas import one_blas_thread
from blocked import BLOCK_PIXELS, add, backward_input_block, backward_params_block, block_rows, forward_block
from plain import pad

from tinyalexnet.devices.cpu.compiler import parallel
from tinyalexnet.ops.padding import padded_zeros

PARTIAL_SUMS = 16
"""Not the number of threads: so the result has the same bits on any machine's number of cores."""


def forward(x, w, b, window):
    out = np.empty((x.shape[0], *window.output_size(x.shape[1:3]), w.shape[3]), x.dtype)
    with one_blas_thread():
        _forward(pad(x, window), w.reshape(-1, w.shape[3]), b, window.kernel, window.stride, block_rows(out), out)
    return out


def backward_input(dout, w, x_shape, window):
    dx, dpadded = padded_zeros(x_shape, window, dout.dtype)
    images = max(1, BLOCK_PIXELS // (dout.shape[1] * dout.shape[2]))
    w = w.reshape(-1, w.shape[3])
    with one_blas_thread():
        _backward_input(dout, w, window.kernel, window.stride, images, block_rows(dout), dpadded)
    return np.ascontiguousarray(dx)


def backward_params(dout, x, window):
    (kernel_h, kernel_w), channels, filters = window.kernel, x.shape[3], dout.shape[3]
    block = block_rows(dout)
    blocks = -(-dout.shape[0] * dout.shape[1] // block)
    slices = min(PARTIAL_SUMS, blocks)
    dw = np.empty((slices, kernel_h * kernel_w * channels, filters), x.dtype)
    db = np.empty((slices, filters), x.dtype)
    with one_blas_thread():
        _backward_params(dout, pad(x, window), window.kernel, window.stride, block, blocks, dw, db)
    return dw[0].reshape(kernel_h, kernel_w, channels, filters), db.sum(axis=0)


@parallel
def _forward(padded, w, b, kernel, stride, block, out):
    rows = out.shape[0] * out.shape[1]
    for task in numba.prange((rows + block - 1) // block):
        first = task * block
        forward_block(padded, w, b, kernel, stride, first, min(first + block, rows), out)


@parallel
def _backward_input(dout, w, kernel, stride, images, block, dpadded):
    n, out_h, _, _ = dout.shape
    for task in numba.prange((n + images - 1) // images):
        end = min((task + 1) * images, n) * out_h
        for first in range(task * images * out_h, end, block):
            backward_input_block(dout, w, kernel, stride, first, min(first + block, end), dpadded)


@parallel
def _backward_params(dout, padded, kernel, stride, block, blocks, dw, db):
    rows = dout.shape[0] * dout.shape[1]
    slices, depth, _ = dw.shape
    for number in numba.prange(slices):
        dw[number] = 0
        db[number] = 0
        for index in range(blocks * number // slices, blocks * (number + 1) // slices):
            first = index * block
            last = min(first + block, rows)
            backward_params_block(dout, padded, kernel, stride, first, last, dw[number], db[number])
    for row in numba.prange(depth):
        for number in range(1, slices):
            add(dw[0, row], dw[number, row])
