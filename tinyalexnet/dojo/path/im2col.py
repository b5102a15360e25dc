"""A convolution as a product of matrices."""

from __future__ import annotations

from ..exercise import Bug, Exercise, Fill

EXERCISES = (
    Exercise(
        name="im2col",
        title="im2col",
        task=Fill("im2col"),
        hints=(
            "The window of one output pixel is a block of the padded image. Which rows and columns does it have?",
            "padded  0 1 2 3 0      kernel (1, 3), stride (1, 2)\n"
            "ow = 0  0 1 2          from column 0·2 on     row 0 of the matrix: 0 1 2\n"
            "ow = 1      2 3 0      from column 1·2 on     row 1 of the matrix: 2 3 0",
            "windows[:, oh, ow] = padded[:, h : h + KH, i : i + KW] with h = oh * stride_h and i = ow * stride_w; "
            "windows is (N, OH, OW, KH, KW, C), and is reshaped at the end",
        ),
    ),
    Exercise(
        name="col2im",
        title="col2im, the backward of im2col",
        task=Bug("col2im"),
        hints=(
            "In which order did im2col write the elements of one row, and in which order are they read here?",
            "a window of 1x2 pixels with 2 channels, a b at the left pixel and c d at the right one\n"
            "written   (kw, c)   a b c d\n"
            "read as   (c, kw)   a b is channel 0 of both pixels: but b is channel 1 of the left pixel",
            "windows = columns.reshape(n, out_h, out_w, kernel[0], kernel[1], c), and windows[:, oh, ow, kh, kw, :]",
        ),
    ),
)
