"""The convolution in PyTorch's order of axes: x (N, C, H, W), w (F, C, KH, KW), out (N, F, OH, OW).

The package has NHWC alone. What is right is its convolution, with the axes exchanged before and after.
"""

from __future__ import annotations

import numpy as np

from ...geometry import Pads, Pair, Window
from ...ops import conv2d
from ..loops import meetings
from ..pools import REFERENCE, array, draw_window, drawn, integers, out_size
from ..subject import Case, Pool, Subject, wrong


def _nhwc(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def _nchw(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def _filters(w: np.ndarray) -> np.ndarray:
    """(KH, KW, C, F) of (F, C, KH, KW)."""
    return np.ascontiguousarray(w.transpose(2, 3, 1, 0))


def _forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads) -> np.ndarray:
    window = Window((w.shape[2], w.shape[3]), stride, pads)
    return _nchw(conv2d.conv2d_forward(_nhwc(x), _filters(w), b, window, 1, "gemm", REFERENCE))


def _backward_input(dout: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], stride: Pair, pads: Pads) -> np.ndarray:
    n, c, height, width = x_shape
    window = Window((w.shape[2], w.shape[3]), stride, pads)
    dx = conv2d.conv2d_backward_input(_nhwc(dout), _filters(w), (n, height, width, c), window, 1, "gemm", REFERENCE)
    return _nchw(dx)


def _pool(x: np.ndarray, w: np.ndarray, b: np.ndarray, dout: np.ndarray, stride: Pair, pads: Pads) -> Pool:
    options = {"stride": stride, "pads": pads, "kernel": (w.shape[2], w.shape[3])}
    return {"x": x, "w": w, "b": b, "dout": dout, "x_shape": x.shape, "w_shape": w.shape, **options}


def _integers(seed: int, x_shape: tuple[int, ...], w_shape: tuple[int, ...], stride: Pair, pads: Pads) -> Pool:
    out = out_size((x_shape[2], x_shape[3]), (w_shape[2], w_shape[3]), stride, pads)
    arrays = integers(seed, *x_shape), integers(seed + 1, *w_shape), integers(seed + 2, w_shape[0])
    return _pool(*arrays, integers(seed + 3, x_shape[0], w_shape[0], *out), stride, pads)


NONE = ((0, 0), (0, 0))

CASES = (
    Case("row", _pool(array([[[3, 1, 4]]]), array([[[2, -1]]]), array(1), array([[[1, 3]]]), (1, 1), NONE)),
    Case("two-channels", _integers(161, (1, 2, 2, 3), (1, 2, 2, 2), (1, 1), NONE)),
    Case("two-filters", _integers(162, (1, 2, 3, 3), (2, 2, 2, 2), (1, 2), ((1, 0), (0, 0)))),
    Case("all", _integers(163, (2, 3, 4, 5), (2, 3, 3, 2), (2, 1), ((0, 2), (1, 0)))),
)


def _draw(rng: np.random.Generator) -> Pool:
    size, kernel, stride, pads = draw_window(rng)
    n, c, f = (int(length) for length in rng.integers(1, 4, 3))
    dout = drawn(rng, n, f, *out_size(size, kernel, stride, pads))
    return _pool(drawn(rng, n, c, *size), drawn(rng, f, c, *kernel), drawn(rng, f), dout, stride, pads)


def _reshaped(x: np.ndarray) -> np.ndarray:
    """(N, H, W, C) with the elements in the order of (N, C, H, W)."""
    n, c, h, w = x.shape
    return x.reshape(n, h, w, c)


@wrong(
    "out",
    "The images are reshaped from NCHW to NHWC, which mixes pixels and channels, but their axes must be transposed.",
    source="related: onnx/tensorflow-onnx #187, right for one channel alone",
    shown_by="two-channels",
)
def nchw_reshaped(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads) -> np.ndarray:
    return _forward(_nchw(_reshaped(x)), w, b, stride, pads)


@wrong(
    "out",
    "The elements of w are read in the order (C, F, KH, KW), but in NCHW the filter must come first: (F, C, KH, KW).",
    source="related: apache/systemds #541",
    shown_by="two-filters",
)
def nchw_filters_exchanged(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads) -> np.ndarray:
    filters, channels, kernel_h, kernel_w = w.shape
    return _forward(x, w.reshape(channels, filters, kernel_h, kernel_w).swapaxes(0, 1), b, stride, pads)


@wrong(
    "out",
    "The padding of rows is used for columns and that of columns for rows, but the first pair is for H and the "
    "second for W.",
    source="the order of PyTorch's nn.functional.pad: the last axis first",
    shown_by="two-filters",
)
def nchw_pads_of_the_other_axis(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads) -> np.ndarray:
    out = np.zeros_like(_forward(x, w, b, stride, pads)) + b[:, np.newaxis, np.newaxis]
    for (oh, ow), (kh, kw), (h, i) in meetings(x.shape[2:], out.shape[2:], w.shape[2:], stride, (pads[1], pads[0])):
        out[:, :, oh, ow] += x[:, :, h, i] @ w[:, :, kh, kw].T
    return out


@wrong(
    "dx",
    "dx slides the NCHW kernel over dout as it is, but its last two axes must be turned by 180 degrees.",
    source="no public sighting known",
    shown_by="row",
)
def nchw_kernel_not_turned(
    dout: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], stride: Pair, pads: Pads
) -> np.ndarray:
    return _backward_input(dout, w[:, :, ::-1, ::-1], x_shape, stride, pads)


@wrong(
    "dx",
    "dx is reshaped from NHWC to NCHW, which mixes its pixels and channels, but its axes must be transposed.",
    source="related: tensorflow/tensorflow #30044",
    shown_by="two-channels",
)
def nchw_dx_reshaped(dout: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], stride: Pair, pads: Pads) -> np.ndarray:
    return _nhwc(_backward_input(dout, w, x_shape, stride, pads)).reshape(x_shape)


SUBJECTS = (
    Subject(
        "conv2d_nchw_forward",
        ("x", "w", "b", "stride", "pads"),
        ("out",),
        _forward,
        CASES,
        _draw,
        beasts=(nchw_reshaped, nchw_filters_exchanged, nchw_pads_of_the_other_axis),
        channels_first=True,
    ),
    Subject(
        name="conv2d_nchw_backward_input",
        parameters=("dout", "w", "x_shape", "stride", "pads"),
        outputs=("dx",),
        right=_backward_input,
        cases=CASES,
        draw=_draw,
        forward="conv2d_nchw_forward",
        gradients={"dx": "x"},
        beasts=(nchw_kernel_not_turned, nchw_dx_reshaped),
        channels_first=True,
    ),
)
