"""The convolution and its two backwards: docs/conv2d.md."""

from __future__ import annotations

import numpy as np

from ...geometry import Pads, Pair, Window
from ...ops import conv2d
from ..pools import REFERENCE
from ..subject import Subject
from .cases import CASES, draw

Shape = tuple[int, ...]


def _forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads, groups: int) -> np.ndarray:
    window = Window((w.shape[0], w.shape[1]), stride, pads)
    return conv2d.conv2d_forward(x, w, b, window, groups, "gemm", REFERENCE)


def _backward_input(
    dout: np.ndarray, w: np.ndarray, x_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> np.ndarray:
    window = Window((w.shape[0], w.shape[1]), stride, pads)
    return conv2d.conv2d_backward_input(dout, w, x_shape, window, groups, "gemm", REFERENCE)


def _backward_params(
    dout: np.ndarray, x: np.ndarray, w_shape: Shape, stride: Pair, pads: Pads, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    window = Window((w_shape[0], w_shape[1]), stride, pads)
    return conv2d.conv2d_backward_params(dout, x, window, groups, "gemm", REFERENCE)


SUBJECTS = (
    Subject(
        name="conv2d_forward",
        parameters=("x", "w", "b", "stride", "pads", "groups"),
        outputs=("out",),
        right=_forward,
        cases=CASES,
        draw=draw,
    ),
    Subject(
        name="conv2d_backward_input",
        parameters=("dout", "w", "x_shape", "stride", "pads", "groups"),
        outputs=("dx",),
        right=_backward_input,
        cases=CASES,
        draw=draw,
        forward="conv2d_forward",
        gradients={"dx": "x"},
    ),
    Subject(
        name="conv2d_backward_params",
        parameters=("dout", "x", "w_shape", "stride", "pads", "groups"),
        outputs=("dw", "db"),
        right=_backward_params,
        cases=CASES,
        draw=draw,
        forward="conv2d_forward",
        gradients={"dw": "w", "db": "b"},
    ),
)
