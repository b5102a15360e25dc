"""Depthwise convolution: each channel has one filter of its own, w (KH, KW, C), and no bias.

The package has none. What is right is its convolution with a group for each channel.
"""

from __future__ import annotations

import numpy as np

from ...geometry import Pads, Pair, Window
from ...ops import conv2d
from ..pools import REFERENCE, array, draw_window, drawn, image, integers, out_size
from ..subject import Case, Pool, Subject


def _forward(x: np.ndarray, w: np.ndarray, stride: Pair, pads: Pads) -> np.ndarray:
    window, channels = Window((w.shape[0], w.shape[1]), stride, pads), w.shape[2]
    return conv2d.conv2d_forward(x, w[:, :, np.newaxis], np.zeros(channels), window, channels, "gemm", REFERENCE)


def _backward_input(dout: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], stride: Pair, pads: Pads) -> np.ndarray:
    window, channels = Window((w.shape[0], w.shape[1]), stride, pads), w.shape[2]
    return conv2d.conv2d_backward_input(dout, w[:, :, np.newaxis], x_shape, window, channels, "gemm", REFERENCE)


def _pool(x: np.ndarray, w: np.ndarray, dout: np.ndarray, stride: Pair, pads: Pads) -> Pool:
    options = {"stride": stride, "pads": pads, "kernel": (w.shape[0], w.shape[1])}
    return {"x": x, "w": w, "dout": dout, "x_shape": x.shape, "w_shape": w.shape, **options}


def _integers(seed: int, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads) -> Pool:
    n, h, w, c = x_shape
    dout = integers(seed, n, *out_size((h, w), kernel, stride, pads), c)
    return _pool(integers(seed + 1, *x_shape), integers(seed + 2, *kernel, c), dout, stride, pads)


NONE = ((0, 0), (0, 0))

CASES = (
    Case("row", _pool(image([3, 1, 4]), array([[2], [-1]]), image([1, 3]), (1, 1), NONE)),
    Case("two-channels", _integers(141, (1, 2, 3, 2), (2, 2), (1, 1), NONE)),
    Case("strided", _integers(142, (1, 5, 4, 2), (2, 3), (2, 1), ((1, 0), (0, 0)))),
    Case("all", _integers(143, (2, 4, 5, 3), (3, 2), (1, 2), ((0, 2), (1, 0)))),
)


def _draw(rng: np.random.Generator) -> Pool:
    size, kernel, stride, pads = draw_window(rng)
    n, c = int(rng.integers(1, 3)), int(rng.integers(1, 4))
    dout = drawn(rng, n, *out_size(size, kernel, stride, pads), c)
    return _pool(drawn(rng, n, *size, c), drawn(rng, *kernel, c), dout, stride, pads)


SUBJECTS = (
    Subject("depthwise_forward", ("x", "w", "stride", "pads"), ("out",), _forward, CASES, _draw),
    Subject(
        name="depthwise_backward_input",
        parameters=("dout", "w", "x_shape", "stride", "pads"),
        outputs=("dx",),
        right=_backward_input,
        cases=CASES,
        draw=_draw,
        forward="depthwise_forward",
        gradients={"dx": "x"},
    ),
)
