"""im2col and its adjoint: one row per output pixel, one column per (kh, kw, c).

The package has neither. What is right is a convolution whose filters copy one element each: docs/conv2d.md.
"""

from __future__ import annotations

import numpy as np

from ..geometry import Pads, Pair, Window
from ..ops import conv2d
from .pools import REFERENCE, array, draw_window, drawn, image, integers, out_size
from .subject import Case, Pool, Subject


def _im2col(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    filters = _copies(kernel, x.shape[3])
    length = filters.shape[3]
    window = Window(kernel, stride, pads)
    return conv2d.conv2d_forward(x, filters, np.zeros(length), window, 1, "gemm", REFERENCE).reshape(-1, length)


def _col2im(columns: np.ndarray, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    filters = _copies(kernel, x_shape[3])
    window = Window(kernel, stride, pads)
    dout = columns.reshape(x_shape[0], *window.output_size((x_shape[1], x_shape[2])), filters.shape[3])
    return conv2d.conv2d_backward_input(dout, filters, x_shape, window, 1, "gemm", REFERENCE)


def _copies(kernel: Pair, channels: int) -> np.ndarray:
    """Filters (KH, KW, C, KH*KW*C), each with one weight of 1."""
    length = kernel[0] * kernel[1] * channels
    return np.eye(length).reshape(*kernel, channels, length)


def _pool(x: np.ndarray, columns: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> Pool:
    options = {"x_shape": x.shape, "kernel": kernel, "stride": stride, "pads": pads}
    return {"x": x, "columns": columns, **options}


def _columns_shape(x_shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads) -> tuple[int, int]:
    n, h, w, c = x_shape
    out_h, out_w = out_size((h, w), kernel, stride, pads)
    return n * out_h * out_w, kernel[0] * kernel[1] * c


def _integers(seed: int, shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads) -> Pool:
    columns = integers(seed + 1, *_columns_shape(shape, kernel, stride, pads))
    return _pool(integers(seed, *shape), columns, kernel, stride, pads)


NONE = ((0, 0), (0, 0))

CASES = (
    Case("row", _pool(image([1, 2, 3]), array([1, -2], [3, 4]), (1, 2), (1, 1), NONE)),
    Case("padded", _integers(71, (1, 2, 2, 1), (2, 1), (1, 1), ((1, 0), (0, 0)))),
    Case("channels", _integers(72, (1, 2, 2, 2), (2, 2), (1, 1), NONE)),
    Case("two-images", _integers(73, (2, 2, 3, 1), (2, 2), (1, 1), NONE)),
    Case("all", _integers(74, (2, 4, 3, 2), (3, 2), (2, 1), ((0, 2), (1, 0)))),
)


def _draw(rng: np.random.Generator) -> Pool:
    size, kernel, stride, pads = draw_window(rng, most=4)
    shape = (int(rng.integers(1, 3)), *size, int(rng.integers(1, 4)))
    return _pool(drawn(rng, *shape), drawn(rng, *_columns_shape(shape, kernel, stride, pads)), kernel, stride, pads)


SUBJECTS = (
    Subject("im2col", ("x", "kernel", "stride", "pads"), ("columns",), _im2col, CASES, _draw),
    Subject(
        name="col2im",
        parameters=("columns", "x_shape", "kernel", "stride", "pads"),
        outputs=("dx",),
        right=_col2im,
        cases=CASES,
        draw=_draw,
        forward="im2col",
        gradients={"dx": "x"},
        upstream="columns",
    ),
)
