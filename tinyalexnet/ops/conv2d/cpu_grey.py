"""The convolution of images with one channel, compiled: the transpose of im2col, and a matrix product.

A row of im2col has the window of one pixel: here KW numbers from each of KH rows of the image, copied one by one. A row
of its transpose has one number of every window. At stride 1 these are neighbours in the image, whole rows of it.
"""

import numba
import numpy as np
from numba import types

from ...devices.cpu.by_name import by_name
from ...devices.cpu.compiler import parallel, slice_bounds
from ...devices.cpu.copies import clear_elements, copy_elements
from ...devices.cpu.memory import empty
from ...devices.cpu.panels import add_panel_product
from ...devices.cpu.recording import contiguous, made
from ...devices.cpu.threads import products
from ...geometry import Window
from .cpu_tasks import PARTIAL_SUMS, add_rows_to, add_to_rows, placement, rows_per_block


def conv2d_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, window: Window) -> np.ndarray:
    """Schedule: that of ``cpu.py``, parallel over blocks of output rows."""
    images, matrix = contiguous(x)[..., 0], contiguous(w).reshape(-1, w.shape[3])
    out = empty((x.shape[0], *window.output_size(x.shape[1:3]), w.shape[3]), x.dtype)
    with products(out.size * matrix.shape[0]):
        _forward(images, matrix, contiguous(b), *placement(window, x.shape[1:3]), rows_per_block(out.shape), out)
    return out


def conv2d_backward_params(dout: np.ndarray, x: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Schedule: that of ``cpu.py``, parallel over slices of the blocks, whose partial sums are added in order."""
    gradient, images = contiguous(dout), contiguous(x)[..., 0]
    block = rows_per_block(dout.shape)
    blocks = -(-dout.shape[0] * dout.shape[1] // block)
    partial_dw = empty((min(PARTIAL_SUMS, blocks), window.kernel[0] * window.kernel[1], dout.shape[3]), x.dtype)
    partial_db = empty((len(partial_dw), dout.shape[3]), x.dtype)
    with products(gradient.size * partial_dw.shape[1]):
        _backward_params(gradient, images, *placement(window, x.shape[1:3]), block, blocks, partial_dw, partial_db)
    dw, db = made(np.add.reduce, partial_dw, 0), made(np.add.reduce, partial_db, 0)
    return dw.reshape(*window.kernel, 1, dout.shape[3]), db


@by_name(lambda real: (types.Array(real, 3, "C"), *5 * [types.UniTuple(types.intp, 2)], types.Array(real, 2, "C")))
def _transposed_im2col(x, out_rows, out_size, kernel, stride, pad, rows):  # type: ignore[no-untyped-def]
    """Row kh * KW + kw of ``rows``: pixel (kh, kw) of the windows of the output rows from the first up to the last."""
    _, height, width = x.shape
    (first, last), (out_h, out_w) = out_rows, out_size
    pixels, target = x.reshape(-1), rows.reshape(-1)
    for kh in range(kernel[0]):
        for kw in range(kernel[1]):
            # Output columns whose window has its pixel kw inside the image.
            left = kw - pad[1]
            low = min(max((stride[1] - 1 - left) // stride[1], 0), out_w)
            high = max(min((width - 1 - left) // stride[1] + 1, out_w), low)
            for row in range(first, last):
                image, oh = divmod(row, out_h)
                h = oh * stride[0] + kh - pad[0]
                at = (kh * kernel[1] + kw) * rows.shape[1] + (row - first) * out_w
                if not 0 <= h < height:
                    clear_elements(target, at, out_w)
                    continue
                source = (image * height + h) * width + left
                clear_elements(target, at, low)
                if stride[1] == 1:
                    copy_elements(pixels, source + low, target, at + low, high - low)
                else:
                    for i in range(low, high):
                        target[at + i] = pixels[source + i * stride[1]]
                clear_elements(target, at + high, out_w - high)


@parallel
def _forward(x, w, b, kernel, stride, pad, block, out):  # type: ignore[no-untyped-def]
    n, out_h, out_w, filters = out.shape
    rows = n * out_h
    out_pixels = out.reshape(rows * out_w, filters)
    for task in numba.prange((rows + block - 1) // block):
        first = task * block
        last = min(first + block, rows)
        windows = np.empty((w.shape[0], (last - first) * out_w), x.dtype)
        _transposed_im2col(x, (first, last), (out_h, out_w), kernel, stride, pad, windows)
        out_block = out_pixels[first * out_w : last * out_w]
        add_panel_product(windows.T, w, False, out_block)
        add_to_rows(out_block, b)


@parallel
def _backward_params(dout, x, kernel, stride, pad, block, blocks, partial_dw, partial_db):  # type: ignore[no-untyped-def]
    n, out_h, out_w, filters = dout.shape
    rows = n * out_h
    dout_pixels = dout.reshape(rows * out_w, filters)
    slices, depth, _ = partial_dw.shape
    for index in numba.prange(slices):
        partial_db[index] = 0
        begin, end = slice_bounds(np.intp(index), slices, blocks)
        for number in range(begin, end):
            first = number * block
            last = min(first + block, rows)
            windows = np.empty((depth, (last - first) * out_w), x.dtype)
            _transposed_im2col(x, (first, last), (out_h, out_w), kernel, stride, pad, windows)
            dout_block = dout_pixels[first * out_w : last * out_w]
            add_panel_product(windows, dout_block, number > begin, partial_dw[index])
            add_rows_to(partial_db[index], dout_block)
