"""The dense layer."""

from __future__ import annotations

import numpy as np

from ...bestiary import SUBJECTS
from ...bestiary.subject import Pool
from ..exercise import Bug, Exercise, Fill, Predict, Question, Speed


def _by_hand() -> tuple[float, ...]:
    x, w, b = np.array([[1.0, 2], [3, -1]]), np.array([[2.0, 1], [-3, 4]]), np.array([1.0, 0])
    out = SUBJECTS["dense_forward"].right(x, w, b)
    dx, dw, db = SUBJECTS["dense_backward"].right(np.array([[2.0, -1], [1, 3]]), x, w)
    return float(out[1, 0]), float(dx[0, 1]), float(dw[0, 0]), float(db[0])


def _large() -> Pool:
    rng = np.random.default_rng(0)
    return {
        name: rng.integers(-4, 5, shape).astype(np.float64)
        for name, shape in {"x": (16, 32), "w": (32, 24), "b": (24,)}.items()
    }


EXERCISES = (
    Exercise(
        name="dense_by_hand",
        title="A dense layer by hand",
        task=Predict(
            (
                Question("out", "It asks for row 1 of x times column 0 of w, and the bias of that column."),
                Question("dx", "It asks for x[0,1], which meets row 1 of w: it reaches out[0,0] and out[0,1]."),
                Question("dw", "It asks for w[0,0], which both rows of x meet: it reaches out[0,0] and out[1,0]."),
                Question("db", "It asks for b[0], which is added in both rows: it reaches out[0,0] and out[1,0]."),
            ),
            _by_hand,
        ),
        hints=(
            "Which outputs have the element in their formula, and what is it multiplied by there?",
            "                 w    2   1\n"
            "                     -3   4\n"
            "x    1  2      out    .   .      dout    2  -1\n"
            "     3 -1             .   .              1   3\n"
            "x[0,1] = 2 is a factor in row 0 of out: times -3 on the left, times 4 on the right",
            "dx[0,1] = dout[0,0] * w[1,0] + dout[0,1] * w[1,1]",
        ),
    ),
    Exercise(
        name="dense_backward",
        title="Dense layer, backward",
        task=Fill("dense_backward"),
        hints=(
            "In the forward, c is summed. Which index must be summed for dx[n,c], which for dw[c,f] and for db[f]?",
            "dx (N, C)   from  dout (N, F)  and  w transposed (F, C)       F is summed\n"
            "dw (C, F)   from  x transposed (C, N)  and  dout (N, F)       N is summed\n"
            "db (F,)     from  dout (N, F)                                 N is summed",
            "dx = dout @ w.T, and x.T is the other array that must be transposed",
        ),
    ),
    Exercise(
        name="dense_bug",
        title="Dense layer, backward: a wrong gradient",
        task=Bug("dense_backward"),
        hints=(
            "With one row all three gradients are right. Which line depends on the number of rows, and should it?",
            "b   ->   out[0] = ... + b        dout[0]\n"
            "    ->   out[1] = ... + b        dout[1]\n"
            "    ->   out[2] = ... + b        dout[2]\n"
            "If b grows by 1, each of the three rows grows by 1: the changes of the loss are added",
            "db = dout.sum(axis=0)",
        ),
    ),
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
