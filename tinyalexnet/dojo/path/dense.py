"""The dense layer."""

from __future__ import annotations

import numpy as np

from ...bestiary.subject import Pool
from ..exercise import Exercise, Speed


def _large() -> Pool:
    rng = np.random.default_rng(0)
    return {
        name: rng.integers(-4, 5, shape).astype(np.float64)
        for name, shape in {"x": (16, 32), "w": (32, 24), "b": (24,)}.items()
    }


EXERCISES = (
    Exercise(
        name="fast_dense",
        title="A dense layer without loops",
        task=Speed("dense_forward", factor=20, large=_large),
        hints=(
            "The innermost loop makes the sum of the products of a row of x and a column of w. What is its name?",
            "          w (C, F)\n"
            "          | | |\n"
            "x (N, C)  + + +\n"
            "  ------  out      out[n,f] = row n of x times column f of w, as in a product of matrices",
            "out = x @ w, and b is added to each row",
        ),
    ),
)
