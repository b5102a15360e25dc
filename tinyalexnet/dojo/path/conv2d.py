"""Convolution: forward, both backwards, and what goes wrong in them."""

from __future__ import annotations

from typing import Any

from ...geometry import Window
from ..exercise import Bug, Catch, Derive, Exercise, Fill


def _meets(h: int, kernel_h: int, stride_h: int, pad_top: int, out_h: int) -> list[tuple[int, int]]:
    """The definition: all (oh, kh) whose row in the forward is h."""
    return [
        (oh, kh) for oh in range(out_h) for kh in range(kernel_h) if oh * stride_h + kh - pad_top == h
    ]  # fmt: skip


def _cases() -> list[dict[str, Any]]:
    """Every row of a few images."""
    found = []
    for size, kernel_h, stride_h, pad_top in ((4, 2, 1, 0), (5, 3, 2, 0), (6, 3, 2, 1), (7, 2, 3, 1), (5, 5, 1, 2)):
        out_h, _ = Window((kernel_h, 1), (stride_h, 1), ((pad_top, pad_top), (0, 0))).output_size((size, 1))
        for h in range(size):
            found.append({"h": h, "kernel_h": kernel_h, "stride_h": stride_h, "pad_top": pad_top, "out_h": out_h})
    return found


EXERCISES = (
    Exercise(
        name="conv2d_forward",
        title="Convolution, forward",
        task=Fill("conv2d_forward"),
        hints=(
            "Which rows, columns and channels of the padded images does filter f see for output pixel (oh, ow)?",
            "padded      . . . . .       window of KH x KW pixels, of `depth` channels each\n"
            "            . # # . .       filter f has as many elements: w[:, :, :, f]\n"
            "            . # # . .       out is the inner product of both, plus b[f]\n"
            "top left corner: row tops[oh], column lefts[ow]",
            "window = padded[n, top : top + kernel_h, left : left + kernel_w, first : first + depth]",
        ),
    ),
    Exercise(
        name="which_windows",
        title="Which windows meet a row",
        task=Derive(
            attribute="which_windows",
            parameters=("h", "kernel_h", "stride_h", "pad_top", "out_h"),
            definition=_meets,
            cases=_cases,
            returns="a list of pairs (oh, kh)",
            ordered=False,
        ),
        hints=(
            "Take one kh. The equation h = oh·stride_h + kh - pad_top has one unknown: what is oh? When is it an int?",
            "stride_h = 2, kernel_h = 3, pad_top = 0:\n"
            "row h         0 1 2 3 4\n"
            "oh = 0   kh = 0 1 2\n"
            "oh = 1   kh =     0 1 2\n"
            "row 2 meets (oh, kh) = (0, 2) and (1, 0)",
            "oh, rest = divmod(h + pad_top - kh, stride_h), which counts if rest == 0 and 0 <= oh < out_h",
        ),
    ),
    Exercise(
        name="conv2d_backward_params",
        title="Convolution, backward of the filters",
        task=Fill("conv2d_backward_params"),
        hints=(
            "out = b[f] + the sum of window · filter. If one element of the filter grows by 1, what is added to out?",
            "out[n,oh,ow,f]  =  b[f]  +  window   .   filter f\n"
            "                            # #          w w\n"
            "                            # #          w w\n"
            "each w is multiplied by the # in its place: this # is the change of the output",
            "dw[:, :, :, f] += dout[n, oh, ow, f] * window, and db[f] gets a term too",
        ),
    ),
    Exercise(
        name="conv2d_backward_input",
        title="Convolution, backward of the images",
        task=Fill("conv2d_backward_input"),
        hints=(
            "Which pixel does output (oh, ow) read at kernel position (kh, kw), and is this pixel inside the image?",
            "x         x0     x1     x2     x3\n"
            "out[0]   ·w0    ·w1                   stride_w = 1, KW = 2\n"
            "out[1]          ·w0    ·w1\n"
            "out[2]                 ·w0    ·w1     read a column: two outputs hand a gradient to x1",
            "dx[n, h, i, first : first + depth] += dout[n, oh, ow, f] * w[kh, kw, :, f]",
        ),
    ),
    Exercise(
        name="catch_turn",
        title="The kernel that is not turned",
        task=Catch(
            subject_name="conv2d_backward_input",
            beast_name="kernel-not-turned",
            counted="w",
            limit=2,
            fixed={"stride": (1, 1), "pads": ((0, 0), (0, 0)), "groups": 1},
        ),
        hints=(
            "Which kernels look the same after they are turned by 180 degrees?",
            "w         turned\n"
            "1 2 1     1 2 1      the same: the mistake is hidden\n"
            "5         5          the same\n"
            "a b       b a        the same only if ...",
            '"w": np.array([1.0, 0]).reshape(1, 2, 1, 1), on an image of one row and two columns',
        ),
    ),
    Exercise(
        name="stride_bug",
        title="A stride above 1",
        task=Bug("conv2d_backward_input"),
        hints=(
            "With a stride of (1, 1) dx is right. With stride_h = 2, which output row reads row h at kernel row kh?",
            "stride_w = 2, KW = 2\n"
            "x        x0  x1  x2  x3\n"
            "dout     d0      d1          between them stride_w - 1 = 1 column where no window begins\n"
            "kw = 0:  x0 meets d0, x2 meets d1, and x1 and x3 meet none",
            "oh, rest = divmod(h + pads[0][0] - kh, stride[0]), and a pair counts only if rest == 0; likewise for ow",
        ),
    ),
    Exercise(
        name="padding_bug",
        title="Padding in the backward",
        task=Bug("conv2d_backward_input"),
        hints=(
            "In which row of the padded image does row 0 of x lie?",
            "padded gradient, top = 1, left = 2\n"
            "P P P P P\n"
            "P P # # #      # is dx[0,0], dx[0,1], dx[0,2]\n"
            "P P # # #      P is the gradient of padding: nobody needs it",
            "return padded[:, top : top + x_shape[1], left : left + x_shape[2]], with top and left from pads",
        ),
    ),
    Exercise(
        name="groups_bug",
        title="Groups in the backward",
        task=Bug("conv2d_backward_input"),
        hints=(
            "In which order are the parts of dx appended, and in which order must their channels stand?",
            "groups = 2\n"
            "x    channels 0 1 | 2 3\n"
            "           |          |\n"
            "out  filters  0 1 | 2 3      the first half of dx belongs to the first half of dout",
            "list.pop() takes the last item of a list, and list.pop(0) the first",
        ),
    ),
)
