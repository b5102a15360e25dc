"""Dilated convolution: the kernel's positions are ``dilation`` pixels apart.

The package has none. What is right is its convolution, with zeros between the elements of the filters.
"""

from __future__ import annotations

import numpy as np

from ...geometry import Pads, Pair, Window
from ...ops import conv2d
from ..conv2d.cases import one_filter
from ..loops import products, turned
from ..pools import REFERENCE, array, draw_window, drawn, image, integers, out_size
from ..subject import Case, Pool, Subject, wrong


def _spread(w: np.ndarray, dilation: Pair) -> np.ndarray:
    """The filters with dilation - 1 zeros between neighbouring elements."""
    wide = np.zeros((*_reach((w.shape[0], w.shape[1]), dilation), *w.shape[2:]))
    wide[:: dilation[0], :: dilation[1]] = w
    return wide


def _reach(kernel: Pair, dilation: Pair) -> Pair:
    """The rows and columns from the first element of a dilated kernel to its last."""
    return (kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1


def _forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads, dilation: Pair) -> np.ndarray:
    wide = _spread(w, dilation)
    window = Window((wide.shape[0], wide.shape[1]), stride, pads)
    return conv2d.conv2d_forward(x, wide, b, window, 1, "gemm", REFERENCE)


def _backward_input(
    dout: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], stride: Pair, pads: Pads, dilation: Pair
) -> np.ndarray:
    wide = _spread(w, dilation)
    window = Window((wide.shape[0], wide.shape[1]), stride, pads)
    return conv2d.conv2d_backward_input(dout, wide, x_shape, window, 1, "gemm", REFERENCE)


def _pool(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, dout: np.ndarray, stride: Pair, pads: Pads, dilation: Pair
) -> Pool:
    options = {"stride": stride, "pads": pads, "dilation": dilation, "kernel": (w.shape[0], w.shape[1])}
    return {"x": x, "w": w, "b": b, "dout": dout, "x_shape": x.shape, "w_shape": w.shape, **options}


def _integers(
    seed: int, x_shape: tuple[int, ...], w_shape: tuple[int, ...], stride: Pair, pads: Pads, dilation: Pair
) -> Pool:
    out = out_size((x_shape[1], x_shape[2]), _reach((w_shape[0], w_shape[1]), dilation), stride, pads)
    dout = integers(seed, x_shape[0], *out, w_shape[3])
    x, w, b = integers(seed + 1, *x_shape), integers(seed + 2, *w_shape), integers(seed + 3, w_shape[3])
    return _pool(x, w, b, dout, stride, pads, dilation)


NONE = ((0, 0), (0, 0))

CASES = (
    Case("row", _pool(image([3, 1, 4, 2]), one_filter([2, -1]), array(1), image([1, 3]), (1, 1), NONE, (1, 2))),
    Case("square", _integers(121, (1, 4, 4, 1), (2, 2, 1, 1), (1, 1), NONE, (2, 3))),
    Case("padded", _integers(122, (1, 3, 5, 1), (2, 3, 1, 1), (1, 2), ((2, 0), (0, 1)), (3, 2))),
    Case("channels", _integers(123, (2, 5, 5, 2), (3, 2, 2, 3), (1, 3), ((0, 1), (1, 0)), (2, 2))),
)


def _draw(rng: np.random.Generator) -> Pool:
    size, kernel, stride, pads = draw_window(rng)
    dilation = [1, 1]
    for axis in range(2):
        room = size[axis] + sum(pads[axis]) - 1
        dilation[axis] = int(rng.integers(1, min(3, room // max(kernel[axis] - 1, 1) or 1) + 1))
    n, c, f = (int(length) for length in rng.integers(1, 4, 3))
    out = out_size(size, _reach(kernel, (dilation[0], dilation[1])), stride, pads)
    x, w = drawn(rng, n, *size, c), drawn(rng, *kernel, c, f)
    return _pool(x, w, drawn(rng, f), drawn(rng, n, *out, f), stride, pads, (dilation[0], dilation[1]))


def _sum_of_products(out: np.ndarray, x: np.ndarray, w: np.ndarray, stride: Pair, pads: Pads, dilation: Pair) -> None:
    """Adds the products to ``out``: right for the right dilation."""
    for output, pixel, weight in products(out.shape, x.shape, w.shape, stride, pads, 1, dilation):
        out[output] += x[pixel] * w[weight]


def _biases(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads, dilation: Pair) -> np.ndarray:
    reach = _reach((w.shape[0], w.shape[1]), dilation)
    return np.zeros((len(x), *out_size((x.shape[1], x.shape[2]), reach, stride, pads), w.shape[3])) + b


@wrong(
    "out",
    "The dilation changes the size of the output alone, but each window must have its rows dilation_h and its "
    "columns dilation_w apart.",
    source="no public sighting known",
    shown_by="row",
)
def dilation_ignored(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads, dilation: Pair
) -> np.ndarray:
    out = _biases(x, w, b, stride, pads, dilation)
    _sum_of_products(out, x, w, stride, pads, (1, 1))
    return out


@wrong(
    "out",
    "The dilation is taken for the number of pixels between two positions, but dilation - 1 pixels lie between them.",
    source="Lasagne/Lasagne #707, its docstring; so counted in ddbourgin/numpy-ml",
    shown_by="row",
)
def dilation_off_by_one(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads, dilation: Pair
) -> np.ndarray:
    out = _biases(x, w, b, stride, pads, dilation)
    _sum_of_products(out, x, w, stride, pads, (dilation[0] + 1, dilation[1] + 1))
    return out


@wrong(
    "out",
    "The dilation of columns is taken for rows and that of rows for columns, but dilation is (dilation_h, dilation_w).",
    source="mlpack/mlpack #4050",
    shown_by="row",
)
def dilations_exchanged(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pads: Pads, dilation: Pair
) -> np.ndarray:
    out = _biases(x, w, b, stride, pads, dilation)
    _sum_of_products(out, x, w, stride, pads, dilation[::-1])
    return out


@wrong(
    "dx",
    "dx slides the dilated kernel over dout as it is, but a dilated kernel must be turned by 180 degrees like any "
    "other.",
    source="no public sighting known",
    shown_by="row",
)
def dilated_kernel_not_turned(
    dout: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], stride: Pair, pads: Pads, dilation: Pair
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for output, pixel, weight in products(dout.shape, x_shape, w.shape, stride, pads, 1, dilation):
        dx[pixel] += dout[output] * w[turned(weight, w.shape)]
    return dx


@wrong(
    "dx",
    "The backward leaves out the dilation, but position (kh, kw) met the pixel that is kh·dilation_h rows and "
    "kw·dilation_w columns further.",
    source="no public sighting known",
    shown_by="row",
)
def dilated_dx_dilation_ignored(
    dout: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], stride: Pair, pads: Pads, dilation: Pair
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for output, pixel, weight in products(dout.shape, x_shape, w.shape, stride, pads):
        dx[pixel] += dout[output] * w[weight]
    return dx


@wrong(
    "dx",
    "Stride and dilation are exchanged in dx, but the next output must move the window by the stride, and the "
    "next position by the dilation.",
    source="huggingface/candle #2337; iree-org/iree-turbine #1223",
    shown_by="row",
)
def dilated_dx_stride_exchanged(
    dout: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], stride: Pair, pads: Pads, dilation: Pair
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for output, pixel, weight in products(dout.shape, x_shape, w.shape, dilation, pads, 1, stride):
        dx[pixel] += dout[output] * w[weight]
    return dx


SUBJECTS = (
    Subject(
        name="dilated_conv2d_forward",
        parameters=("x", "w", "b", "stride", "pads", "dilation"),
        outputs=("out",),
        right=_forward,
        cases=CASES,
        draw=_draw,
        beasts=(dilation_ignored, dilation_off_by_one, dilations_exchanged),
    ),
    Subject(
        name="dilated_conv2d_backward_input",
        parameters=("dout", "w", "x_shape", "stride", "pads", "dilation"),
        outputs=("dx",),
        right=_backward_input,
        cases=CASES,
        draw=_draw,
        forward="dilated_conv2d_forward",
        gradients={"dx": "x"},
        beasts=(dilated_kernel_not_turned, dilated_dx_dilation_ignored, dilated_dx_stride_exchanged),
    ),
)
