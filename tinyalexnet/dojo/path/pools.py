"""Max-pooling, and windows that overlap."""

from __future__ import annotations

from ..exercise import Bug, Catch, Exercise

EXERCISES = (
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
)
