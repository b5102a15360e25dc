"""The terms of single elements of a max-pool: out and dx."""

from collections.abc import Mapping

import numpy as np

from ...geometry import Window
from ..terms import LARGEST, Factor, Index, Terms, elements, filled, grid, offset, outputs_over, pixels_of, product

Arrays = Mapping[str, np.ndarray]


def out_terms(index: Index, arrays: Arrays, window: Window) -> Terms:
    """The pixels of the window that are inside the image."""
    x = arrays["x"]
    n, oh, ow, c = index
    kh, kw, h, i = pixels_of(window, x.shape[1:3], (oh, ow))
    top, left = window.before(x.shape[1:3])
    row, column = offset(oh * window.stride[0] - top, "kh"), offset(ow * window.stride[1] - left, "kw")
    missing = window.kernel[0] * window.kernel[1] - len(kh) * len(kw)
    return Terms(
        "out[n,oh,ow,c] = max x[n, oh*stride_h + kh - pad_top, ow*stride_w + kw - pad_left, c]",
        f"{filled('out', index)} = max x[{n}, {row}, {column}, {c}]",
        (product([elements("x", x, grid(n, h, i, c))], "the window"),),
        LARGEST,
        notes=(f"{missing} pixels of the window are padding, which never wins",) if missing else (),
    )


def dx_terms(index: Index, arrays: Arrays, window: Window) -> Terms:
    """The gradients of the outputs whose windows have the pixel in them: those of which it is the maximum count."""
    x, dout, argmax = arrays["x"], arrays["dout"], arrays["argmax"]
    n, h, i, c = index
    kh, kw, oh, ow = outputs_over(window, x.shape[1:3], (h, i))
    outputs = grid(n, oh, ow, c)
    positions = grid(kh, kw)
    won = argmax[tuple(outputs.T)] == positions[:, 0] * window.kernel[1] + positions[:, 1]
    return Terms(
        "dx[n,h,i,c] = Σ dout[n,oh,ow,c] over the outputs whose maximum is x[n,h,i,c]",
        f"{filled('dx', index)} = Σ dout[{n},oh,ow,{c}] over the outputs whose maximum is {filled('x', index)}",
        (
            product(
                [elements("dout", dout, outputs), Factor("is the maximum", won.astype(np.float64), "out", outputs)],
                "the windows",
            ),
        ),
    )
