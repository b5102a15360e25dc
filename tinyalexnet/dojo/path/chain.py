"""The chain rule on arrays."""

from __future__ import annotations

import numpy as np

from ...bestiary import SUBJECTS
from ..exercise import Exercise, Predict, Question


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
)
