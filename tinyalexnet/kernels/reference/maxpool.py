"""Max-pooling: the largest pixel under a sliding window, channel by channel."""

from __future__ import annotations

import numpy as np

from ...geometry import Window
from ..contract import argmax_dtype, check_maxpool_backward, check_maxpool_forward
from .padding import padded_zeros


def maxpool_forward(x: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """The maximum of each window, and which position of the window it came from.

    Math
        out[n,oh,ow,c] = max_{kh,kw} x[n, oh*stride_h + kh - pad_top, ow*stride_w + kw - pad_left, c]

        over the pixels inside the image; padding never wins. argmax[n,oh,ow,c] = kh * KW + kw of the maximum; of equal
        values the first in row-major order wins; a NaN wins over every number.
    Shapes
        x (N, H, W, C) -> out (N, OH, OW, C) of x's dtype, argmax the same shape, uint8 (int32 where KH KW > 256).
    Errors
        TypeError where x is not float32 or float64. ValueError where its rank does not fit, the output would have
        size 0, or the padding is as large as the kernel, so that a window could be all padding.
    Cost
        N OH OW C KH KW comparisons.
    Source
        Krizhevsky et al., 2012, section 3.4, for windows that overlap (3x3, stride 2); docs/pooling.md.
    """
    out_size = check_maxpool_forward(x, window)[1:3]
    size = x.shape[1:3]
    padded = np.pad(x, ((0, 0), *window.pads(size), (0, 0)), constant_values=-np.inf)
    inside = np.pad(np.ones((1, *size, 1), bool), ((0, 0), *window.pads(size), (0, 0)))
    slices = [(rows, columns) for _, _, rows, columns in window.positions(out_size)]
    candidates = np.stack([padded[:, rows, columns] for rows, columns in slices])
    argmax = candidates.argmax(axis=0)
    out = np.take_along_axis(candidates, argmax[np.newaxis], axis=0)[0]
    # Where even the maximum is -inf, padding would tie with the image: the first pixel inside the image wins.
    first_inside = np.stack([inside[:, rows, columns] for rows, columns in slices]).argmax(axis=0)
    return out, np.where(out == -np.inf, first_inside, argmax).astype(argmax_dtype(window))


def maxpool_backward(dout: np.ndarray, argmax: np.ndarray, x_shape: tuple[int, ...], window: Window) -> np.ndarray:
    """Gradient with respect to the images: each output hands its gradient to the one pixel it was copied from.

    Math
        dx[n,h,i,c] = Σ dout[n,oh,ow,c]

        over those outputs whose argmax = kh * KW + kw points at (h, i), that is oh*stride_h + kh - pad_top = h and
        ow*stride_w + kw - pad_left = i. Windows overlap where the stride is smaller than the kernel, so one pixel can
        be the maximum of several: their gradients add.
    Shapes
        dout and argmax (N, OH, OW, C), x_shape (N, H, W, C) -> dx (N, H, W, C), of dout's dtype.
    Errors
        TypeError where dout is not float32 or float64, or argmax not of the forward's dtype. ValueError where dout or
        argmax does not have the forward's output shape.
    Cost
        N OH OW C additions.
    Source
        docs/pooling.md.
    """
    check_maxpool_backward(dout, argmax, x_shape, window)
    dx, padded = padded_zeros(x_shape, window, dout.dtype)
    for kh, kw, rows, columns in window.positions(dout.shape[1:3]):
        # Forward: out = the pixel at argmax. The gradient of a copy is a copy, and copies of one pixel add up.
        padded[:, rows, columns] += np.where(argmax == kh * window.kernel[1] + kw, dout, 0)
    return np.ascontiguousarray(dx)
