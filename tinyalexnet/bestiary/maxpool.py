"""Max-pooling: docs/maxpool.md."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..geometry import Pads, Pair, Window
from ..ops import maxpool
from .loops import by_position, exchanged, windows
from .pools import REFERENCE, array, draw_window, drawn, image, integers, out_size
from .subject import Case, Pool, Subject, wrong


def _forward(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    return maxpool.maxpool_forward(x, Window(kernel, stride, pads), REFERENCE)[0]


def _backward(dout: np.ndarray, x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    window = Window(kernel, stride, pads)
    argmax = maxpool.maxpool_forward(x, window, REFERENCE)[1]
    return maxpool.maxpool_backward(dout, argmax, x.shape, window, REFERENCE)


def _pool(x: np.ndarray, dout: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> Pool:
    return {"x": x, "dout": dout, "x_shape": x.shape, "kernel": kernel, "stride": stride, "pads": pads}


def _integers(seed: int, shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads) -> Pool:
    n, h, w, c = shape
    dout = integers(seed + 1, n, *out_size((h, w), kernel, stride, pads), c)
    return _pool(integers(seed, *shape), dout, kernel, stride, pads)


NONE = ((0, 0), (0, 0))

CASES = (
    Case("row-overlap", _pool(image([1, 4, 2]), image([2, 3]), (1, 2), (1, 1), NONE)),
    Case("tie", _pool(image([1, 3], [3, 2]), image([-2]), (2, 2), (1, 1), NONE)),
    Case("channels", _pool(array([[1, 4], [2, 3]])[np.newaxis], array([[5, -3]])[np.newaxis], (1, 2), (1, 1), NONE)),
    Case("negative-padded", _pool(image([-3, -1], [-2, -4]), image([1, 2], [3, -2]), (2, 1), (1, 1), ((1, 0), (0, 0)))),
    Case("overlap", _integers(31, (1, 5, 5, 1), (3, 3), (2, 2), NONE)),
    Case("one-sided", _integers(32, (1, 4, 5, 2), (3, 2), (2, 1), ((0, 2), (1, 0)))),
    Case("ragged", _integers(33, (2, 6, 5, 2), (2, 3), (3, 2), ((1, 0), (2, 1)))),
)


def _draw(rng: np.random.Generator) -> Pool:
    size, kernel, stride, pads = draw_window(rng, pads_below_kernel=True)
    n, c = int(rng.integers(1, 3)), int(rng.integers(1, 4))
    dout = drawn(rng, n, *out_size(size, kernel, stride, pads), c)
    return _pool(drawn(rng, n, *size, c), dout, kernel, stride, pads)


def _out_zeros(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    n, h, w, c = x.shape
    return np.zeros((n, *out_size((h, w), kernel, stride, pads), c))


@wrong(
    "out",
    "Padding takes part in the max-pool as zeros and wins over negative pixels, but padding must never win.",
    source="zylo117/Yet-Another-EfficientDet-Pytorch #352; expected in pytorch/pytorch #33384",
    shown_by="negative-padded",
)
def maxpool_padding_wins(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    out = _out_zeros(x, kernel, stride, pads)
    for (oh, ow), pixels in windows(x.shape[1:3], out.shape[1:3], kernel, stride, pads):
        out[:, oh, ow] = np.max([x[:, h, i] for h, i in pixels], axis=0)
        if len(pixels) < kernel[0] * kernel[1]:
            out[:, oh, ow] = np.maximum(out[:, oh, ow], 0)
    return out


@wrong(
    "out",
    "The search for the maximum starts at 0, so a window of negative pixels gives 0, but it must start at minus "
    "infinity.",
    source="no public sighting known",
    shown_by="negative-padded",
)
def maxpool_starts_at_zero(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    out = _out_zeros(x, kernel, stride, pads)
    for (oh, ow), pixels in windows(x.shape[1:3], out.shape[1:3], kernel, stride, pads):
        for h, i in pixels:
            out[:, oh, ow] = np.maximum(out[:, oh, ow], x[:, h, i])
    return out


@wrong(
    "out",
    "The largest magnitude wins and loses its sign, but the largest value must win.",
    source="no public sighting known",
    shown_by="negative-padded",
)
def maxpool_of_magnitudes(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    out = _out_zeros(x, kernel, stride, pads)
    for (oh, ow), pixels in windows(x.shape[1:3], out.shape[1:3], kernel, stride, pads):
        out[:, oh, ow] = np.max([abs(x[:, h, i]) for h, i in pixels], axis=0)
    return out


@wrong(
    "out",
    "The max-pool's padding is on the wrong sides, bottom and right exchanged with top and left, but its first "
    "window must start at row -top and column -left.",
    source="mil-tokyo/webdnn #796; tensorflow/tensorflow #7969",
    shown_by="negative-padded",
)
def maxpool_pads_exchanged(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    out = _out_zeros(x, kernel, stride, pads)
    for (oh, ow), pixels in windows(x.shape[1:3], out.shape[1:3], kernel, stride, exchanged(pads)):
        out[:, oh, ow] = np.max([x[:, h, i] for h, i in pixels], axis=0)
    return out


@wrong(
    "out",
    "One maximum is taken of all images and channels together, but each image and channel has its own.",
    source="no public sighting known",
    shown_by="channels",
)
def maxpool_of_all_channels(x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    out = _out_zeros(x, kernel, stride, pads)
    for (oh, ow), pixels in windows(x.shape[1:3], out.shape[1:3], kernel, stride, pads):
        out[:, oh, ow] = np.max([x[:, h, i] for h, i in pixels])
    return out


Winners = Iterator[tuple[tuple[int, ...], list[tuple[int, ...]]]]


def _winners(dout: np.ndarray, x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> Winners:
    """Each (n, oh, ow, c) with the indices (n, h, i, c) of all maxima of its window, row by row."""
    for (oh, ow), pixels in windows(x.shape[1:3], dout.shape[1:3], kernel, stride, pads):
        for n, c in np.ndindex(x.shape[0], x.shape[3]):
            largest = max(x[n, h, i, c] for h, i in pixels)
            yield (n, oh, ow, c), [(n, h, i, c) for h, i in pixels if x[n, h, i, c] == largest]


@wrong(
    "dx",
    "Each window overwrites the gradient of its winner (=), but a pixel that wins several windows must get the "
    "sum of their gradients (+=).",
    source="FluxML/NNlib.jl #205; 0809zheng/CS231n-assignment2019 #19",
    shown_by="row-overlap",
)
def maxpool_assigns(dout: np.ndarray, x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    dx = np.zeros_like(x)
    for output, winners in _winners(dout, x, kernel, stride, pads):
        dx[winners[0]] = dout[output]
    return dx


@wrong(
    "dx",
    "Each kernel position overwrites what earlier ones wrote into dx (=), with zeros where it is not the maximum, "
    "but the gradients of all positions must be added (+=).",
    source="related: FluxML/NNlib.jl #205, window by window",
    shown_by="row-overlap",
)
def maxpool_assigns_positions(dout: np.ndarray, x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    dx = np.zeros_like(x)
    winner = {output: winners[0] for output, winners in _winners(dout, x, kernel, stride, pads)}
    for (oh, ow), _, (h, i) in by_position(x.shape[1:3], dout.shape[1:3], kernel, stride, pads):
        for n, c in np.ndindex(x.shape[0], x.shape[3]):
            dx[n, h, i, c] = dout[n, oh, ow, c] if winner[n, oh, ow, c] == (n, h, i, c) else 0
    return dx


@wrong(
    "dx",
    "Every pixel that equals the maximum gets the whole gradient, but only one was copied to the output: the "
    "first in row-major order.",
    source="Theano/Theano #5248; apache/mxnet #1272",
    shown_by="tie",
)
def maxpool_every_maximum(dout: np.ndarray, x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    dx = np.zeros_like(x)
    for output, winners in _winners(dout, x, kernel, stride, pads):
        for pixel in winners:
            dx[pixel] += dout[output]
    return dx


@wrong(
    "dx",
    "Equal maxima share the gradient, as in TensorFlow's reduce_max, but in a max-pool the first one must get all "
    "of it.",
    source="tensorflow/tensorflow #4886, reduce_max",
    shown_by="tie",
)
def maxpool_shares_ties(dout: np.ndarray, x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    dx = np.zeros_like(x)
    for output, winners in _winners(dout, x, kernel, stride, pads):
        for pixel in winners:
            dx[pixel] += dout[output] / len(winners)
    return dx


@wrong(
    "dx",
    "The last of equal maxima gets the gradient, as with >= in the search, but the convention here is the first "
    "in row-major order.",
    source="no public sighting known",
    shown_by="tie",
)
def maxpool_last_of_equals(dout: np.ndarray, x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    dx = np.zeros_like(x)
    for output, winners in _winners(dout, x, kernel, stride, pads):
        dx[winners[-1]] += dout[output]
    return dx


@wrong(
    "dx",
    "Of equal maxima the first in column-major order gets the gradient, but the convention here is row by row.",
    source="FluxML/NNlib.jl #205",
    shown_by="tie",
)
def maxpool_column_major(dout: np.ndarray, x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    dx = np.zeros_like(x)
    for output, winners in _winners(dout, x, kernel, stride, pads):
        dx[min(winners, key=lambda pixel: (pixel[2], pixel[1]))] += dout[output]
    return dx


@wrong(
    "dx",
    "Every pixel of the window gets the gradient, but the output of a max-pool depends on the maximum alone.",
    source="no public sighting known",
    shown_by="row-overlap",
)
def maxpool_whole_window(dout: np.ndarray, x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    dx = np.zeros_like(x)
    for (oh, ow), pixels in windows(x.shape[1:3], dout.shape[1:3], kernel, stride, pads):
        for h, i in pixels:
            dx[:, h, i] += dout[:, oh, ow]
    return dx


@wrong(
    "dx",
    "The max-pool's padding is not cropped, so dx is shifted down by top and right by left, but row h of dx must "
    "be row h + top of the padded gradient.",
    source="related: FluxML/NNlib.jl #133; deeplearning4j/libnd4j #755",
    shown_by="negative-padded",
)
def maxpool_not_cropped(dout: np.ndarray, x: np.ndarray, kernel: Pair, stride: Pair, pads: Pads) -> np.ndarray:
    dx = np.zeros_like(x)
    for output, winners in _winners(dout, x, kernel, stride, pads):
        n, h, i, c = winners[0]
        if h + pads[0][0] < x.shape[1] and i + pads[1][0] < x.shape[2]:
            dx[n, h + pads[0][0], i + pads[1][0], c] += dout[output]
    return dx


SUBJECTS = (
    Subject(
        "maxpool_forward",
        ("x", "kernel", "stride", "pads"),
        ("out",),
        _forward,
        CASES,
        _draw,
        beasts=(
            maxpool_padding_wins,
            maxpool_starts_at_zero,
            maxpool_of_magnitudes,
            maxpool_pads_exchanged,
            maxpool_of_all_channels,
        ),
    ),
    Subject(
        name="maxpool_backward",
        parameters=("dout", "x", "kernel", "stride", "pads"),
        outputs=("dx",),
        right=_backward,
        cases=CASES,
        draw=_draw,
        forward="maxpool_forward",
        gradients={"dx": "x"},
        beasts=(
            maxpool_assigns,
            maxpool_assigns_positions,
            maxpool_every_maximum,
            maxpool_shares_ties,
            maxpool_last_of_equals,
            maxpool_column_major,
            maxpool_whole_window,
            maxpool_not_cropped,
        ),
    ),
)
