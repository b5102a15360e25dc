"""Average-pooling: the mean of the pixels under a sliding window, channel by channel."""

from __future__ import annotations

import numpy as np

from ...geometry import Window
from ..contract import check_avgpool_backward, check_avgpool_forward
from .padding import padded_zeros


def avgpool_forward(x: np.ndarray, window: Window) -> np.ndarray:
    """The mean of each window.

    Math
        out[n,oh,ow,c] = mean_{kh,kw} x[n, oh*stride_h + kh - pad_top, ow*stride_w + kw - pad_left, c]

        over the pixels inside the image: padding is neither added nor counted, as in TensorFlow.
    Shapes
        x (N, H, W, C) -> out (N, OH, OW, C) of x's dtype.
    Errors
        TypeError where x is not float32 or float64. ValueError where its rank does not fit, the output would have
        size 0, or the padding is as large as the kernel, so that a window could be all padding.
    Cost
        N OH OW C KH KW additions.
    Source
        TensorFlow's ``nn.avg_pool``; docs/pooling.md.
    """
    out_shape = check_avgpool_forward(x, window)
    inside, padded = padded_zeros(x.shape, window, x.dtype)
    inside[...] = x
    total = np.zeros(out_shape, x.dtype)
    for _, _, rows, columns in window.positions(out_shape[1:3]):
        total += padded[:, rows, columns]
    out: np.ndarray = total / _counts(x.shape, window, x.dtype)
    return out


def avgpool_backward(dout: np.ndarray, x_shape: tuple[int, ...], window: Window) -> np.ndarray:
    """Gradient with respect to the images: each output hands equal shares of its gradient to the pixels it averaged.

    Math
        dx[n,h,i,c] = Σ dout[n,oh,ow,c] / count[oh,ow]

        over the outputs whose window holds (h, i); count is how many pixels of the image it holds.
    Shapes
        dout (N, OH, OW, C), x_shape (N, H, W, C) -> dx (N, H, W, C), of dout's dtype.
    Errors
        TypeError where dout is not float32 or float64. ValueError where it does not have the forward's output shape.
    Cost
        N OH OW C KH KW additions.
    Source
        docs/pooling.md.
    """
    check_avgpool_backward(dout, x_shape, window)
    dx, padded = padded_zeros(x_shape, window, dout.dtype)
    shares = dout / _counts(x_shape, window, dout.dtype)
    for _, _, rows, columns in window.positions(dout.shape[1:3]):
        # Forward: each pixel of the window was added once. The gradient of a sum goes to each of its terms.
        padded[:, rows, columns] += shares
    return np.ascontiguousarray(dx)


def _counts(x_shape: tuple[int, ...], window: Window, dtype: np.dtype) -> np.ndarray:
    """How many pixels of the image each window holds, (1, OH, OW, 1)."""
    inside, padded = padded_zeros((1, *x_shape[1:3], 1), window, dtype)
    inside[...] = 1
    out_size = window.output_size((x_shape[1], x_shape[2]))
    counts: np.ndarray = np.sum(
        [padded[:, rows, columns] for _, _, rows, columns in window.positions(out_size)], axis=0
    )
    return counts
