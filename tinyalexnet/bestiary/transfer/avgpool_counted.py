"""Average-pooling in which padding counts: PyTorch's ``count_include_pad=True``, which is its default.

The package has the other one, of which what is right is made here: on images that are padded before.
"""

from __future__ import annotations

import numpy as np

from ...geometry import Pads, Pair, Window
from ...ops import avgpool
from ..avgpool import CASES, draw
from ..loops import windows
from ..pools import REFERENCE, out_size
from ..subject import Subject, wrong


def _forward(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    padded = np.pad(x, ((0, 0), *pads, (0, 0)))
    return avgpool.avgpool_forward(padded, Window(kernel, stride), REFERENCE)


def _backward(dout: np.ndarray, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    n, h, w, c = x_shape
    (top, bottom), (left, right) = pads
    padded_shape = n, h + top + bottom, w + left + right, c
    dx = avgpool.avgpool_backward(dout, padded_shape, Window(kernel, stride), REFERENCE)
    return dx[:, top : top + h, left : left + w].copy()


def _out_zeros(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    n, h, w, c = x.shape
    return np.zeros((n, *out_size((h, w), kernel, stride, pads), c))


@wrong(
    "out",
    "The divisor is the number of pixels inside the image, as in TensorFlow, but here padding must count: it is KH·KW.",
    source="sonos/tract #2654",
    shown_by="padded",
)
def counted_inside_alone(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    out = _out_zeros(x, kernel, stride, pads)
    for (oh, ow), pixels in windows(x.shape[1:3], out.shape[1:3], kernel, stride, pads):
        out[:, oh, ow] = np.mean([x[:, h, i] for h, i in pixels], axis=0)
    return out


@wrong(
    "out",
    "The sum is divided by the rows of the kernel alone, but a window has KH·KW elements.",
    source="no public sighting known",
    shown_by="row-overlap",
)
def counted_rows(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    out = _out_zeros(x, kernel, stride, pads)
    for (oh, ow), pixels in windows(x.shape[1:3], out.shape[1:3], kernel, stride, pads):
        out[:, oh, ow] = np.sum([x[:, h, i] for h, i in pixels], axis=0) / kernel[0]
    return out


@wrong(
    "dx",
    "At the border the gradient is divided by the number of pixels inside the image, but the forward counted "
    "padding, so it must be divided by KH·KW.",
    source="related: tracel-ai/burn #5604, whose two divisors differ",
    shown_by="padded",
)
def counted_dx_inside_alone(
    dout: np.ndarray, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for (oh, ow), pixels in windows((x_shape[1], x_shape[2]), dout.shape[1:3], kernel, stride, pads):
        for h, i in pixels:
            dx[:, h, i] += dout[:, oh, ow] / len(pixels)
    return dx


@wrong(
    "dx",
    "Each window of a counted average overwrites dx (=), but the shares of overlapping windows must be added (+=).",
    source="no public sighting known",
    shown_by="row-overlap",
)
def counted_dx_assigns(
    dout: np.ndarray, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for (oh, ow), pixels in windows((x_shape[1], x_shape[2]), dout.shape[1:3], kernel, stride, pads):
        for h, i in pixels:
            dx[:, h, i] = dout[:, oh, ow] / (kernel[0] * kernel[1])
    return dx


SUBJECTS = (
    Subject(
        "avgpool_counted_forward",
        ("x", "kernel", "stride", "pads"),
        ("out",),
        _forward,
        CASES,
        draw,
        beasts=(counted_inside_alone, counted_rows),
    ),
    Subject(
        name="avgpool_counted_backward",
        parameters=("dout", "x_shape", "kernel", "stride", "pads"),
        outputs=("dx",),
        right=_backward,
        cases=CASES,
        draw=draw,
        forward="avgpool_counted_forward",
        gradients={"dx": "x"},
        beasts=(counted_dx_inside_alone, counted_dx_assigns),
    ),
)
