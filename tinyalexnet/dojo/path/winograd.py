"""Fast convolutions."""

from __future__ import annotations

import numpy as np

from ...bestiary.subject import Pool
from ..exercise import Exercise, Fill, Speed


def _large() -> Pool:
    rng = np.random.default_rng(0)
    arrays = {
        name: rng.integers(-4, 5, shape).astype(np.float64)
        for name, shape in {"x": (2, 12, 12, 8), "w": (3, 3, 4, 16), "b": (16,)}.items()
    }
    return {**arrays, "stride": (1, 1), "pads": ((1, 1), (1, 1)), "groups": 2}


EXERCISES = (
    Exercise(
        name="winograd_f23",
        title="Winograd's F(2, 3)",
        task=Fill("winograd_f23"),
        hints=(
            "q1 + q2 is a sum of three products. Which ones are left after the others cancel?",
            "q1 + q2 =  x1·w1 + x2·w0 + x2·w2          out[0] = x0·w0 + x1·w1 + x2·w2\n"
            "q1 - q2 =  x1·w0 + x1·w2 + x2·w1          out[1] = x1·w0 + x2·w1 + x3·w2\n"
            "q0      =  x0·w0 - x2·w0\n"
            "q3      =  x1·w2 - x3·w2",
            "out[0] = q0 + q1 + q2, and out[1] likewise from q1, q2 and q3",
        ),
    ),
    Exercise(
        name="fast_conv2d",
        title="A fast convolution",
        task=Speed("conv2d_forward", factor=20, large=_large),
        hints=(
            "For one (kh, kw), which pixels of the padded image meet w[kh, kw], over all output pixels together?",
            "stride 2, kw = 1, OW = 3\n"
            "padded   . # . # . # .       columns 1, 3 and 5: every second one, from kw on\n"
            "times w[kh, kw], a matrix (CG, F): one product for all output pixels",
            "out += padded[:, kh : kh + OH*s_h : s_h, kw : kw + OW*s_w : s_w] @ w[kh, kw], for each group of channels",
        ),
        points=2,
    ),
)
