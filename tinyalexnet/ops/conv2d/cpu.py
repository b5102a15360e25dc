"""The convolution as blocked im2col and matrix product, compiled.

``im2col`` writes the window under each output pixel as one row of a matrix. The convolution and both of its adjoints
are then matrix products with the filters as a (KH*KW*C, F) matrix W:

    out  = im2col(x) W          dx = col2im(dout Wᵀ)          dw = im2col(x)ᵀ dout

At stride 1 the whole im2col matrix would be KH*KW times the batch. So each task makes it for a block of output pixels,
multiplies that, and goes on to the next block. Blocks depend on the shapes alone, never on the number of threads, and
so does every rounding error. A grouped convolution is one separate convolution after the other, on copied slices of the
channels. Grey images have a matrix the other way round: ``cpu_grey``. Few windows are cut along the filters:
``cpu_few``.
"""

import numba
import numpy as np

from ...devices.cpu.compiler import parallel, slice_bounds
from ...devices.cpu.memory import empty
from ...devices.cpu.panels import add_panel_product
from ...devices.cpu.recording import contiguous, done, joined
from ...devices.cpu.threads import products
from ...geometry import Window
from . import cpu_few, cpu_grey
from .cpu_im2col import col2im, im2col
from .cpu_tasks import BLOCK_PIXELS, PARTIAL_SUMS, add_rows_to, add_to_rows, placement, rows_per_block
from .groups import by_groups
from .winograd.choice import has_few_windows


def conv2d_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, window: Window, groups: int) -> np.ndarray:
    """Schedule: parallel over blocks of output rows (row ``oh`` of image ``n`` is row ``n * OH + oh``). No two tasks
    write the same output. The bias is added while the block is in cache."""
    if x.shape[3] == 1:
        return cpu_grey.conv2d_forward(x, w, b, window)
    n, size = x.shape[0], x.shape[1:3]

    def of_group(channels: slice, filters: slice) -> np.ndarray:
        images, kernels = contiguous(x[..., channels]), contiguous(w[..., filters])
        matrix = _as_matrix(kernels)
        out = empty((n, *window.output_size(size), matrix.shape[1]), x.dtype)
        bias, placed = contiguous(b[filters]), placement(window, size)
        with products(out.size * matrix.shape[0]):
            if has_few_windows(out.shape, matrix.shape[0]):
                cpu_few.forward(images, kernels, bias, placed, out)
            else:
                _forward(images, matrix, bias, *placed, rows_per_block(out.shape), out)
        return out

    return by_groups(of_group, x.shape[3], w.shape[3], groups, joined)


def conv2d_backward_input(
    dout: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], window: Window, groups: int
) -> np.ndarray:
    """Schedule: parallel over blocks of whole images, because windows overlap within an image and never across images:
    each task owns the slice of dx that it adds to. Inside a task, blocks of output rows as in the forward."""
    n, height, width, channels_total = x_shape
    images_per_task = max(1, BLOCK_PIXELS // (dout.shape[1] * dout.shape[2]))
    placed = placement(window, (height, width))

    def of_group(_: slice, filters: slice) -> np.ndarray:
        gradient, kernels = contiguous(dout[..., filters]), contiguous(w[..., filters])
        dx = empty((n, height, width, channels_total // groups), dout.dtype)
        with products(gradient.size * kernels[..., 0].size):
            if window.stride == (1, 1) and has_few_windows(dx.shape, kernels[..., 0, :].size):
                cpu_few.backward_input(gradient, kernels, placed, dx)
            else:
                blocks = images_per_task, rows_per_block(gradient.shape)
                _backward_input(gradient, contiguous(_as_matrix(kernels).T), *placed, *blocks, dx)
        return dx

    return by_groups(of_group, channels_total, w.shape[3], groups, joined)


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
        gradient, images = contiguous(dout[..., filters]), contiguous(x[..., channels])
        depth = window.kernel[0] * window.kernel[1] * images.shape[3]
        dw = empty((depth, gradient.shape[3]), x.dtype)
        with products(gradient.size * depth):
            if has_few_windows(gradient.shape, depth):
                cpu_few.backward_params(gradient, images, placed, dw)
                done(np.add.reduce, gradient, (0, 1, 2), None, db[filters])
            else:
                partial_dw = empty((min(PARTIAL_SUMS, blocks), *dw.shape), x.dtype)
                partial_db = empty((len(partial_dw), gradient.shape[3]), x.dtype)
                _backward_params(gradient, images, *placed, block, blocks, partial_dw, partial_db, dw)
                done(np.add.reduce, partial_db, 0, None, db[filters])
        return dw.reshape(*window.kernel, images.shape[3], gradient.shape[3])

    return by_groups(of_group, x.shape[3], dout.shape[3], groups, joined), db


def _as_matrix(w: np.ndarray) -> np.ndarray:
    return w.reshape(-1, w.shape[3])


@parallel
def _forward(x, w, b, kernel, stride, pad, block, out):  # type: ignore[no-untyped-def]
    n, out_h, out_w, filters = out.shape
    rows = n * out_h
    out_pixels = out.reshape(rows * out_w, filters)
    for task in numba.prange((rows + block - 1) // block):
        first = task * block
        last = min(first + block, rows)
        cols = np.empty(((last - first) * out_w, w.shape[0]), x.dtype)
        windows, columns = (first * out_w, last * out_w), (0, w.shape[0])
        im2col(x, windows, columns, (out_h, out_w), kernel, stride, pad, cols)
        out_block = out_pixels[first * out_w : last * out_w]
        add_panel_product(cols, w, False, out_block)
        add_to_rows(out_block, b)


@parallel
def _backward_input(dout, w_turned, kernel, stride, pad, images, block, dx):  # type: ignore[no-untyped-def]
    n, out_h, out_w, filters = dout.shape
    dout_pixels = dout.reshape(n * out_h * out_w, filters)
    for task in numba.prange((n + images - 1) // images):
        first_image = task * images
        last_image = min(first_image + images, n)
        dx[first_image:last_image] = 0
        for first in range(first_image * out_h, last_image * out_h, block):
            last = min(first + block, last_image * out_h)
            # The forward multiplied each window by w; the gradient of the window is dout times w transposed.
            dcols = np.empty(((last - first) * out_w, w_turned.shape[1]), dx.dtype)
            add_panel_product(dout_pixels[first * out_w : last * out_w], w_turned, False, dcols)
            col2im(dcols, first, last, out_h, out_w, kernel, stride, pad, dx)


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
            im2col(x, (first * out_w, last * out_w), (0, depth), (out_h, out_w), kernel, stride, pad, cols)
            dout_block = dout_pixels[first * out_w : last * out_w]
            # Every output pixel met the same filters, so their gradient is a sum over pixels.
            add_panel_product(cols.T, dout_block, number > begin, partial_dw[index])
            add_rows_to(partial_db[index], dout_block)
    for row in numba.prange(depth):
        dw[row] = 0
        add_rows_to(dw[row], partial_dw[:, row])
