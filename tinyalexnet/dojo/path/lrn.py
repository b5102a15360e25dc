"""Local response normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..exercise import Bug, Derive, Exercise, Fill

STEP = 1e-30
"""Of a complex step: the derivative is the imaginary part of f(x + i h), divided by h, without a difference."""


def _slope(c: int, k: int, x: np.ndarray, radius: int, bias: float, alpha: float, beta: float) -> float:
    """The definition: how much out[k] changes with x[c]."""
    moved = x + 1j * STEP * (np.arange(len(x)) == c)
    squares = np.sum(moved[max(k - radius, 0) : k + radius + 1] ** 2)
    return float(np.imag(moved[k] * (bias + alpha * squares) ** -beta) / STEP)


def _cases() -> list[dict[str, Any]]:
    """All pairs of channels of three pixels."""
    pixels: tuple[tuple[list[float], dict[str, float]], ...] = (
        ([1, -1], {"radius": 1, "bias": 2.0, "alpha": 1.0, "beta": 1.0}),
        ([2, 0, 4, -2], {"radius": 1, "bias": 1.0, "alpha": 0.75, "beta": 0.5}),
        ([3, -1, 2, 1, -2], {"radius": 2, "bias": 1.0, "alpha": 0.5, "beta": 0.75}),
    )
    return [
        {"c": c, "k": k, "x": np.array(x, np.float64), **options}
        for x, options in pixels
        for c in range(len(x))
        for k in range(len(x))
    ]


EXERCISES = (
    Exercise(
        name="lrn_bug",
        title="LRN, forward",
        task=Bug("lrn_forward"),
        hints=(
            "Compute the scale of the example by hand, line by line as the code does. Where does it differ from 4?",
            "formula   scale = bias + alpha · (sum of squares)          2 + 1 · (1 + 1) = 4\n"
            "code      scale = bias + alpha ... · (sum of squares)      2 + ? · (1 + 1)",
            "scale = bias + alpha * squares (Caffe and PyTorch divide by the size of the window, this LRN does not)",
        ),
    ),
    Exercise(
        name="lrn_derive",
        title="The slope of one output of LRN",
        task=Derive(
            attribute="lrn_slope",
            parameters=("c", "k", "x", "radius", "bias", "alpha", "beta"),
            definition=_slope,
            cases=_cases,
            returns="a number",
        ),
        hints=(
            "out[k] is a product of x[k] and a power of the scale. Which of the two factors change with x[c]?",
            "out[k] = x[k] · scale[k]^-beta\n"
            "         |      |\n"
            "         |      changes if c is near k:  ∂scale[k]/∂x[c] = 2·alpha·x[c]\n"
            "         changes if c = k                and the power gives -beta·scale[k]^(-beta - 1)",
            "slope = scale**-beta if c == k else 0.0, and if c in near: slope -= 2 * alpha * beta * x[c] * x[k] * "
            "scale**(-beta - 1)",
        ),
    ),
    Exercise(
        name="lrn_backward",
        title="LRN, backward",
        task=Fill("lrn_backward"),
        hints=(
            "c is near k exactly if k is near c. So which outputs have x[c] in their scale?",
            "radius 1     x[c-2]   x[c-1]   x[c]   x[c+1]   x[c+2]\n"
            "                        |       |       |\n"
            "              out[c-1]    out[c]    out[c+1]     these three have x[c] in their scale,\n"
            "                            |                    and out[c] has it as numerator too",
            "second term of dx[..., c]: -2 * alpha * beta * x[..., c] * (sum over near[c] of dout·x·scale^(-beta - 1))",
        ),
    ),
)
