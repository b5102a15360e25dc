"""Average-pooling in which padding counts: PyTorch's ``count_include_pad=True``, which is its default.

The package has the other one, of which what is right is made here: on images that are padded before.
"""

from __future__ import annotations

import numpy as np

from ...geometry import Pads, Pair, Window
from ...ops import avgpool
from ..avgpool import CASES, draw
from ..pools import REFERENCE
from ..subject import Subject


def _forward(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    padded = np.pad(x, ((0, 0), *pads, (0, 0)))
    return avgpool.avgpool_forward(padded, Window(kernel, stride), REFERENCE)


def _backward(dout: np.ndarray, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    n, h, w, c = x_shape
    (top, bottom), (left, right) = pads
    padded_shape = n, h + top + bottom, w + left + right, c
    dx = avgpool.avgpool_backward(dout, padded_shape, Window(kernel, stride), REFERENCE)
    return dx[:, top : top + h, left : left + w].copy()


SUBJECTS = (
    Subject("avgpool_counted_forward", ("x", "kernel", "stride", "pads"), ("out",), _forward, CASES, draw),
    Subject(
        name="avgpool_counted_backward",
        parameters=("dout", "x_shape", "kernel", "stride", "pads"),
        outputs=("dx",),
        right=_backward,
        cases=CASES,
        draw=draw,
        forward="avgpool_counted_forward",
        gradients={"dx": "x"},
    ),
)
