"""The arithmetic of a window, without arrays: the size of an output, and SAME's padding."""

from __future__ import annotations

import numpy as np

from ..geometry import Pads, Pair, Window
from .pools import draw_window
from .subject import Case, Pool, Subject, wrong


def _output_size(size: Pair, kernel: Pair, stride: Pair, pads: Pads) -> Pair:
    return Window(kernel, stride, pads).output_size(size)


def _same_pads(size: Pair, kernel: Pair, stride: Pair) -> Pads:
    return Window(kernel, stride, "SAME").pads(size)


def _pool(size: Pair, kernel: Pair, stride: Pair, pads: Pads) -> Pool:
    return {"size": size, "kernel": kernel, "stride": stride, "pads": pads}


NONE = ((0, 0), (0, 0))

CASES = (
    Case("row", _pool((1, 4), (1, 2), (1, 1), NONE)),
    Case("even-kernel", _pool((4, 5), (2, 4), (1, 1), ((0, 1), (2, 1)))),
    Case("rest", _pool((6, 7), (3, 2), (2, 3), NONE)),
    Case("padded", _pool((7, 6), (3, 5), (2, 1), ((2, 0), (1, 2)))),
    Case("gaps", _pool((9, 8), (1, 2), (3, 4), ((0, 1), (2, 2)))),
    Case("alexnet", _pool((227, 227), (11, 11), (4, 4), NONE)),
)


def _draw(rng: np.random.Generator) -> Pool:
    return _pool(*draw_window(rng, most=12))


@wrong(
    "out_size",
    "The division is rounded up, as in Caffe's pools, but it must be rounded down: a window that does not fit "
    "whole is left out.",
    source="BVLC/caffe #4781; torch/nn #116",
    shown_by="rest",
)
def size_rounded_up(size: Pair, kernel: Pair, stride: Pair, pads: Pads) -> Pair:
    height, width = (-(-(n + sum(p) - k) // s) + 1 for n, k, s, p in zip(size, kernel, stride, pads, strict=True))
    return height, width


@wrong(
    "out_size",
    "The + 1 at the end is missing, but the first window counts too.",
    source="no public sighting known",
    shown_by="row",
)
def size_without_one(size: Pair, kernel: Pair, stride: Pair, pads: Pads) -> Pair:
    height, width = ((n + sum(p) - k) // s for n, k, s, p in zip(size, kernel, stride, pads, strict=True))
    return height, width


@wrong(
    "out_size",
    "The 1 is added before the division, but it must be added after it: the division gives the number of steps "
    "from the first window.",
    source="no public sighting known",
    shown_by="padded",
)
def size_one_before_division(size: Pair, kernel: Pair, stride: Pair, pads: Pads) -> Pair:
    height, width = ((n + sum(p) - k + 1) // s for n, k, s, p in zip(size, kernel, stride, pads, strict=True))
    return height, width


@wrong(
    "out_size",
    "The padding of one side is counted, but both sides make the image larger.",
    source="torch/cunn #39",
    shown_by="even-kernel",
)
def size_pads_once(size: Pair, kernel: Pair, stride: Pair, pads: Pads) -> Pair:
    height, width = ((n + max(p) - k) // s + 1 for n, k, s, p in zip(size, kernel, stride, pads, strict=True))
    return height, width


@wrong(
    "out_size",
    "The output size takes the stride of columns for rows and that of rows for columns, but stride is (stride_h, "
    "stride_w).",
    source="jefkine/zeta-learn #4; mlpack/mlpack #4050",
    shown_by="rest",
)
def size_strides_exchanged(size: Pair, kernel: Pair, stride: Pair, pads: Pads) -> Pair:
    height, width = ((n + sum(p) - k) // s + 1 for n, k, s, p in zip(size, kernel, stride[::-1], pads, strict=True))
    return height, width


def _sides(totals: list[int]) -> Pads:
    """The smaller half first."""
    rows, columns = totals
    return (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)


@wrong(
    "pads",
    "The odd row and column are added at the top and left, ONNX's SAME_LOWER, but TensorFlow's SAME must add them "
    "at the bottom and right.",
    source="tensorflow/tensorflow #7969; mil-tokyo/webdnn #796",
    shown_by="row",
)
def same_top_left(size: Pair, kernel: Pair, stride: Pair) -> Pads:
    rows, columns = _sides([sum(side) for side in _same_pads(size, kernel, stride)])
    return (rows[1], rows[0]), (columns[1], columns[0])


@wrong(
    "pads",
    "Half the kernel is added on each side, but SAME must add no more than ceil(size / stride) windows need.",
    source="taehoonlee/tensornets #25",
    shown_by="row",
)
def same_half_kernel(size: Pair, kernel: Pair, stride: Pair) -> Pads:
    return (kernel[0] // 2, kernel[0] // 2), (kernel[1] // 2, kernel[1] // 2)


@wrong(
    "pads",
    "The total is kernel - 1 whatever the stride, but with a stride above 1 the last window may need less.",
    source="vtjeng/MIPVerify.jl #23",
    shown_by="rest",
)
def same_stride_ignored(size: Pair, kernel: Pair, stride: Pair) -> Pads:
    return _sides([k - 1 for k in kernel])


@wrong(
    "pads",
    "The total is negative if the windows leave gaps, but it must be at least 0: SAME never crops.",
    source="no public sighting known",
    shown_by="gaps",
)
def same_negative(size: Pair, kernel: Pair, stride: Pair) -> Pads:
    return _sides([(-(-n // s) - 1) * s + k - n for n, k, s in zip(size, kernel, stride, strict=True)])


SUBJECTS = (
    Subject(
        "output_size",
        ("size", "kernel", "stride", "pads"),
        ("out_size",),
        _output_size,
        CASES,
        _draw,
        beasts=(size_rounded_up, size_without_one, size_one_before_division, size_pads_once, size_strides_exchanged),
    ),
    Subject(
        "same_pads",
        ("size", "kernel", "stride"),
        ("pads",),
        _same_pads,
        CASES,
        _draw,
        beasts=(same_top_left, same_half_kernel, same_stride_ignored, same_negative),
    ),
)
