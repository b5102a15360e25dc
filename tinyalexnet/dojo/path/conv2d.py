"""Convolution: which outputs an input meets."""

from __future__ import annotations

from typing import Any

from ...geometry import Window
from ..exercise import Derive, Exercise


def _meets(h: int, kernel_h: int, stride_h: int, pad_top: int, out_h: int) -> list[tuple[int, int]]:
    """The definition: all (oh, kh) whose row in the forward is h."""
    return [
        (oh, kh) for oh in range(out_h) for kh in range(kernel_h) if oh * stride_h + kh - pad_top == h
    ]  # fmt: skip


def _cases() -> list[dict[str, Any]]:
    """Every row of a few images."""
    found = []
    for size, kernel_h, stride_h, pad_top in ((4, 2, 1, 0), (5, 3, 2, 0), (6, 3, 2, 1), (7, 2, 3, 1), (5, 5, 1, 2)):
        out_h, _ = Window((kernel_h, 1), (stride_h, 1), ((pad_top, pad_top), (0, 0))).output_size((size, 1))
        for h in range(size):
            found.append({"h": h, "kernel_h": kernel_h, "stride_h": stride_h, "pad_top": pad_top, "out_h": out_h})
    return found


EXERCISES = (
    Exercise(
        name="which_windows",
        title="Which windows meet a row",
        task=Derive(
            attribute="which_windows",
            parameters=("h", "kernel_h", "stride_h", "pad_top", "out_h"),
            definition=_meets,
            cases=_cases,
            returns="a list of pairs (oh, kh)",
            ordered=False,
        ),
        hints=(
            "Take one kh. The equation h = oh·stride_h + kh - pad_top has one unknown: what is oh? When is it an int?",
            "stride_h = 2, kernel_h = 3, pad_top = 0:\n"
            "row h         0 1 2 3 4\n"
            "oh = 0   kh = 0 1 2\n"
            "oh = 1   kh =     0 1 2\n"
            "row 2 meets (oh, kh) = (0, 2) and (1, 0)",
            "oh, rest = divmod(h + pad_top - kh, stride_h), which counts if rest == 0 and 0 <= oh < out_h",
        ),
    ),
)
