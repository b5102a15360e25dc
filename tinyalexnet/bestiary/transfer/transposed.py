"""Transposed convolution: as a forward, what conv2d's dx is.

Shapes are TensorFlow's: x (N, H, W, C), w (KH, KW, F, C), out (N, OH, OW, F), where OH = (H - 1) stride_h + KH less the
rows of ``pads``, which are cropped. The package has none. What is right is its dx of a convolution from F to C
channels.
"""

from __future__ import annotations

import numpy as np

from ...geometry import Pads, Pair, Window
from ...ops import conv2d
from ..conv2d.cases import one_filter
from ..loops import exchanged, meetings, products, turned
from ..pools import REFERENCE, draw_window, drawn, image, integers, out_size
from ..subject import Case, Pool, Subject, wrong


def _size(size: Pair, kernel: Pair, stride: Pair, pads: Pads) -> Pair:
    height, width = ((n - 1) * s + k - sum(p) for n, k, s, p in zip(size, kernel, stride, pads, strict=True))
    return height, width


def _forward(x: np.ndarray, w: np.ndarray, stride: Pair, pads: Pads) -> np.ndarray:
    kernel = w.shape[0], w.shape[1]
    out_shape = (x.shape[0], *_size((x.shape[1], x.shape[2]), kernel, stride, pads), w.shape[2])
    return conv2d.conv2d_backward_input(x, w, out_shape, Window(kernel, stride, pads), 1, "gemm", REFERENCE)


def _backward_input(dout: np.ndarray, w: np.ndarray, stride: Pair, pads: Pads) -> np.ndarray:
    window = Window((w.shape[0], w.shape[1]), stride, pads)
    return conv2d.conv2d_forward(dout, w, np.zeros(w.shape[3]), window, 1, "gemm", REFERENCE)


def _pool(x: np.ndarray, w: np.ndarray, dout: np.ndarray, stride: Pair, pads: Pads) -> Pool:
    options = {"stride": stride, "pads": pads, "kernel": (w.shape[0], w.shape[1])}
    return {"x": x, "w": w, "dout": dout, "x_shape": x.shape, "w_shape": w.shape, **options}


def _integers(seed: int, x_shape: tuple[int, ...], w_shape: tuple[int, ...], stride: Pair, pads: Pads) -> Pool:
    out = _size((x_shape[1], x_shape[2]), (w_shape[0], w_shape[1]), stride, pads)
    dout = integers(seed, x_shape[0], *out, w_shape[2])
    return _pool(integers(seed + 1, *x_shape), integers(seed + 2, *w_shape), dout, stride, pads)


NONE = ((0, 0), (0, 0))

CASES = (
    Case("row", _pool(image([3, 1]), one_filter([2, -1]), image([1, 3, -2]), (1, 1), NONE)),
    Case("strided", _pool(image([3, 1]), one_filter([2, -1, 1]), image([1, 3, -2, 2, 4]), (1, 2), NONE)),
    Case("cropped", _integers(131, (1, 3, 2, 1), (2, 3, 1, 1), (1, 2), ((1, 0), (0, 1)))),
    Case("channels", _integers(132, (2, 2, 3, 2), (3, 2, 3, 2), (2, 1), ((0, 1), (1, 0)))),
)


def _draw(rng: np.random.Generator) -> Pool:
    size, kernel, stride, pads = draw_window(rng, most=4, pads_below_kernel=True)
    pads = tuple((a, b) if a + b < k else (a, 0) for (a, b), k in zip(pads, kernel, strict=True))  # type: ignore[assignment]
    n, c, f = (int(length) for length in rng.integers(1, 4, 3))
    dout = drawn(rng, n, *_size(size, kernel, stride, pads), f)
    return _pool(drawn(rng, n, *size, c), drawn(rng, *kernel, f, c), dout, stride, pads)


def _out_zeros(x: np.ndarray, w: np.ndarray, stride: Pair, pads: Pads) -> np.ndarray:
    return np.zeros((len(x), *_size((x.shape[1], x.shape[2]), (w.shape[0], w.shape[1]), stride, pads), w.shape[2]))


@wrong(
    "out",
    "Each input pixel overwrites the outputs under its kernel (=), but the copies of the kernel overlap and must "
    "be added (+=).",
    source="no public sighting known",
    shown_by="row",
)
def transpose_assigns(x: np.ndarray, w: np.ndarray, stride: Pair, pads: Pads) -> np.ndarray:
    out = _out_zeros(x, w, stride, pads)
    for pixel, (kh, kw), (oh, ow) in meetings(out.shape[1:3], x.shape[1:3], w.shape[:2], stride, pads):
        out[:, oh, ow] = x[:, pixel[0], pixel[1]] @ w[kh, kw].T
    return out


@wrong(
    "out",
    "The transposed convolution turns the kernel, but each pixel must spread the kernel as it is, w[0, 0] at the "
    "top left.",
    source="asked in vdumoulin/conv_arithmetic #4 and Theano/Theano #5170",
    shown_by="row",
)
def transpose_kernel_turned(x: np.ndarray, w: np.ndarray, stride: Pair, pads: Pads) -> np.ndarray:
    out = _out_zeros(x, w, stride, pads)
    for pixel, output, weight in products(x.shape, out.shape, w.shape, stride, pads):
        out[output] += x[pixel] * w[turned(weight, w.shape)]
    return out


@wrong(
    "out",
    "The copies of the kernel are one pixel apart, but in a transposed convolution they must be stride pixels apart.",
    source="sasagawa888/deeppipe2 #3",
    shown_by="strided",
)
def transpose_stride_ignored(x: np.ndarray, w: np.ndarray, stride: Pair, pads: Pads) -> np.ndarray:
    out = _out_zeros(x, w, stride, pads)
    for pixel, output, weight in products(x.shape, out.shape, w.shape, (1, 1), pads):
        out[output] += x[pixel] * w[weight]
    return out


@wrong(
    "out",
    "The transposed convolution crops by bottom at the top and by right at the left, but each side must lose its "
    "own padding.",
    source="robertknight/rten #1399",
    shown_by="cropped",
)
def transpose_cropped_on_the_wrong_side(x: np.ndarray, w: np.ndarray, stride: Pair, pads: Pads) -> np.ndarray:
    out = _out_zeros(x, w, stride, pads)
    for pixel, output, weight in products(x.shape, out.shape, w.shape, stride, exchanged(pads)):
        out[output] += x[pixel] * w[weight]
    return out


def _dx_zeros(dout: np.ndarray, w: np.ndarray, stride: Pair, pads: Pads) -> np.ndarray:
    size = out_size((dout.shape[1], dout.shape[2]), (w.shape[0], w.shape[1]), stride, pads)
    return np.zeros((len(dout), *size, w.shape[3]))


@wrong(
    "dx",
    "The backward of a transposed convolution turns the kernel, but it is a plain convolution and must turn nothing.",
    source="no public sighting known",
    shown_by="row",
)
def transpose_dx_kernel_turned(dout: np.ndarray, w: np.ndarray, stride: Pair, pads: Pads) -> np.ndarray:
    dx = _dx_zeros(dout, w, stride, pads)
    for pixel, output, weight in products(dx.shape, dout.shape, w.shape, stride, pads):
        dx[pixel] += dout[output] * w[turned(weight, w.shape)]
    return dx


@wrong(
    "dx",
    "The backward of a transposed convolution has stride 1, but its windows must be as far apart as the copies "
    "that the forward wrote.",
    source="related: huggingface/candle #2337",
    shown_by="strided",
)
def transpose_dx_stride_ignored(dout: np.ndarray, w: np.ndarray, stride: Pair, pads: Pads) -> np.ndarray:
    dx = _dx_zeros(dout, w, stride, pads)
    for pixel, output, weight in products(dx.shape, dout.shape, w.shape, (1, 1), pads):
        dx[pixel] += dout[output] * w[weight]
    return dx


SUBJECTS = (
    Subject(
        "conv2d_transpose_forward",
        ("x", "w", "stride", "pads"),
        ("out",),
        _forward,
        CASES,
        _draw,
        beasts=(
            transpose_assigns,
            transpose_kernel_turned,
            transpose_stride_ignored,
            transpose_cropped_on_the_wrong_side,
        ),
    ),
    Subject(
        name="conv2d_transpose_backward_input",
        parameters=("dout", "w", "stride", "pads"),
        outputs=("dx",),
        right=_backward_input,
        cases=CASES,
        draw=_draw,
        forward="conv2d_transpose_forward",
        gradients={"dx": "x"},
        beasts=(transpose_dx_kernel_turned, transpose_dx_stride_ignored),
    ),
)
