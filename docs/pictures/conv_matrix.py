"""The convolution as one matrix product: im2col copies pixels, col2im adds the gradients of the copies."""

from __future__ import annotations

import numpy as np
from canvas import MARGIN, WIDTH, Canvas, total
from conv_arrays import backward_input, forward

from tinyalexnet.geometry import Window


def unfolded(x: np.ndarray, window: Window) -> np.ndarray:
    """im2col(x), a row for each output pixel: column k is the convolution with the k-th kernel position alone."""
    units = np.eye(window.kernel[0] * window.kernel[1]).reshape(-1, *window.kernel)
    return np.stack([forward(x, unit, window).ravel() for unit in units], axis=1)


def im2col() -> str:
    x = np.array([[3.0, 1, 4], [2, 5, 9], [7, 6, 8]])
    w, dout, window = np.array([[2.0, -1], [1, 3]]), np.array([[1.0, 2], [-1, 3]]), Window(2)
    cols, dcols = unfolded(x, window), np.outer(dout, w)
    out, dx = forward(x, w, window), backward_input(dout, w, x.shape, window)
    canvas = Canvas(
        "im2col copies, and its adjoint col2im adds",
        "A 3x3 image and a 2x2 kernel. im2col writes each of the four windows as a row of a matrix, so the middle "
        "pixel is there four times. The backward makes a matrix of gradients of the same shape, and col2im adds the "
        "four elements of the middle pixel.",
    )
    cell, top = 38, 108
    middle = cols == x[1, 1]
    canvas.line(MARGIN, 62, "Forward: out = im2col(x) · w2d", kind="bold")
    canvas.line(MARGIN, top - 12, "x", kind="bold forward")
    canvas.cells(MARGIN, top, x, "x", cell, lambda r, c: "forward hatch" if (r, c) == (1, 1) else "forward")
    canvas.frame(MARGIN, top, 0, 0, 2, 2, cell)
    canvas.arrow((138, top + 57), (182, top + 57))
    canvas.line(194, top - 12, "im2col(x)", kind="bold forward")
    canvas.cells(194, top, cols, "cols", cell, lambda r, c: "forward hatch" if middle[r, c] else "forward")
    canvas.frame(194, top, 0, 0, 1, 4, cell)
    canvas.line(368, top + 84, "·", 24, "bold", "middle")
    canvas.line(384, top - 12, "w2d", kind="bold")
    canvas.cells(384, top, w.reshape(-1, 1), "w", cell, "weight")
    canvas.line(447, top + 83, "=", 22, "bold", "middle")
    canvas.line(474, top - 12, "out", kind="bold forward")
    canvas.cells(474, top, out.reshape(-1, 1), "out", cell, "forward")
    canvas.frame(474, top, 0, 0, 1, 1, cell)
    canvas.lines(MARGIN, top + 182, [
        "Framed: one window is one row, and gives one output.",
        f"Hatched: the middle pixel, {total([x[1, 1]])}, is in all four windows, so it is copied four times.",
    ], 15)  # fmt: skip
    top = 394
    canvas.line(MARGIN, top - 46, "Backward: dx = col2im(dout · w2dᵀ)", kind="bold")
    canvas.line(MARGIN, top - 12, "dout", kind="bold gradient")
    canvas.cells(MARGIN, top, dout.reshape(-1, 1), "dout", cell, "gradient")
    canvas.line(MARGIN + cell + 16, top + 84, "·", 24, "bold", "middle")
    canvas.line(86, top + 45, "w2dᵀ", kind="bold")
    canvas.cells(86, top + 57, w.reshape(1, -1), "w_transposed", 32, "weight")
    canvas.line(229, top + 83, "=", 22, "bold", "middle")
    canvas.line(246, top - 12, "gradient of the copies", kind="bold gradient")
    canvas.cells(246, top, dcols, "dcols", cell, lambda r, c: "gradient hatch" if middle[r, c] else "gradient")
    canvas.line(437, top - 12, "dx", kind="bold gradient")
    canvas.arrow((402, top + 57), (430, top + 57))
    kind = lambda r, c: "gradient hatch" if (r, c) == (1, 1) else "gradient"  # noqa: E731
    canvas.cells(WIDTH - MARGIN - 107, top, dx, "dx", 36, kind)
    terms = list(dcols[middle])
    canvas.line(MARGIN, top + 182, "col2im adds what belongs to the same pixel. The middle one:", 15)
    canvas.line(MARGIN, top + 206, f"dx[1,1] = {total(terms)} = {total([dx[1, 1]])}", 16, "mono")
    assert sum(terms) == dx[1, 1]
    return canvas.svg(top + 226)
