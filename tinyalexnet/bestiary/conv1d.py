"""Convolution in one dimension: cross-correlation of a row with a kernel, without padding, stride 1.

The package has none. What is right is its two-dimensional one, on an image of one row.
"""

from __future__ import annotations

import numpy as np

from ..geometry import Window
from ..ops import conv2d
from .pools import REFERENCE, array, drawn, integers
from .subject import Case, Pool, Subject


def _forward(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    bias = np.zeros(1)
    out = conv2d.conv2d_forward(_row(x), w[np.newaxis, :, np.newaxis, np.newaxis], bias, *_options(w))
    return out.ravel()


def _backward(dout: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    filters = w[np.newaxis, :, np.newaxis, np.newaxis]
    dx = conv2d.conv2d_backward_input(_row(dout), filters, _row(x).shape, *_options(w))
    dw, _ = conv2d.conv2d_backward_params(_row(dout), _row(x), *_options(w))
    return dx.ravel(), dw.ravel()


def _row(x: np.ndarray) -> np.ndarray:
    return x[np.newaxis, np.newaxis, :, np.newaxis]


def _options(w: np.ndarray) -> tuple[Window, int, str, str]:
    return Window((1, len(w))), 1, "gemm", REFERENCE


def _pool(x: np.ndarray, w: np.ndarray, dout: np.ndarray) -> Pool:
    return {"x": x, "w": w, "dout": dout}


CASES = (
    Case("one-output", _pool(array(3, 1), array(2, -1), array(2))),
    Case("two-outputs", _pool(array(3, 1, 4, 2), array(2, -1, 1), array(1, 3))),
    Case("short-kernel", _pool(integers(51, 6), array(1, -3), integers(52, 5))),
    Case("long", _pool(integers(53, 9), integers(54, 4), integers(55, 6))),
)


def _draw(rng: np.random.Generator) -> Pool:
    length = int(rng.integers(1, 9))
    kernel = int(rng.integers(1, length + 1))
    return _pool(drawn(rng, length), drawn(rng, kernel), drawn(rng, length - kernel + 1))


SUBJECTS = (
    Subject("conv1d_forward", ("x", "w"), ("out",), _forward, CASES, _draw),
    Subject(
        name="conv1d_backward",
        parameters=("dout", "x", "w"),
        outputs=("dx", "dw"),
        right=_backward,
        cases=CASES,
        draw=_draw,
        forward="conv1d_forward",
        gradients={"dx": "x", "dw": "w"},
    ),
)
