"""The size of an output, and SAME's padding."""

from __future__ import annotations

from ..exercise import Exercise, Fill

EXERCISES = (
    Exercise(
        name="output_size",
        title="The size of the output",
        task=Fill("output_size"),
        hints=(
            "The first window begins at padded row 0. At which row may the last one begin, and how many steps is that?",
            "6 rows, KH = 3, stride_h = 2\n"
            "row        0 1 2 3 4 5\n"
            "window 0   # # #\n"
            "window 1       # # #\n"
            "window 2           # # .      it does not fit: it is left out",
            "For the rows: (height + top + bottom - kernel[0]) // stride[0] + 1",
        ),
    ),
    Exercise(
        name="same_pads",
        title="The padding of SAME",
        task=Fill("same_pads"),
        hints=(
            "OH windows stand stride_h rows apart. How many rows do they span, from the first row to the last?",
            "H = 5, KH = 2, stride_h = 2:  OH = 3\n"
            "row        0 1 2 3 4 P\n"
            "window 0   # #\n"
            "window 1       # #\n"
            "window 2           # #      the windows span 6 rows, the image has 5",
            "total = max((out_h - 1) * stride[0] + kernel[0] - size[0], 0), and the top gets total // 2",
        ),
    ),
)
