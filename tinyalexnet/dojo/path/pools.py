"""Max-pooling and average-pooling, and windows that overlap."""

from __future__ import annotations

import numpy as np

from ...bestiary import SUBJECTS
from ..exercise import Bug, Catch, Exercise, Fill, Predict, Question


def _average_by_hand() -> tuple[float, ...]:
    options = (1, 3), (1, 1), ((0, 0), (1, 1))
    out = SUBJECTS["avgpool_forward"].right(np.array([4.0, 2, 9]).reshape(1, 1, 3, 1), *options).ravel()
    dx = SUBJECTS["avgpool_backward"].right(np.array([2.0, 3, 4]).reshape(1, 1, 3, 1), (1, 1, 3, 1), *options).ravel()
    return float(out[1]), float(out[0]), float(dx[0]), float(dx[1])


EXERCISES = (
    Exercise(
        name="maxpool_forward",
        title="Max-pool, forward",
        task=Fill("maxpool_forward"),
        hints=(
            "top may be -1: padding. Which is the first row of the window that is in the image?",
            "row of the image    -1   0   1   2   3\n"
            "top = -1, KH = 3     P   #   #             rows 0 and 1 count: a slice from 0 to 2\n"
            "top = 1,  KH = 3             #   #   #     rows 1, 2 and 3 count: a slice from 1 to 4\n"
            "A slice in NumPy may end after the last row, but a negative begin counts from the end",
            "window = x[:, max(top, 0) : top + kernel[0], ...], then window.max(axis=(1, 2)); the columns as the rows",
        ),
    ),
    Exercise(
        name="maxpool_backward",
        title="Max-pool, backward",
        task=Bug("maxpool_backward"),
        hints=(
            "Can one pixel be the maximum of two windows? If it grows, how many outputs grow?",
            "x        1  2  5  3  4\n"
            "window   1  2  5              out[0] = 5, its gradient is 10\n"
            "window         5  3  4        out[1] = 5, its gradient is 1\n"
            "dx       0  0  ?  0  0        both gradients reach the same pixel",
            "dx[n, h, i, c] += dout[n, oh, ow, c]",
        ),
    ),
    Exercise(
        name="catch_overlap",
        title="The smallest overlap",
        task=Catch(
            subject_name="maxpool_backward",
            beast_name="maxpool-assigns",
            counted="x",
            limit=3,
            fixed={"pads": ((0, 0), (0, 0))},
        ),
        hints=(
            "When do = and += give different results? How often must one element of dx be written for that?",
            "x        . O .         O is the maximum of both windows\n"
            "window   . O           (oh, ow) = (0, 0)\n"
            "window     O .         (oh, ow) = (0, 1)",
            '"x": np.array([0.0, 1, 0]).reshape(1, 1, 3, 1), and a kernel of (1, 2) with a stride of (1, 1)',
        ),
    ),
    Exercise(
        name="avgpool_by_hand",
        title="Average-pool by hand",
        task=Predict(
            (
                Question("inside", "It asks for out[1], whose window holds all three elements of x."),
                Question("edge", "It asks for out[0]. Its window holds two elements of x: the mean of these two."),
                Question("dx_edge", "It asks for dx[0]. x[0] lies in the windows of out[0] and out[1]."),
                Question("dx_inside", "It asks for dx[1]. x[1] lies in all three windows."),
            ),
            _average_by_hand,
        ),
        hints=(
            "How many elements of x does each of the three windows hold?",
            "x         P   4   2   9   P\n"
            "out[0]    -   #   #              2 elements\n"
            "out[1]        #   #   #          3 elements\n"
            "out[2]            #   #   -      2 elements\n"
            "x[0] stands in two rows of this picture",
            "dx[0] = dout[0] / 2 + dout[1] / 3",
        ),
    ),
    Exercise(
        name="avgpool_backward",
        title="Average-pool, backward",
        task=Fill("avgpool_backward"),
        hints=(
            "One pixel of a window with m pixels grows by 1. By how much does the mean of the window grow?",
            "window, 6 positions      P  P        dout = 8, four pixels are in the image\n"
            "                         #  #        each # gets 8 / 4\n"
            "                         #  #        a pixel in two windows gets a share from both",
            "share = dout[n, oh, ow, c] / m, and dx[n, h, i, c] += share",
        ),
    ),
)
