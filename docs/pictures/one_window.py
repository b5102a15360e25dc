"""The head of the README: one window, its output, and the way back, with the identity that tests it."""

from __future__ import annotations

import numpy as np
from canvas import MARGIN, WIDTH, Canvas, number
from conv_arrays import backward_input, backward_params, forward

from tinyalexnet.geometry import Window


def one_window() -> str:
    x, w = np.array([[3.0, 1, 4], [1, 5, 2], [2, 6, 1]]), np.array([[2.0, -1, 1], [1, 3, -2], [0, -1, 4]])
    dout, window = np.array([[2.0]]), Window(3)
    out, dx, dw = forward(x, w, window), backward_input(dout, w, x.shape, window), backward_params(dout, x, window)
    canvas = Canvas(
        "One window of a convolution, forward and back",
        "Forward: nine pixels times nine weights, added up, are one output. Backward: its gradient dout times each "
        "weight goes to the pixel, and dout times each pixel goes to the weight. The inner product of each array with "
        "its gradient is the same number.",
    )
    cell, lefts, right = 44, (MARGIN + 2, 206), 446
    top, low = 100, 292
    for left, name, array, kind in [(lefts[0], "x", x, "forward"), (lefts[1], "w", w, "weight")]:
        canvas.line(left, top - 12, name, 17, "bold forward" if name == "x" else "bold")
        canvas.cells(left, top, array, name, cell, kind)
    canvas.line(178, top + 74, "⊙", 24, "bold", "middle")
    canvas.arrow((350, top + 66), (right - 12, top + 66), kind="forward")
    canvas.line(394, top + 54, "sum of 9", 16, "forward", "middle")
    canvas.line(394, top + 90, "products", 16, "forward", "middle")
    canvas.line(right, top + 24, "out", 17, "bold forward")
    canvas.cells(right, top + 36, out, "out", 66, "forward")
    for left, name, array, formula in [(lefts[0], "dx", dx, "dout · w"), (lefts[1], "dw", dw, "dout · x")]:
        canvas.line(left, low - 12, name, 17, "bold gradient")
        canvas.line(left + 34, low - 12, f"= {formula}", 17)
        canvas.cells(left, low, array, name, cell, "gradient")
    canvas.line(right, low + 24, "dout", 17, "bold gradient")
    canvas.cells(right, low + 36, dout, "dout", 66, "gradient")
    canvas.arrow((right - 6, low + 66), (352, low + 66), kind="gradient")
    canvas.line(394, low + 54, "to both", 16, "gradient", "middle")
    canvas.line(394, low + 90, "factors", 16, "gradient", "middle")
    products = [("x", "dx", (x * dx).sum()), ("w", "dw", (w * dw).sum()), ("out", "dout", (out * dout).sum())]
    sums = low + 176
    for centre, (name, gradient, value) in zip([lefts[0] + 66, lefts[1] + 66, right + 24], products, strict=True):
        canvas.line(centre, sums, f"⟨{name}, {gradient}⟩ = {number(value)}", 17, "bold", "middle")
    canvas.lines(WIDTH / 2, sums + 34, [
        "⟨a, b⟩ adds the products of corresponding elements. All three add the same",
        "products x · w · dout, so they are equal: a test of every backward.",
    ], 15, "", "middle")  # fmt: skip
    return canvas.svg(sums + 72)
