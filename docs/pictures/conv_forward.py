"""Which pixels a window sees, with padding and stride, and which channels, with groups."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from canvas import MARGIN, WIDTH, Canvas, total
from conv_arrays import windows_over

from tinyalexnet.geometry import Window
from tinyalexnet.ops.conv2d import conv2d_backward_input, conv2d_forward


def padding_and_stride() -> str:
    size = (6, 6)
    canvas = Canvas(
        "Padding and stride: which windows see which pixel",
        "Six pixels, a kernel of three, stride 2. VALID has two windows, and the last pixel is in none. SAME has "
        "three; the padding that they need is one pixel, an odd number, and lies at the end. Below, the same in two "
        "dimensions, with the number of windows that see each pixel.",
    )
    canvas.line(MARGIN, 62, "One row of 6 pixels, kernel 3, stride 2. Cells have the pixels' numbers.")
    rules: list[Literal["VALID", "SAME"]] = ["VALID", "SAME"]
    for top, padding in zip([90, 200], rules, strict=True):
        _row(canvas, top, padding, size)
    canvas.line(MARGIN, 332, "6 x 6 pixels, kernel 3x3, stride 2. Cells: how many windows see the pixel.")
    cell = 36
    for left, padding in zip([MARGIN, 276], rules, strict=True):
        _image(canvas, left, 414, Window(3, stride=2, padding=padding), size, cell)
    canvas.lines(MARGIN, 660, ["hatched: in no window,", "so out does not depend on", "it, and its dx is 0"], 15)
    canvas.lines(276, 686, ["dashed: padding, 0 in the forward; its", "share of the gradient is dropped"], 15)
    return canvas.svg(722)


def _row(canvas: Canvas, top: float, padding: Literal["VALID", "SAME"], size: tuple[int, int]) -> None:
    """One row of pixels, and below it a bracket for each window."""
    window, cell, left = Window((1, 3), (1, 2), padding), 44, 128
    row = (1, size[1])
    _, (before, after) = window.pads(row)
    counts = windows_over(row, window)[0]
    pixels = np.arange(size[1])[None, :]
    canvas.line(MARGIN, top + 20, padding, kind="bold")
    canvas.line(MARGIN, top + 42, f"pad {before} and {after}", 15, "soft")
    start = left + before * cell
    canvas.cells(start, top, pixels, f"pixels_{padding}", cell, lambda _, i: "forward" if counts[i] else "ghost hatch")
    for i in [*range(before), *range(before + size[1], before + size[1] + after)]:
        canvas.cells(left + i * cell, top, np.zeros((1, 1)), f"pad_{padding}_{i}", cell, "ghost")
    columns = window.output_size(row)[1]
    for ow in range(columns):
        low = left + ow * window.stride[1] * cell + 4
        high = low + window.kernel[1] * cell - 8
        y = top + cell + 8 + (ow % 2) * 10
        canvas.path(f"M{low} {y - 4} V{y + 4} H{high} V{y - 4}", "forward", dash=ow % 2 == 1, tip=False)
        canvas.line((low + high) / 2, top + cell + 36, f"out[{ow}]", 15, "forward bold", "middle")
    if not counts[-1]:
        canvas.lines(left + size[1] * cell + 12, top + 18, ["pixel 5 is in", "no window"], 15)
    else:
        canvas.lines(left + (size[1] + after) * cell + 12, top + 18, ["1 is odd: it", "goes last"], 15)


def _image(canvas: Canvas, left: float, top: float, window: Window, size: tuple[int, int], cell: float) -> None:
    """The windows' count at each pixel, with the frames of three windows, and the padding as dashed cells."""
    (above, below), (before, after) = window.pads(size)
    counts = windows_over(size, window)
    out_h, out_w = window.output_size(size)
    canvas.line(left, top - 34, f"{window.padding}", kind="bold")
    canvas.line(left, top - 12, f"{out_h} x {out_w} outputs", 15, "soft")

    def kind(row: int, column: int) -> str:
        inside = above <= row < above + size[0] and before <= column < before + size[1]
        if not inside:
            return "ghost"
        return "forward" if counts[row - above, column - before] else "ghost hatch"

    padded = np.pad(counts, ((above, below), (before, after)))
    canvas.cells(left, top, padded, f"counts_{window.padding}", cell, kind)
    stride_h, stride_w = window.stride
    canvas.frame(left, top, 0, 0, 3, 3, cell, inset=2)
    canvas.frame(left, top, (out_h - 1) * stride_h, (out_w - 1) * stride_w, 3, 3, cell, "frame dash", inset=2)


def groups() -> str:
    count, filters = 2, 6
    w = np.array([[2.0, 1, -1, 3, 1, -2], [1, -1, 2, 1, 4, 2]]).reshape(1, 1, 2, filters)
    x = np.array([3.0, 1, 2, -1]).reshape(1, 1, 1, 4)
    options: dict[str, Any] = {"groups": count, "backend": "reference"}
    out = conv2d_forward(x, w, np.zeros(filters), Window(1), **options)
    # A one at each filter in turn gives the column of the matrix that this filter is.
    columns = [
        conv2d_backward_input(np.eye(filters)[f].reshape(1, 1, 1, -1), w, x.shape, Window(1), **options).ravel()
        for f in range(filters)
    ]
    matrix = np.stack(columns, axis=1)
    canvas = Canvas(
        "groups = 2: which filter sees which channels",
        "Four channels and six filters in two groups. Filters 0 to 2 see channels 0 and 1 only, filters 3 to 5 see "
        "channels 2 and 3. As a matrix of channels times filters, the weights are two blocks on the diagonal; the rest "
        "is zero and is not stored.",
    )
    _lines_of_groups(canvas, 4, filters, count)
    top, cell = 302, 42
    canvas.line(MARGIN, top - 44, "One pixel, a 1x1 kernel: each row times its channel, added down", kind="bold")
    canvas.line(MARGIN + 42, top - 14, "x", kind="bold forward", anchor="middle")
    canvas.cells(MARGIN + 21, top, x.reshape(4, 1), "x", cell, "forward")
    left = 148
    for row in range(4):
        canvas.line(left - 40, top + (row + 0.5) * cell + 6, "·", 22, "bold", "middle")
    canvas.line(left, top - 14, "w as blocks, a column for each filter")
    canvas.cells(left, top, matrix, "matrix", cell, lambda r, c: "weight" if r // 2 == c // 3 else "ghost")
    canvas.frame(left, top, 0, 0, 2, 3, cell)
    canvas.frame(left, top, 2, 3, 2, 3, cell, "frame dash")
    canvas.lines(left + 6 * cell + 16, top + 26, ["solid: group 0", "dashed: group 1"], 15)
    canvas.lines(left + 6 * cell + 16, top + 92, ["thin dashed cells:", "0, not stored,", "not multiplied"], 15)
    canvas.line(left - 16, top + 4 * cell + 44, "out =", kind="bold forward", anchor="end")
    canvas.cells(left, top + 4 * cell + 18, out.reshape(1, -1), "out", cell, "forward")
    first = [x[0, 0, 0, c] * w[0, 0, c, 0] for c in range(2)]
    canvas.line(left + 6 * cell + 16, top + 4 * cell + 36, f"out[0] = {total(first)}", 15)
    canvas.line(left + 6 * cell + 60, top + 4 * cell + 56, f"= {total([sum(first)])}", 15)
    low = top + 4 * cell + 104
    canvas.line(MARGIN, low, "w as it is stored:", kind="bold")
    canvas.line(MARGIN, low + 22, f"C/groups = {w.shape[2]} rows", 15, "soft")
    canvas.cells(172, low - 20, w[0, 0], "w", cell, "weight")
    canvas.frame(172, low - 20, 0, 0, 2, 3, cell, inset=1)
    canvas.frame(172, low - 20, 0, 3, 2, 3, cell, "frame dash", inset=1)
    canvas.lines(
        172 + 6 * cell + 16, low + 6, [f"{w.size} weights; with", "groups = 1 it", f"would be {matrix.size}"], 15
    )
    return canvas.svg(low + 84)


def _lines_of_groups(canvas: Canvas, channels: int, filters: int, count: int) -> None:
    """Channels above, filters below, a line for each filter and channel that it sees."""
    across = {"channel": (channels, 86), "filter": (filters, 196)}
    spots: dict[str, list[float]] = {}
    for name, (number, y) in across.items():
        step = (WIDTH - 2 * MARGIN - 90) / number
        spots[name] = [MARGIN + 90 + step * (k + 0.5) for k in range(number)]
        canvas.line(MARGIN, y + 5, f"{name}s", kind="bold")
    for f, at in enumerate(spots["filter"]):
        for c, start in enumerate(spots["channel"]):
            if c // (channels // count) == f // (filters // count):
                canvas.arrow((start, 104), (at, 176), kind="plain", dash=c >= channels // count)
    for name, (number, y) in across.items():
        for k, at in enumerate(spots[name]):
            group = k // (number // count)
            canvas.box(at - 22, y - 17, 44, 34, "forward" if name == "channel" else "weight", 5)
            canvas.line(at, y + 6, str(k), 17, "mono", "middle")
            if k == group * (number // count) + (number // count - 1) // 2 and name == "channel":
                canvas.line((at + spots[name][k + 1]) / 2, y - 22, f"group {group}", 15, "soft", "middle")
