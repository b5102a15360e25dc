"""Depthwise convolution: each channel has one filter of its own, w (KH, KW, C), and no bias.

The package has none. What is right is its convolution with a group for each channel.
"""

from __future__ import annotations

import numpy as np

from ...geometry import Pads, Pair, Window
from ...ops import conv2d
from ..loops import meetings
from ..pools import REFERENCE, array, draw_window, drawn, image, integers, out_size
from ..subject import Case, Pool, Subject, wrong


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


def _out_zeros(x: np.ndarray, w: np.ndarray, stride: Pair, pads: Pads) -> np.ndarray:
    size = out_size((x.shape[1], x.shape[2]), (w.shape[0], w.shape[1]), stride, pads)
    return np.zeros((len(x), *size, w.shape[2]))


@wrong(
    "out",
    "Each output channel sums over all channels, as in an ordinary convolution, but in a depthwise one each "
    "channel must stay alone.",
    source="no public sighting known",
    shown_by="two-channels",
)
def depthwise_sums_channels(x: np.ndarray, w: np.ndarray, stride: Pair, pads: Pads) -> np.ndarray:
    out = _out_zeros(x, w, stride, pads)
    for (oh, ow), (kh, kw), (h, i) in meetings(x.shape[1:3], out.shape[1:3], w.shape[:2], stride, pads):
        out[:, oh, ow] += (x[:, h, i] * w[kh, kw]).sum(axis=1, keepdims=True)
    return out


@wrong(
    "out",
    "The first channel's filter is used for all channels, but each channel has a filter of its own.",
    source="alexandrosstergiou/keras-DepthwiseConv3D #7; tensorflow/tensorflow #49933, its page",
    shown_by="two-channels",
)
def depthwise_one_filter(x: np.ndarray, w: np.ndarray, stride: Pair, pads: Pads) -> np.ndarray:
    out = _out_zeros(x, w, stride, pads)
    for (oh, ow), (kh, kw), (h, i) in meetings(x.shape[1:3], out.shape[1:3], w.shape[:2], stride, pads):
        out[:, oh, ow] += x[:, h, i] * w[kh, kw, 0]
    return out


@wrong(
    "dx",
    "dx slides the depthwise kernel over dout as it is, but the filter of each channel must be turned by 180 degrees.",
    source="no public sighting known",
    shown_by="row",
)
def depthwise_kernel_not_turned(
    dout: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], stride: Pair, pads: Pads
) -> np.ndarray:
    dx = np.zeros(x_shape)
    last_h, last_w = w.shape[0] - 1, w.shape[1] - 1
    for (oh, ow), (kh, kw), (h, i) in meetings(dx.shape[1:3], dout.shape[1:3], w.shape[:2], stride, pads):
        dx[:, h, i] += dout[:, oh, ow] * w[last_h - kh, last_w - kw]
    return dx


@wrong(
    "dx",
    "The stride is left out of the depthwise dx, but the window of output (oh, ow) starts at row oh stride_h and "
    "column ow stride_w.",
    source="related: yonghenglh6/DepthwiseConvolution #20",
    shown_by="strided",
)
def depthwise_dx_stride_ignored(
    dout: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], stride: Pair, pads: Pads
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for (oh, ow), (kh, kw), (h, i) in meetings(dx.shape[1:3], dout.shape[1:3], w.shape[:2], (1, 1), pads):
        dx[:, h, i] += dout[:, oh, ow] * w[kh, kw]
    return dx


@wrong(
    "dx",
    "The depthwise dx sums over the outputs of all channels, but a channel of x has a part in its own output "
    "channel alone.",
    source="no public sighting known",
    shown_by="two-channels",
)
def depthwise_dx_sums_channels(
    dout: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], stride: Pair, pads: Pads
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for (oh, ow), (kh, kw), (h, i) in meetings(dx.shape[1:3], dout.shape[1:3], w.shape[:2], stride, pads):
        dx[:, h, i] += (dout[:, oh, ow] * w[kh, kw]).sum(axis=1, keepdims=True)
    return dx


SUBJECTS = (
    Subject(
        "depthwise_forward",
        ("x", "w", "stride", "pads"),
        ("out",),
        _forward,
        CASES,
        _draw,
        beasts=(depthwise_sums_channels, depthwise_one_filter),
    ),
    Subject(
        name="depthwise_backward_input",
        parameters=("dout", "w", "x_shape", "stride", "pads"),
        outputs=("dx",),
        right=_backward_input,
        cases=CASES,
        draw=_draw,
        forward="depthwise_forward",
        gradients={"dx": "x"},
        beasts=(depthwise_kernel_not_turned, depthwise_dx_stride_ignored, depthwise_dx_sums_channels),
    ),
)
