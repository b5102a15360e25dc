"""Dropout."""

from __future__ import annotations

import numpy as np

from ...bestiary import SUBJECTS
from ..exercise import Exercise, Fill, Predict, Question

RATE = 0.75


def _by_hand() -> tuple[float, ...]:
    x, dout, kept = np.array([2.0, -1, 6, 3]), np.array([3.0, 4, -1, 5]), np.array([True, False, True, False])
    forward, backward = SUBJECTS["dropout_forward"].right, SUBJECTS["dropout_backward"].right
    out, dx = forward(x, kept, RATE), backward(dout, kept, RATE)
    if_kept, if_dropped = (float(forward(x, np.full(4, all_kept), RATE)[3]) for all_kept in (True, False))
    return float(out[0]), float(dx[2]), float(dx[3]), (1 - RATE) * if_kept + RATE * if_dropped


EXERCISES = (
    Exercise(
        name="dropout_by_hand",
        title="Dropout by hand",
        task=Predict(
            (
                Question("out_0", "It asks for x[0] = 2, which is kept, divided by 1 - rate."),
                Question("dx_2", "It asks for dout[2] times the slope of out[2], as x[2] changes. Element 2 is kept."),
                Question("dx_3", "It asks for dout[3] times the slope of out[3], as x[3] changes. It was dropped."),
                Question("expected", "It asks for (1 - rate) times out[3] if kept, plus rate times out[3] if dropped."),
            ),
            _by_hand,
        ),
        hints=(
            "An element is kept, and its x grows by 1. By how much does its out grow?",
            "x       2    -1    6    3\n"
            "kept    yes  no    yes  no\n"
            "slope   4    0     4    0       of out, as x changes: 1 / (1 - rate) or 0\n"
            "dx      ?    ?     ?    ?       dout times the slope",
            "expected = (1 - 0.75) * 3 / (1 - 0.75) + 0.75 * 0",
        ),
    ),
    Exercise(
        name="dropout_backward",
        title="Dropout, backward",
        task=Fill("dropout_backward"),
        hints=(
            "With the mask given, dropout multiplies each element by a number. Which numbers are these?",
            "kept     True  False\nfactor   4     0         1 / (1 - 0.75), or 0\ndout     3     4\n"
            "dx       ?     ?         the same factors as in the forward",
            "dx = np.where(kept, dout / (1 - rate), 0.0)",
        ),
    ),
)
