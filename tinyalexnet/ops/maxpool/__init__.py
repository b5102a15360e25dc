"""Max-pooling: the largest pixel under a sliding window, channel by channel.

Derivation: docs/maxpool.md. Tests: tests/ops/test_maxpool.py.
"""

import numpy as np

from ...geometry import Window
from ..checks import Shape, check_array, check_floats, check_shape, pool_shape
from ..dispatch import resolve


def argmax_dtype(window: Window) -> np.dtype:
    """The dtype of a max-pool's argmax: one byte holds any position of a kernel of up to 256."""
    return np.dtype(np.uint8 if window.kernel[0] * window.kernel[1] <= 256 else np.int32)


def maxpool_forward(x: np.ndarray, window: Window, backend: str = "cpu") -> tuple[np.ndarray, np.ndarray]:
    """The maximum of each window, and the kernel position that it came from.

    Math
        out[n,oh,ow,c] = max_{kh,kw} x[n, oh*stride_h + kh - pad_top, ow*stride_w + kw - pad_left, c]

        over the pixels inside the image; padding never wins. argmax[n,oh,ow,c] = kh * KW + kw of the maximum; of equal
        values the first in row-major order wins; a NaN wins over every number.
    Shapes
        x (N, H, W, C) -> out (N, OH, OW, C) of x's dtype, argmax the same shape, uint8 (int32 if KH KW > 256).
    Errors
        TypeError if x is not float32 or float64. ValueError if its rank does not fit, the output would have size 0, or
        the padding is as large as the kernel, so that a window could be all padding.
    Cost
        N OH OW C KH KW comparisons.
    Source
        Krizhevsky et al., 2012, section 3.4, for windows that overlap (3x3, stride 2); docs/maxpool.md.
    """
    device, kernels = resolve(__name__, backend)
    check_floats(device, x=x)
    pool_shape(x.shape, window)
    out, argmax = kernels.maxpool_forward(x, window)
    return out, argmax


def maxpool_backward(
    dout: np.ndarray, argmax: np.ndarray, x_shape: Shape, window: Window, backend: str = "cpu"
) -> np.ndarray:
    """Gradient with respect to the images: each output hands its gradient to the one pixel it was copied from.

    Math
        dx[n,h,i,c] = Σ dout[n,oh,ow,c]

        over those outputs whose argmax = kh * KW + kw points at (h, i), that is oh*stride_h + kh - pad_top = h and
        ow*stride_w + kw - pad_left = i. Windows overlap if the stride is smaller than the kernel, so one pixel can be
        the maximum of several: their gradients add.
    Shapes
        dout and argmax (N, OH, OW, C), x_shape (N, H, W, C) -> dx (N, H, W, C), of dout's dtype.
    Errors
        TypeError if dout is not float32 or float64, or argmax not of the forward's dtype. ValueError if dout or argmax
        does not have the forward's output shape.
    Cost
        N OH OW C additions.
    Source
        docs/maxpool.md.
    """
    device, kernels = resolve(__name__, backend)
    out_shape = pool_shape(x_shape, window)
    check_floats(device, dout=dout)
    check_shape("dout", dout.shape, out_shape, "the output's shape")
    dtype = argmax_dtype(window)
    check_array(device, "argmax", argmax, (dtype,), f"the forward's dtype {dtype}")
    check_shape("argmax", argmax.shape, out_shape, "the output's shape")
    dx: np.ndarray = kernels.maxpool_backward(dout, argmax, x_shape, window)
    return dx
