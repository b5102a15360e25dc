"""Space to depth: a convolution with a stride as one without.

A block of stride_h x stride_w pixels becomes one pixel with that many times the channels; the filters are cut alike.
"""

import numpy as np

from ....geometry import Pair, Window


def filters_to_blocks(w: np.ndarray, stride: Pair) -> np.ndarray:
    """The filters over blocks of pixels: (KH, KW, C, F) -> (r_h, r_w, stride_h stride_w C, F), r = ceil(K / stride).

    Elements past the kernel are 0.
    """
    if stride == (1, 1):
        return w
    (kernel_h, kernel_w, channels, filters), (stride_h, stride_w) = w.shape, stride
    r_h, r_w = -(-kernel_h // stride_h), -(-kernel_w // stride_w)
    whole = np.zeros((r_h * stride_h, r_w * stride_w, channels, filters), w.dtype)
    whole[:kernel_h, :kernel_w] = w
    split = whole.reshape(r_h, stride_h, r_w, stride_w, channels, filters)
    return split.transpose(0, 2, 1, 3, 4, 5).reshape(r_h, r_w, -1, filters)


def filters_from_blocks(dw: np.ndarray, window: Window) -> np.ndarray:
    """The adjoint of ``filters_to_blocks``: (r_h, r_w, stride_h stride_w C, F) -> (KH, KW, C, F), contiguous."""
    (r_h, r_w, _, filters), (stride_h, stride_w) = dw.shape, window.stride
    split = dw.reshape(r_h, r_w, stride_h, stride_w, -1, filters).transpose(0, 2, 1, 3, 4, 5)
    whole = split.reshape(r_h * stride_h, r_w * stride_w, -1, filters)
    return np.ascontiguousarray(whole[: window.kernel[0], : window.kernel[1]])
