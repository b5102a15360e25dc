"""Average-pooling: docs/avgpool.md.

Each window of these cases holds 1, 2, 4, 8 or 16 pixels, so that the means are exact.
"""

from __future__ import annotations

import numpy as np

from ..geometry import Pads, Pair, Window
from ..ops import avgpool
from .loops import by_position, exchanged, windows
from .pools import REFERENCE, drawn, image, integers, out_size
from .subject import Case, Pool, Subject, wrong


def _forward(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    return avgpool.avgpool_forward(x, Window(kernel, stride, pads), REFERENCE)


def _backward(dout: np.ndarray, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    return avgpool.avgpool_backward(dout, x_shape, Window(kernel, stride, pads), REFERENCE)


def pool(x: np.ndarray, dout: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> Pool:
    """All arguments of an average-pool's functions."""
    return {"x": x, "dout": dout, "x_shape": x.shape, "kernel": kernel, "stride": stride, "pads": pads}


def _integers(seed: int, shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads) -> Pool:
    n, h, w, c = shape
    dout = integers(seed + 1, n, *out_size((h, w), kernel, stride, pads), c)
    return pool(integers(seed, *shape), dout, kernel, stride, pads)


NONE = ((0, 0), (0, 0))

CASES = (
    Case("row-overlap", pool(image([1, 3, -2]), image([2, 4]), (1, 2), (1, 1), NONE)),
    Case("padded", pool(image([2, -1], [4, 3]), image([1, -2], [3, 4]), (2, 1), (1, 1), ((1, 0), (0, 0)))),
    Case("overlap", _integers(41, (1, 3, 4, 1), (2, 2), (1, 1), NONE)),
    Case("one-sided", _integers(42, (1, 5, 4, 2), (2, 2), (2, 1), ((1, 0), (0, 1)))),
    Case("ragged", _integers(43, (2, 6, 5, 2), (2, 4), (3, 1), ((0, 1), (0, 0)))),
)


def draw(rng: np.random.Generator) -> Pool:
    """A random geometry whose windows hold 2^k pixels."""
    size, kernel = [int(length) for length in rng.integers(1, 6, 2)], []
    sides = []
    for length in size:
        kernel.append(int(rng.choice([k for k in (1, 2, 4) if k <= length])))
        # Rows of padding leave a part of the kernel inside: one row of two.
        most = 1 if kernel[-1] == 2 else 0
        sides.append((int(rng.integers(0, most + 1)), int(rng.integers(0, most + 1))))
    stride, pads = (int(rng.integers(1, 4)), int(rng.integers(1, 4))), (sides[0], sides[1])
    n, c = int(rng.integers(1, 3)), int(rng.integers(1, 4))
    dout = drawn(rng, n, *out_size((size[0], size[1]), (kernel[0], kernel[1]), stride, pads), c)
    return pool(drawn(rng, n, *size, c), dout, (kernel[0], kernel[1]), stride, pads)


def _out_zeros(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    n, h, w, c = x.shape
    return np.zeros((n, *out_size((h, w), kernel, stride, pads), c))


@wrong(
    "out",
    "The sum is divided by KH·KW although a part of the window is padding, but only pixels of the image must count.",
    source="apache/tvm #1144; VeriSilicon/TIM-VX #423",
    shown_by="padded",
)
def avgpool_counts_padding(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    out = _out_zeros(x, kernel, stride, pads)
    for (oh, ow), pixels in windows(x.shape[1:3], out.shape[1:3], kernel, stride, pads):
        out[:, oh, ow] = np.sum([x[:, h, i] for h, i in pixels], axis=0) / (kernel[0] * kernel[1])
    return out


@wrong(
    "out",
    "The sum over the window is not divided, but an average-pool must give the mean.",
    source="no public sighting known",
    shown_by="row-overlap",
)
def avgpool_sums(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    out = _out_zeros(x, kernel, stride, pads)
    for (oh, ow), pixels in windows(x.shape[1:3], out.shape[1:3], kernel, stride, pads):
        out[:, oh, ow] = np.sum([x[:, h, i] for h, i in pixels], axis=0)
    return out


@wrong(
    "out",
    "The average-pool's padding is on the wrong sides, bottom and right exchanged with top and left, but its "
    "first window must start at row -top and column -left.",
    source="tensorflow/tensorflow #7969",
    shown_by="padded",
)
def avgpool_pads_exchanged(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    out = _out_zeros(x, kernel, stride, pads)
    for (oh, ow), pixels in windows(x.shape[1:3], out.shape[1:3], kernel, stride, exchanged(pads)):
        out[:, oh, ow] = np.mean([x[:, h, i] for h, i in pixels], axis=0)
    return out


@wrong(
    "dx",
    "Each window overwrites the shares of its pixels (=), but a pixel in several windows must get the sum of its "
    "shares (+=).",
    source="no public sighting known",
    shown_by="row-overlap",
)
def avgpool_assigns(dout: np.ndarray, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    dx = np.zeros(x_shape)
    for (oh, ow), pixels in windows(x_shape[1:3], dout.shape[1:3], kernel, stride, pads):
        for h, i in pixels:
            dx[:, h, i] = dout[:, oh, ow] / len(pixels)
    return dx


@wrong(
    "dx",
    "Each kernel position overwrites the shares that earlier positions wrote (=), but a pixel in several windows must "
    "get the sum of all its shares (+=).",
    source="docs/checking.md, its average-pool",
    shown_by="row-overlap",
)
def avgpool_assigns_positions(
    dout: np.ndarray, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads
) -> np.ndarray:
    dx, size = np.zeros(x_shape), (x_shape[1], x_shape[2])
    count = {output: len(pixels) for output, pixels in windows(size, dout.shape[1:3], kernel, stride, pads)}
    for (oh, ow), _, (h, i) in by_position(size, dout.shape[1:3], kernel, stride, pads):
        dx[:, h, i] = dout[:, oh, ow] / count[oh, ow]
    return dx


@wrong(
    "dx",
    "The gradient is divided by KH·KW at the border too, but it must be divided by the number of pixels that were "
    "averaged, without padding.",
    source="tracel-ai/burn #5604; pytorch/pytorch #198119",
    shown_by="padded",
)
def avgpool_divides_by_kernel(
    dout: np.ndarray, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for (oh, ow), pixels in windows(x_shape[1:3], dout.shape[1:3], kernel, stride, pads):
        for h, i in pixels:
            dx[:, h, i] += dout[:, oh, ow] / (kernel[0] * kernel[1])
    return dx


@wrong(
    "dx",
    "Each pixel gets the whole gradient of its average, but the forward divided by the number of pixels, so the "
    "gradient must be divided too.",
    source="no public sighting known",
    shown_by="row-overlap",
)
def avgpool_not_divided(
    dout: np.ndarray, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for (oh, ow), pixels in windows(x_shape[1:3], dout.shape[1:3], kernel, stride, pads):
        for h, i in pixels:
            dx[:, h, i] += dout[:, oh, ow]
    return dx


@wrong(
    "dx",
    "One pixel of each window gets the gradient, as in a max-pool, but all pixels that were averaged must get "
    "equal shares.",
    source="no public sighting known",
    shown_by="row-overlap",
)
def avgpool_to_one_pixel(
    dout: np.ndarray, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for (oh, ow), pixels in windows(x_shape[1:3], dout.shape[1:3], kernel, stride, pads):
        h, i = pixels[0]
        dx[:, h, i] += dout[:, oh, ow]
    return dx


@wrong(
    "dx",
    "The average-pool's padding is not cropped: dx is the top left corner of the padded gradient, but it must be "
    "the part from row top and column left on.",
    source="no public sighting known",
    shown_by="padded",
)
def avgpool_not_cropped(
    dout: np.ndarray, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for (oh, ow), pixels in windows(x_shape[1:3], dout.shape[1:3], kernel, stride, pads):
        for h, i in pixels:
            if h + pads[0][0] < x_shape[1] and i + pads[1][0] < x_shape[2]:
                dx[:, h + pads[0][0], i + pads[1][0]] += dout[:, oh, ow] / len(pixels)
    return dx


SUBJECTS = (
    Subject(
        "avgpool_forward",
        ("x", "kernel", "stride", "pads"),
        ("out",),
        _forward,
        CASES,
        draw,
        beasts=(avgpool_counts_padding, avgpool_sums, avgpool_pads_exchanged),
    ),
    Subject(
        name="avgpool_backward",
        parameters=("dout", "x_shape", "kernel", "stride", "pads"),
        outputs=("dx",),
        right=_backward,
        cases=CASES,
        draw=draw,
        forward="avgpool_forward",
        gradients={"dx": "x"},
        beasts=(
            avgpool_assigns,
            avgpool_assigns_positions,
            avgpool_divides_by_kernel,
            avgpool_not_divided,
            avgpool_to_one_pixel,
            avgpool_not_cropped,
        ),
    ),
)
