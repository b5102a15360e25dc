"""The winners of an overlapping max-pool, and the two ways on which LRN's gradient comes back."""

from __future__ import annotations

from typing import Any

import numpy as np
from canvas import MARGIN, WIDTH, Canvas, number, total

from tinyalexnet.geometry import Window
from tinyalexnet.ops.lrn import lrn_backward, lrn_forward
from tinyalexnet.ops.maxpool import maxpool_backward, maxpool_forward


def pool_winners() -> str:
    x = np.array([[1.0, 4, 2, 0, 3], [5, 2, 8, 1, 2], [3, 1, 0, 6, 4], [2, 7, 3, 5, 1], [4, 0, 6, 2, 3]])
    dout, window = np.array([[10.0, 1], [20, 3]]), Window(3, stride=2)
    out, argmax = (a[0, :, :, 0] for a in maxpool_forward(x[None, :, :, None], window, backend="reference"))
    image = maxpool_backward(
        dout[None, :, :, None], argmax[None, :, :, None], (1, 5, 5, 1), window, backend="reference"
    )
    dx = image[0, :, :, 0]
    winners: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for oh in range(2):
        for ow in range(2):
            kh, kw = divmod(int(argmax[oh, ow]), 3)
            winners.setdefault((oh * 2 + kh, ow * 2 + kw), []).append((oh, ow))
    canvas = Canvas(
        "Max-pool 3x3, stride 2: the winners get the gradient",
        "A 5x5 image with four overlapping windows of 3x3. One pixel is the largest of two windows. In the backward "
        "each output gives its dout to the pixel that won, and the pixel that won twice gets the sum of both.",
    )
    cell, left, right = 46, MARGIN, 350
    canvas.line(left, 70, "x", kind="bold forward")
    canvas.cells(left, 82, x, "x", cell, lambda r, c: "forward" if (r, c) in winners else "plain")
    for (row, column), outputs in winners.items():
        canvas.frame(left, 82, row, column, 1, 1, cell, "forward-frame", 1)
        if len(outputs) > 1:
            canvas.frame(left, 82, row, column, 1, 1, cell, "forward-frame", 6)
    for row, column in [(0, 0), (0, 2)]:
        canvas.frame(left, 82, row, column, 3, 3, cell, "frame dash" if column else "frame", -2 + 2 * (column == 0))
    canvas.arrow((258, 180), (right - 12, 180), kind="forward")
    canvas.line(right, 110, "out", kind="bold forward")
    canvas.cells(right, 122, out, "out", 58, "forward")
    canvas.line(right, 268, "argmax", kind="bold")
    canvas.cells(right + 70, 250, argmax, "argmax", 34, "weight")
    canvas.lines(right + 146, 266, ["kernel", "position", "0 … 8"], 15, "soft")
    canvas.line(left, 340, "Large frames: two of the four windows.", 15)
    canvas.line(left, 361, "Blue frames: the winners. A double frame: it won twice.", 15)
    top = 410
    canvas.line(right, top + 16, "dout", kind="bold gradient")
    canvas.cells(right, top + 28, dout, "dout", 58, "gradient")
    canvas.arrow((right - 12, top + 86), (258, top + 86), kind="gradient")
    canvas.line(left, top - 12, "dx", kind="bold gradient")
    twice = [place for place, outputs in winners.items() if len(outputs) > 1]

    def kind(row: int, column: int) -> str:
        if (row, column) in twice:
            return "gradient hatch"
        return "gradient" if (row, column) in winners else "plain"

    canvas.cells(left, top, dx, "dx", cell, kind)
    row, column = twice[0]
    terms = [dout[place] for place in winners[row, column]]
    canvas.frame(left, top, row, column, 1, 1, cell)
    canvas.line(right, top + 174, f"x[{row},{column}] won twice:", 15)
    canvas.line(right, top + 198, f"dx[{row},{column}] = {total(terms)}", 16, "mono")
    canvas.line(right + 67, top + 220, f" = {number(dx[row, column])}", 16, "mono bold")
    assert sum(terms) == dx[row, column]
    return canvas.svg(top + 250)


def lrn_two_ways() -> str:
    options: dict[str, Any] = {"radius": 1, "alpha": 1.0, "beta": 1.0, "backend": "reference"}
    x, dout = np.array([[3.0, 2, 3, 2, 3]]), np.array([[8.0, 50, 40, -25, 16]])
    image, gradient = x.reshape(1, 1, 1, -1), dout.reshape(1, 1, 1, -1)
    out, scale = lrn_forward(image, bias=3.0, **options)
    dx = lrn_backward(gradient, image, scale, **options).ravel()
    s = scale.ravel()
    c, near = 2, [1, 2, 3]
    own = dout[0, c] / s[c]
    # Through the divisor of channel k: the derivative of out[k] by scale[k], times that of scale[k] by x[c].
    through = {k: -2 * x[0, c] * dout[0, k] * x[0, k] / s[k] ** 2 for k in near}
    assert np.isclose(own + sum(through.values()), dx[c])
    canvas = Canvas(
        "LRN: a channel acts in two ways, so its gradient has two",
        "Five channels of one pixel, radius 1. Channel 2 is the numerator of its own output, and its square is in the "
        "divisors of channels 1, 2 and 3. Its gradient is the share through its own numerator plus the shares through "
        "three divisors.",
    )
    step, first, size = 86, 100, 52
    across: list[float] = [first + k * step for k in range(5)]
    rows: dict[str, tuple[float, np.ndarray, str]] = {
        "x": (92, x, "forward"),
        "scale": (184, scale.reshape(1, -1), "weight"),
        "out": (276, out.reshape(1, -1), "forward"),
    }
    _lrn_rows(canvas, rows, across, size)
    for k in near:
        canvas.arrow((across[c] + size / 2, 92 + size), (across[k] + size / 2, 182), kind="forward", dash=True)
        canvas.arrow((across[k] + size / 2, 184 + size), (across[k] + size / 2, 274), kind="forward", dash=True)
    middle = across[c] + size / 2
    canvas.path(f"M{middle + 10} {92 + size} C {middle + 58} {182}, {middle + 58} {238}, {middle + 12} 274", "forward")
    canvas.lines(MARGIN, 362, [
        "scale[k] = 3 + squares of x[k] and its neighbours;  out[k] = x[k] / scale[k]  (beta = 1)",
    ], 14)  # fmt: skip
    canvas.line(MARGIN, 386, "solid arrow: x[2] as the numerator of out[2];  dashed: x[2] in three divisors", 14)
    top = 424
    _lrn_rows(canvas, {"dout": (top, dout, "gradient")}, across, size)
    canvas.line(MARGIN, top + 90, "dx[2] is the sum of four shares:", kind="bold")
    shares = [("its own: dout[2] / scale[2]", own)]
    shares += [(f"through scale[{k}]: −2 x[2] dout[{k}] x[{k}] / scale[{k}]²", through[k]) for k in near]
    shares += [("dx[2]", dx[c])]
    for i, (text, value) in enumerate(shares):
        y = top + 122 + i * 34 + 6 * (i == 4)
        canvas.line(MARGIN, y + 5, text, 16, "bold" if i == 4 else "")
        canvas.cells(WIDTH - MARGIN - 112, y - 14, np.array([[value]]), f"share{i}", 30, "gradient", wide=2.6)
        if i == 4:
            canvas.frame(WIDTH - MARGIN - 112, y - 14, 0, 0, 1, 1, 30, wide=2.6)
    return canvas.svg(top + 300)


def _lrn_rows(canvas: Canvas, rows: dict[str, tuple[float, np.ndarray, str]], across: list[float], size: float) -> None:
    """The channels of some arrays, one row for each array, with room between the cells."""
    for name, (top, values, kind) in rows.items():
        canvas.line(MARGIN, top + 32, name, kind="bold")
        for k, left in enumerate(across):
            canvas.cells(left, top, values[:, k : k + 1], f"{name}{k}", size, kind)
            if name == "x":
                canvas.line(left + size / 2, top - 10, f"channel {k}", 14, "soft", "middle")
