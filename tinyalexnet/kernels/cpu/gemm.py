"""The convolution as blocked im2col and matrix product: one group, contiguous arrays.

``im2col`` writes the window under each output pixel as one row of a matrix. The convolution and both of its adjoints
are then matrix products with the filters as a (KH*KW*C, F) matrix W:

    out  = im2col(x) W          dx = col2im(dout Wᵀ)          dw = im2col(x)ᵀ dout

At stride 1 the whole im2col matrix would be KH*KW times the batch, so each task makes it for a block of output pixels
only, and multiplies that before it makes the next. Blocks depend on the shapes alone, never on the number of threads,
and so does every rounding error.
"""

from __future__ import annotations

import numba
import numpy as np

from ...geometry import Pair, Window
from .memory import empty
from .runtime import inner, one_blas_thread, parallel, run_of

BLOCK_PIXELS = 448
"""Output pixels of one task: rows enough to keep the matrix product near its peak. A block of conv4 is then 6 MB, which
lives in the shared cache; smaller blocks, for the core's own, were no faster."""

LEAST_TASKS = 16
"""Small inputs are cut finer than BLOCK_PIXELS, so that this many threads have work."""

PARTIAL_SUMS = 16
"""Sums over the batch are taken in this many parts, which are then added in a fixed order."""


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, window: Window) -> np.ndarray:
    """``conv2d_forward`` for one group; see reference.

    Schedule
        Parallel over blocks of output rows (row ``oh`` of image ``n`` is row ``n * OH + oh``). No two tasks write the
        same output. The bias is added while the block is in cache.
    """
    n, height, width, _ = x.shape
    out = empty((n, *window.output_size((height, width)), w.shape[3]), x.dtype)
    with one_blas_thread():
        _forward(x, _as_matrix(w), b, *_placement(window, (height, width)), _block_rows(out.shape), out)
    return out


def backward_input(dout: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], window: Window) -> np.ndarray:
    """``conv2d_backward_input`` for one group; see reference.

    Schedule
        Parallel over blocks of whole images, because windows overlap within an image and never across images: each
        task owns the part of dx it adds to. Inside a task, blocks of output rows as in the forward.
    """
    dx = empty(x_shape, dout.dtype)
    images = max(1, BLOCK_PIXELS // (dout.shape[1] * dout.shape[2]))
    with one_blas_thread():
        _backward_input(
            dout, _as_matrix(w), *_placement(window, (x_shape[1], x_shape[2])), images, _block_rows(dout.shape), dx
        )
    return dx


def backward_params(dout: np.ndarray, x: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """``conv2d_backward_params`` for one group; see reference.

    Schedule
        Parallel over at most PARTIAL_SUMS runs of blocks. Each task sums its run into its own partial dw and db; a
        second parallel loop, over the rows of dw, adds the partial sums in order. No atomics, no races.
    """
    kernel_h, kernel_w = window.kernel
    channels, filters = x.shape[3], dout.shape[3]
    block = _block_rows(dout.shape)
    blocks = -(-dout.shape[0] * dout.shape[1] // block)
    parts = min(PARTIAL_SUMS, blocks)
    dw_parts = empty((parts, kernel_h * kernel_w * channels, filters), x.dtype)
    db_parts = empty((parts, filters), x.dtype)
    dw = empty(dw_parts.shape[1:], x.dtype)
    with one_blas_thread():
        _backward_params(dout, x, *_placement(window, x.shape[1:3]), block, blocks, dw_parts, db_parts, dw)
    return dw.reshape(kernel_h, kernel_w, channels, filters), db_parts.sum(axis=0)


def _as_matrix(w: np.ndarray) -> np.ndarray:
    return w.reshape(-1, w.shape[3])


def _placement(window: Window, size: Pair) -> tuple[Pair, Pair, Pair]:
    return window.kernel, window.stride, window.before(size)


def _block_rows(out_shape: tuple[int, ...]) -> int:
    """Output rows of one task."""
    n, out_h, out_w, _ = out_shape
    rows = n * out_h
    return max(1, min(BLOCK_PIXELS // out_w, rows // LEAST_TASKS))


@inner
def _span(ow, stride_w, pad_left, width, kernel_w, channels):  # type: ignore[no-untyped-def]
    """Where the window of output column ``ow`` starts in a row of ``width * channels`` numbers (it may be negative),
    and which part, from ``low`` up to ``high``, of its ``kernel_w * channels`` numbers lies inside that row."""
    start = (ow * stride_w - pad_left) * channels
    run = kernel_w * channels
    low = min(max(-start, 0), run)
    high = max(min(width * channels - start, run), low)
    return start, low, high


@inner
def _im2col(x, first, last, out_h, out_w, kernel, stride, pad, cols):  # type: ignore[no-untyped-def]
    """Rows of ``cols``: the windows of output rows ``first`` up to ``last``, zero where they reach into the padding."""
    n, height, width, channels = x.shape
    x_rows = x.reshape(n, height, width * channels)
    run = kernel[1] * channels
    for row in range(first, last):
        image, oh = divmod(row, out_h)
        for kh in range(kernel[0]):
            h = oh * stride[0] + kh - pad[0]
            for ow in range(out_w):
                # The pixels that one kernel row meets lie side by side in memory, so one copy moves them all; views of
                # the two runs spare LLVM the index checks that keep it from vectorising.
                column = cols[(row - first) * out_w + ow, kh * run : (kh + 1) * run]
                start, low, high = _span(ow, stride[1], pad[1], width, kernel[1], channels)
                if 0 <= h < height:
                    source = x_rows[image, h, start + low : start + high]
                    target = column[low:high]
                    for i in range(low):
                        column[i] = 0
                    for i in range(high - low):
                        target[i] = source[i]
                    for i in range(high, run):
                        column[i] = 0
                else:
                    for i in range(run):
                        column[i] = 0


@inner
def _col2im(dcols, first, last, out_h, out_w, kernel, stride, pad, dx):  # type: ignore[no-untyped-def]
    """Adds each number of ``dcols`` where ``_im2col`` had copied it from: the adjoint of a copy is an addition."""
    n, height, width, channels = dx.shape
    dx_rows = dx.reshape(n, height, width * channels)
    run = kernel[1] * channels
    for row in range(first, last):
        image, oh = divmod(row, out_h)
        for kh in range(kernel[0]):
            h = oh * stride[0] + kh - pad[0]
            if 0 <= h < height:
                for ow in range(out_w):
                    start, low, high = _span(ow, stride[1], pad[1], width, kernel[1], channels)
                    source = dcols[(row - first) * out_w + ow, kh * run + low : kh * run + high]
                    target = dx_rows[image, h, start + low : start + high]
                    for i in range(high - low):
                        target[i] += source[i]


@inner
def _add_to_rows(matrix, row):  # type: ignore[no-untyped-def]
    for r in range(matrix.shape[0]):
        target = matrix[r]
        for i in range(row.size):
            target[i] += row[i]


@inner
def _add_rows_to(row, matrix):  # type: ignore[no-untyped-def]
    for r in range(matrix.shape[0]):
        source = matrix[r]
        for i in range(row.size):
            row[i] += source[i]


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
        _add_to_rows(out_block, b)


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
def _backward_params(dout, x, kernel, stride, pad, block, blocks, dw_parts, db_parts, dw):  # type: ignore[no-untyped-def]
    n, out_h, out_w, filters = dout.shape
    rows = n * out_h
    dout_pixels = dout.reshape(rows * out_w, filters)
    parts, taps, _ = dw_parts.shape
    for part in numba.prange(parts):
        product = np.empty((taps, filters), x.dtype)
        dw_parts[part] = 0
        db_parts[part] = 0
        begin, end = run_of(np.intp(part), parts, blocks)
        for index in range(begin, end):
            first = index * block
            last = min(first + block, rows)
            cols = np.empty(((last - first) * out_w, taps), x.dtype)
            _im2col(x, first, last, out_h, out_w, kernel, stride, pad, cols)
            dout_block = dout_pixels[first * out_w : last * out_w]
            # Every output pixel met the same filters, so their gradient is a sum over pixels.
            np.dot(cols.T, dout_block, product)
            _add_rows_to(dw_parts[part].reshape(-1), product.reshape(1, -1))
            _add_rows_to(db_parts[part], dout_block)
    for tap in numba.prange(taps):
        dw[tap] = 0
        _add_rows_to(dw[tap], dw_parts[:, tap])
