"""Convolution in one dimension: which elements meet."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bestiary import SUBJECTS
from ..exercise import Derive, Exercise, Fill, Predict, Question


def _by_hand() -> tuple[float, ...]:
    x, w, dout = np.array([1.0, 4, 2]), np.array([3.0, -2]), np.array([2.0, -1])
    out = SUBJECTS["conv1d_forward"].right(x, w)
    dx, dw = SUBJECTS["conv1d_backward"].right(dout, x, w)
    return float(out[1]), float(dx[0]), float(dx[1]), float(dw[0])


def _meeting(o: int, i: int, kernel: int) -> int | None:
    """The definition: the k whose element of x in the forward is i."""
    return next((k for k in range(kernel) if o + k == i), None)


def _cases() -> list[dict[str, Any]]:
    """All pairs of an output and an input, for a few sizes; first one that has an answer."""
    found = [{"o": 1, "i": 3, "kernel": 3}]
    for length, kernel in ((3, 2), (4, 1), (5, 3), (4, 4)):
        found += [
            {"o": o, "i": i, "kernel": kernel} for o in range(length - kernel + 1) for i in range(length)
        ]  # fmt: skip
    return found


EXERCISES = (
    Exercise(
        name="conv1d_by_hand",
        title="A convolution by hand",
        task=Predict(
            (
                Question("out", "It asks for out[1], whose window begins at x[1]."),
                Question("dx_edge", "It asks for dx[0]. x[0] lies in one window, where it meets w[0]."),
                Question("dx_inside", "It asks for dx[1]. x[1] lies in both windows, and meets another w in each."),
                Question("dw", "It asks for dw[0]. w[0] meets x[0] in out[0], and x[1] in out[1]."),
            ),
            _by_hand,
        ),
        hints=(
            "Write both outputs as sums of products. In which of the four products does the element stand?",
            "x          1      4          2\n"
            "out[0]    1·3 + 4·(-2)              dout[0] = 2\n"
            "out[1]          4·3    + 2·(-2)     dout[1] = -1\n"
            "x[1] = 4 stands in both rows, with another factor in each",
            "dx[1] = dout[0] * w[1] + dout[1] * w[0]",
        ),
    ),
    Exercise(
        name="conv1d_which",
        title="Which weight joins an output and an input",
        task=Derive(
            attribute="which_weight",
            parameters=("o", "i", "kernel"),
            definition=_meeting,
            cases=_cases,
            returns="an int, or None",
        ),
        hints=(
            "The forward reads x[o + k]. If this is x[i], what is k? Which k are indices of w?",
            "x     0    1    2    3    4\n"
            "o = 1      w[0] w[1] w[2]\n"
            "i = 3 is under w[2].   i = 0 and i = 4 are under no weight",
            "k = i - o, which counts if 0 <= k < kernel",
        ),
    ),
    Exercise(
        name="conv1d_backward",
        title="A convolution of a row, backward",
        task=Fill("conv1d_backward"),
        hints=(
            "The forward adds x[o + k] · w[k] to out[o]. Which two gradients does this one product give?",
            "out[0] = x0·w0 + x1·w1\n"
            "out[1] =         x1·w0 + x2·w1\n"
            "x1 is in both rows: its gradient has a term from each. The same is true of w0 and of w1",
            "For each o and k: dx[o + k] += dout[o] * w[k], and dw[k] likewise with x in place of w",
        ),
    ),
)
