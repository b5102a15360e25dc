"""The chain rule on arrays."""

from __future__ import annotations

import numpy as np

from ...bestiary import SUBJECTS
from ..exercise import Exercise, Fill, Predict, Question


def _inner_product() -> tuple[float, ...]:
    inner = SUBJECTS["inner"].right
    a, b, one = np.array([2.0, -1, 3]), np.array([4.0, 5, -2]), np.array([0.0, 1, 0])
    change = inner(a + one, b) - inner(a, b)
    return float(inner(a, b)), float(change), float(3 * change)


EXERCISES = (
    Exercise(
        name="inner_product",
        title="The inner product",
        task=Predict(
            (
                Question("s", "It asks for the sum of the three products a[0]·b[0], a[1]·b[1] and a[2]·b[2]."),
                Question("change", "It asks for the new s minus the old s, after a[1] alone grew by 1."),
                Question("slope", "It asks how much L = 3·s changes, where s changes as in question 2."),
            ),
            _inner_product,
        ),
        hints=(
            "Which of the three products change if a[1] grows from -1 to 0, and by how much?",
            "a      2   -1    3\nb      4    5   -2\na·b    8    ?    ?     s is the sum of this row",
            "change = (0 - (-1)) * b[1], and slope = 3 * change",
        ),
    ),
    Exercise(
        name="scale_backward",
        title="A gain for each column, backward",
        task=Fill("scale_backward"),
        hints=(
            "gain[c] grows by 1. Which outputs change, and by how much does each of them change?",
            "        gain[0]    gain[1]\n"
            "row 0   out[0,0]   out[0,1]\n"
            "row 1   out[1,0]   out[1,1]\n"
            "gain[0] reaches its whole column, x[1,0] reaches out[1,0] alone",
            "dgain = (dout * x).sum(axis=0), and dx is a product without a sum",
        ),
    ),
    Exercise(
        name="square_sum_backward",
        title="The sum of squares, backward",
        task=Fill("square_sum_backward"),
        hints=(
            "x grows from 3 by a little h. (3 + h)² = 9 + ...·h + h²: which number stands before h?",
            "x      s = x²    change of s for each 1 of x\n"
            "2.9    8.41\n"
            "3      9         (9.61 - 8.41) / (3.1 - 2.9) = ?\n"
            "3.1    9.61",
            "The slope of x² is 2 * x, and the chain rule multiplies it by dout",
        ),
    ),
)
