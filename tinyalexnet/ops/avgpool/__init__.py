"""Average-pooling: the mean of the pixels under a sliding window, channel by channel.

Derivation: docs/avgpool.md. Tests: tests/ops/test_avgpool.py.
"""

import numpy as np

from ...geometry import Window
from ..checks import Shape, check_floats, check_shape, pool_shape
from ..dispatch import resolve


def avgpool_forward(x: np.ndarray, window: Window, backend: str = "cpu") -> np.ndarray:
    """The mean of each window.

    Math
        out[n,oh,ow,c] = mean_{kh,kw} x[n, oh*stride_h + kh - pad_top, ow*stride_w + kw - pad_left, c]

        over the pixels inside the image: padding is neither added nor counted, as in TensorFlow.
    Shapes
        x (N, H, W, C) -> out (N, OH, OW, C) of x's dtype.
    Errors
        TypeError if x is not float32 or float64. ValueError if its rank does not fit, the output would have size 0, or
        the padding is as large as the kernel, so that a window could be all padding.
    Cost
        N OH OW C KH KW additions.
    Source
        TensorFlow's ``nn.avg_pool``; docs/avgpool.md.
    """
    device, kernels = resolve(__name__, backend)
    check_floats(device, x=x)
    pool_shape(x.shape, window)
    out: np.ndarray = kernels.avgpool_forward(x, window)
    return out


def avgpool_backward(dout: np.ndarray, x_shape: Shape, window: Window, backend: str = "cpu") -> np.ndarray:
    """Gradient with respect to the images: each output hands equal shares of its gradient to the pixels it averaged.

    Math
        dx[n,h,i,c] = Σ dout[n,oh,ow,c] / count[oh,ow]

        over the outputs whose window holds (h, i); count is the number of its pixels inside the image.
    Shapes
        dout (N, OH, OW, C), x_shape (N, H, W, C) -> dx (N, H, W, C), of dout's dtype.
    Errors
        TypeError if dout is not float32 or float64. ValueError if it does not have the forward's output shape.
    Cost
        N OH OW C KH KW additions.
    Source
        docs/avgpool.md.
    """
    device, kernels = resolve(__name__, backend)
    check_floats(device, dout=dout)
    check_shape("dout", dout.shape, pool_shape(x_shape, window), "the output's shape")
    dx: np.ndarray = kernels.avgpool_backward(dout, x_shape, window)
    return dx
