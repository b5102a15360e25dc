"""The convolution as blocked im2col and matrix product, compiled.

``im2col`` writes the window under each output pixel as one row of a matrix. The convolution and both of its adjoints
are then matrix products with the filters as a (KH*KW*C, F) matrix W:

    out  = im2col(x) W          dx = col2im(dout Wᵀ)          dw = im2col(x)ᵀ dout

At stride 1 the whole im2col matrix would be KH*KW times the batch. So each task makes it for a block of output pixels,
multiplies that, and goes on to the next block. Blocks depend on the shapes alone, never on the number of threads, and
so does every rounding error. A grouped convolution is one separate convolution after the other, on copied slices of the
channels. Grey images have a matrix the other way round: ``cpu_grey``.
"""

import numba
import numpy as np

from ...devices.cpu.compiler import inner, parallel, slice_bounds
from ...devices.cpu.gemm import add_product
from ...devices.cpu.memory import empty
from ...devices.cpu.threads import products
from ...geometry import Window
from . import cpu_grey
from .cpu_tasks import BLOCK_PIXELS, PARTIAL_SUMS, add_rows_to, add_to_rows, placement, rows_per_block
from .groups import by_groups

_contiguous = np.ascontiguousarray


def conv2d_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, window: Window, groups: int) -> np.ndarray:
    """Schedule: parallel over blocks of output rows (row ``oh`` of image ``n`` is row ``n * OH + oh``). No two tasks
    write the same output. The bias is added while the block is in cache."""
    if x.shape[3] == 1:
        return cpu_grey.conv2d_forward(x, w, b, window)
    n, size = x.shape[0], x.shape[1:3]

    def of_group(channels: slice, filters: slice) -> np.ndarray:
        images, matrix = _contiguous(x[..., channels]), _as_matrix(_contiguous(w[..., filters]))
        out = empty((n, *window.output_size(size), matrix.shape[1]), x.dtype)
        with products(out.size * matrix.shape[0]):
            _forward(images, matrix, _contiguous(b[filters]), *placement(window, size), rows_per_block(out.shape), out)
        return out

    return by_groups(of_group, x.shape[3], w.shape[3], groups)


def conv2d_backward_input(
    dout: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], window: Window, groups: int
) -> np.ndarray:
    """Schedule: parallel over blocks of whole images, because windows overlap within an image and never across images:
    each task owns the slice of dx that it adds to. Inside a task, blocks of output rows as in the forward."""
    n, height, width, channels_total = x_shape
    images_per_task = max(1, BLOCK_PIXELS // (dout.shape[1] * dout.shape[2]))

    def of_group(_: slice, filters: slice) -> np.ndarray:
        gradient, matrix = _contiguous(dout[..., filters]), _as_matrix(_contiguous(w[..., filters]))
        dx = empty((n, height, width, channels_total // groups), dout.dtype)
        blocks = images_per_task, rows_per_block(gradient.shape)
        with products(gradient.size * matrix.shape[0]):
            _backward_input(gradient, matrix, *placement(window, (height, width)), *blocks, dx)
        return dx

    return by_groups(of_group, channels_total, w.shape[3], groups)


def conv2d_backward_params(
    dout: np.ndarray, x: np.ndarray, window: Window, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    """Schedule: parallel over at most PARTIAL_SUMS slices of the blocks. Each task sums its slice into its own partial
    dw and db; a second parallel loop, over the rows of dw, adds the partial sums in order. No atomics, no races."""
    if x.shape[3] == 1:
        return cpu_grey.conv2d_backward_params(dout, x, window)
    block = rows_per_block(dout.shape)
    blocks = -(-dout.shape[0] * dout.shape[1] // block)
    placed = placement(window, (x.shape[1], x.shape[2]))
    db = np.empty(dout.shape[3], x.dtype)

    def of_group(channels: slice, filters: slice) -> np.ndarray:
        gradient, images = _contiguous(dout[..., filters]), _contiguous(x[..., channels])
        depth = window.kernel[0] * window.kernel[1] * images.shape[3]
        partial_dw = empty((min(PARTIAL_SUMS, blocks), depth, gradient.shape[3]), x.dtype)
        partial_db = empty((len(partial_dw), gradient.shape[3]), x.dtype)
        dw = empty(partial_dw.shape[1:], x.dtype)
        with products(gradient.size * depth):
            _backward_params(gradient, images, *placed, block, blocks, partial_dw, partial_db, dw)
        db[filters] = partial_db.sum(axis=0)
        return dw.reshape(*window.kernel, images.shape[3], gradient.shape[3])

    return by_groups(of_group, x.shape[3], dout.shape[3], groups), db


def _as_matrix(w: np.ndarray) -> np.ndarray:
    return w.reshape(-1, w.shape[3])


@inner
def _span(ow, stride_w, pad_left, width, kernel_w, channels):  # type: ignore[no-untyped-def]
    """Start of the window of output column ``ow`` in a row of ``width * channels`` elements (it may be negative), and
    the range from ``low`` up to ``high`` of its ``kernel_w * channels`` elements that lies inside the row."""
    start = (ow * stride_w - pad_left) * channels
    length = kernel_w * channels
    low = min(max(-start, 0), length)
    high = max(min(width * channels - start, length), low)
    return start, low, high


@inner
def _im2col(x, first, last, out_h, out_w, kernel, stride, pad, cols):  # type: ignore[no-untyped-def]
    """Rows of ``cols``: the windows of output rows ``first`` up to ``last``, with 0 for padding."""
    n, height, width, channels = x.shape
    x_rows = x.reshape(n, height, width * channels)
    length = kernel[1] * channels
    for row in range(first, last):
        image, oh = divmod(row, out_h)
        for kh in range(kernel[0]):
            h = oh * stride[0] + kh - pad[0]
            for ow in range(out_w):
                # The pixels that one kernel row meets are neighbours in memory, so one copy moves them all. Views of
                # source and target spare LLVM the index checks that keep it from vectorising.
                column = cols[(row - first) * out_w + ow, kh * length : (kh + 1) * length]
                start, low, high = _span(ow, stride[1], pad[1], width, kernel[1], channels)
                if 0 <= h < height:
                    source = x_rows[image, h, start + low : start + high]
                    target = column[low:high]
                    for i in range(low):
                        column[i] = 0
                    for i in range(high - low):
                        target[i] = source[i]
                    for i in range(high, length):
                        column[i] = 0
                else:
                    for i in range(length):
                        column[i] = 0


@inner
def _col2im(dcols, first, last, out_h, out_w, kernel, stride, pad, dx):  # type: ignore[no-untyped-def]
    """Adds each element of ``dcols`` to the element that ``_im2col`` copied: the adjoint of a copy is an addition."""
    n, height, width, channels = dx.shape
    dx_rows = dx.reshape(n, height, width * channels)
    length = kernel[1] * channels
    for row in range(first, last):
        image, oh = divmod(row, out_h)
        for kh in range(kernel[0]):
            h = oh * stride[0] + kh - pad[0]
            if 0 <= h < height:
                for ow in range(out_w):
                    start, low, high = _span(ow, stride[1], pad[1], width, kernel[1], channels)
                    source = dcols[(row - first) * out_w + ow, kh * length + low : kh * length + high]
                    target = dx_rows[image, h, start + low : start + high]
                    for i in range(high - low):
                        target[i] += source[i]


@parallel
def _forward(x, w, b, kernel, stride, pad, block, out):  # type: ignore[no-untyped-def]
    n, out_h, out_w, filters = out.shape
    rows = n * out_h
    out_pixels = out.reshape(rows * out_w, filters)
    for task in numba.prange((rows + block - 1) // block):
        first = task * block
        last = min(first + block, rows)
        cols = np.empty(((last - first) * out_w, w.shape[0]), x.dtype)
        _im2col(x, first, last, out_h, out_w, kernel, stride, pad, cols)
        out_block = out_pixels[first * out_w : last * out_w]
        np.dot(cols, w, out_block)
        add_to_rows(out_block, b)


@parallel
def _backward_input(dout, w, kernel, stride, pad, images, block, dx):  # type: ignore[no-untyped-def]
    n, out_h, out_w, filters = dout.shape
    dout_pixels = dout.reshape(n * out_h * out_w, filters)
    for task in numba.prange((n + images - 1) // images):
        first_image = task * images
        last_image = min(first_image + images, n)
        dx[first_image:last_image] = 0
        for first in range(first_image * out_h, last_image * out_h, block):
            last = min(first + block, last_image * out_h)
            # The forward multiplied each window by w; the gradient of the window is dout times w transposed.
            dcols = np.empty(((last - first) * out_w, w.shape[0]), dx.dtype)
            np.dot(dout_pixels[first * out_w : last * out_w], w.T, dcols)
            _col2im(dcols, first, last, out_h, out_w, kernel, stride, pad, dx)


@parallel
def _backward_params(dout, x, kernel, stride, pad, block, blocks, partial_dw, partial_db, dw):  # type: ignore[no-untyped-def]
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
            cols = np.empty(((last - first) * out_w, depth), x.dtype)
            _im2col(x, first, last, out_h, out_w, kernel, stride, pad, cols)
            dout_block = dout_pixels[first * out_w : last * out_w]
            # Every output pixel met the same filters, so their gradient is a sum over pixels.
            add_product(cols.T, dout_block, number > begin, partial_dw[index])
            add_rows_to(partial_db[index], dout_block)
    for row in numba.prange(depth):
        dw[row] = 0
        add_rows_to(dw[row], partial_dw[:, row])
