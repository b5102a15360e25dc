"""One Winograd tile, F(2x2, 3x3), with the numbers of matrices.py."""

from __future__ import annotations

import numpy as np
from canvas import MARGIN, Canvas
from conv_arrays import forward

from tinyalexnet.geometry import Window
from tinyalexnet.ops.conv2d.winograd.matrices import Tile, cook_toom


def winograd_tile() -> str:
    x = np.array([[6.0, 1, 3, 6], [1, 0, 1, 0], [4, 0, 0, 1], [1, 4, 0, 6]])
    w = np.array([[5.0, 2, 5], [3, 4, 1], [4, -2, 2]])
    tile = Tile(cook_toom(2, 3), cook_toom(2, 3))
    at, g, bt = (pair[0] for pair in (tile.at(x.dtype), tile.g(x.dtype), tile.bt(x.dtype)))
    v, u = bt @ x @ bt.T, g @ w @ g.T
    m = v * u
    out = at @ m @ at.T
    assert np.array_equal(out, forward(x, w, Window(3)))
    direct = out.size * w.size
    canvas = Canvas(
        "A Winograd tile: F(2x2, 3x3)",
        "Four by four pixels and a 3x3 kernel are transformed into two 4x4 matrices, multiplied element by element, "
        "and transformed back into two by two outputs: sixteen multiplications in place of thirty-six.",
    )
    cell, left, right, big = 36, MARGIN + 6, 372, 43
    canvas.line(left, 76, "x, 4 x 4 pixels", 16, "bold forward")
    canvas.cells(left, 88, x, "x", cell, "forward")
    _step(canvas, 88 + 2 * cell, 176, right - 12, "V = Bᵀ x B")
    canvas.line(right, 76, "V", 16, "bold")
    canvas.cells(right, 88, v, "v", big, "forward")
    top = 306
    canvas.line(left, top - 12, "w, 3 x 3", 16, "bold")
    canvas.cells(left, top + 18, w, "w", cell, "weight")
    _step(canvas, top + 72, 140, right - 12, "U = G w Gᵀ, once for all tiles")
    canvas.line(right, top - 12, "U", 16, "bold")
    canvas.line(right + 2 * big, top - 16, "⊙", 24, "bold", "middle")
    canvas.cells(right, top, u, "u", big, "weight")
    top = 524
    canvas.line(right + 2 * big, top - 16, "=", 24, "bold", "middle")
    canvas.line(right, top - 12, "M", 16, "bold")
    canvas.cells(right, top, m, "m", big, "plain")
    canvas.line(left, top + 32, "out, 2 x 2", 16, "bold forward")
    canvas.cells(left, top + 44, out, "out", 42, "forward")
    canvas.arrow((right - 12, top + 86), (122, top + 86))
    canvas.line((right + 110) / 2, top + 74, "out = Aᵀ M A", 16, "", "middle")
    y = top + 206
    canvas.lines(MARGIN, y, [
        f"{m.size} multiplications for {out.size} outputs, in place of {out.size} · {w.size} = {direct}.",
        "With several channels, M is the sum of V ⊙ U of each channel.",
    ])  # fmt: skip
    y += 50
    f, cell = tile.width, 34
    for x_left, name, matrix in [(MARGIN, "Bᵀ", f.bt), (204, "G", f.g), (360, "Aᵀ", f.at)]:
        canvas.line(x_left, y + 23, name, 16, "bold")
        canvas.cells(x_left + (22 if name == "G" else 28), y, np.array(matrix), name, cell, "plain")
    return canvas.svg(y + 4 * cell + 18)


def _step(canvas: Canvas, y: float, begin: float, end: float, text: str) -> None:
    canvas.arrow((begin, y), (end, y))
    canvas.line((begin + end) / 2, y - 12, text, 15, "", "middle")
