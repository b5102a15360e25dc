"""The terms of single elements of an average-pool: out and dx."""

from collections.abc import Mapping

import numpy as np

from ...geometry import Window
from ..terms import Factor, Index, Terms, constant, elements, filled, grid, offset, outputs_over, pixels_of, product

Arrays = Mapping[str, np.ndarray]


def out_terms(index: Index, arrays: Arrays, window: Window) -> Terms:
    """The pixels of the window that are inside the image, each divided by their number."""
    x = arrays["x"]
    n, oh, ow, c = index
    _, _, h, i = pixels_of(window, x.shape[1:3], (oh, ow))
    top, left = window.before(x.shape[1:3])
    row, column = offset(oh * window.stride[0] - top, "kh"), offset(ow * window.stride[1] - left, "kw")
    count = len(h) * len(i)
    return Terms(
        "out[n,oh,ow,c] = Σ x[n, oh*stride_h + kh - pad_top, ow*stride_w + kw - pad_left, c] / count[oh,ow]",
        f"{filled('out', index)} = Σ x[{n}, {row}, {column}, {c}] / {count}",
        (product([elements("x", x, grid(n, h, i, c)), constant(f"1 / {count}", 1 / count, count)], "the window"),),
        roundings=1,
    )


def dx_terms(index: Index, arrays: Arrays, window: Window) -> Terms:
    """The gradients of the outputs whose windows have the pixel in them, each divided by the pixels of its window."""
    x_shape, dout = arrays["x"].shape, arrays["dout"]
    n, h, i, c = index
    _, _, oh, ow = outputs_over(window, x_shape[1:3], (h, i))
    outputs = grid(n, oh, ow, c)
    counts = np.array([_count(window, x_shape, (row, column)) for row, column in grid(oh, ow)], np.float64)
    return Terms(
        "dx[n,h,i,c] = Σ dout[n,oh,ow,c] / count[oh,ow] over the outputs whose window has the pixel (h, i)",
        f"{filled('dx', index)} = Σ dout[{n},oh,ow,{c}] / count[oh,ow] over the outputs whose window has ({h}, {i})",
        (product([elements("dout", dout, outputs), Factor("1 / count", 1 / counts)], "the windows"),),
        roundings=1,
    )


def _count(window: Window, x_shape: tuple[int, ...], output: tuple[int, int]) -> int:
    kh, kw, _, _ = pixels_of(window, x_shape[1:3], output)
    return len(kh) * len(kw)
