"""PyTorch's padding="same", which is for stride 1 alone: it depends on the kernel and its dilation, not on the size.

The package has TensorFlow's rule. What is right is that rule for an image of one pixel, and a kernel that is as large
as the dilated one.
"""

from __future__ import annotations

import numpy as np

from ...geometry import Pads, Pair, Window
from ..subject import Case, Pool, Subject, wrong


def _right(kernel: Pair, dilation: Pair) -> Pads:
    reach = (kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1
    return Window(reach, 1, "SAME").pads((1, 1))


def _pool(kernel: Pair, dilation: Pair) -> Pool:
    return {"kernel": kernel, "dilation": dilation}


CASES = (
    Case("row", _pool((1, 2), (1, 1))),
    Case("odd-kernel", _pool((3, 5), (1, 1))),
    Case("dilated", _pool((2, 3), (1, 3))),
    Case("even-kernel", _pool((4, 2), (2, 5))),
)


def _draw(rng: np.random.Generator) -> Pool:
    kernel_h, kernel_w, dilation_h, dilation_w = (int(length) for length in rng.integers(1, 6, 4))
    return _pool((kernel_h, kernel_w), (dilation_h, dilation_w))


def _sides(totals: list[int]) -> Pads:
    """The smaller half first."""
    rows, columns = totals
    return (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)


@wrong(
    "pads",
    "Half of the dilated kernel is added on both sides, padding=k // 2, but an even kernel needs one less at the "
    "top and left.",
    source="taehoonlee/tensornets #25",
    shown_by="row",
)
def torch_same_half_kernel(kernel: Pair, dilation: Pair) -> Pads:
    half_h, half_w = (((k - 1) * d + 1) // 2 for k, d in zip(kernel, dilation, strict=True))
    return (half_h, half_h), (half_w, half_w)


@wrong(
    "pads",
    "The odd row and column of PyTorch's SAME are added at the top and left, but they must be at the bottom and "
    "right, as in TensorFlow.",
    source="related: mil-tokyo/webdnn #796",
    shown_by="row",
)
def torch_same_top_left(kernel: Pair, dilation: Pair) -> Pads:
    rows, columns = _sides([(k - 1) * d for k, d in zip(kernel, dilation, strict=True)])
    return (rows[1], rows[0]), (columns[1], columns[0])


@wrong(
    "pads",
    "The dilation is left out of PyTorch's SAME, but a dilated kernel needs (kernel - 1)·dilation in all.",
    source="no public sighting known",
    shown_by="dilated",
)
def torch_same_dilation_ignored(kernel: Pair, dilation: Pair) -> Pads:
    return _sides([k - 1 for k in kernel])


@wrong(
    "pads",
    "The whole dilated kernel is added, (kernel - 1)·dilation + 1 in all, but one less keeps the size.",
    source="no public sighting known",
    shown_by="row",
)
def torch_same_one_too_many(kernel: Pair, dilation: Pair) -> Pads:
    return _sides([(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)])


@wrong(
    "pads",
    "Each of the kernel's positions is counted dilation times, less 1, but only kernel - 1 steps lie between them: "
    "(kernel - 1)·dilation in all.",
    source="no public sighting known",
    shown_by="dilated",
)
def torch_same_steps_counted_wrong(kernel: Pair, dilation: Pair) -> Pads:
    return _sides([k * d - 1 for k, d in zip(kernel, dilation, strict=True)])


SUBJECTS = (
    Subject(
        "torch_same_pads",
        ("kernel", "dilation"),
        ("pads",),
        _right,
        CASES,
        _draw,
        beasts=(
            torch_same_half_kernel,
            torch_same_top_left,
            torch_same_dilation_ignored,
            torch_same_one_too_many,
            torch_same_steps_counted_wrong,
        ),
    ),
)
