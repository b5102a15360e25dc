"""dx of a convolution: handed back and added, gathered through the turned kernel, and at stride 2. dw at stride 2."""

from __future__ import annotations

import numpy as np
from canvas import MARGIN, WIDTH, Canvas, number, signed, total
from conv_arrays import backward_input, backward_params, share, zeros_between

from tinyalexnet.geometry import Window

W = np.array([[2.0, -1, 1], [-2, 3, 1], [1, -2, 4]])


def scatter() -> str:
    dout, size, window = np.array([[1.0, 3], [2, -1]]), (4, 4), Window(3)
    dx = backward_input(dout, W, size, window)
    places = [(oh, ow) for oh in range(2) for ow in range(2)]
    shares = {place: share(dout, W, size, window, *place) for place in places}
    canvas = Canvas(
        "dx: each output hands dout · w back to its window",
        "A 3x3 kernel, stride 1, four outputs. Each output multiplies the whole kernel by its dout and puts the result "
        "on the window that it saw in the forward. The four windows overlap, and where they overlap dx is the sum.",
    )
    canvas.line(MARGIN, 72, "dout", kind="bold gradient")
    canvas.cells(70, 50, dout, "dout", 36, "gradient")
    canvas.line(196, 72, "w", kind="bold")
    canvas.cells(220, 50, W, "w", 36, "weight")
    canvas.lines(
        352,
        70,
        [
            "One output saw one 3 x 3",
            "window. Its dout goes back",
            "to these nine pixels, to",
            "each times its weight.",
        ],
    )
    cell, gap = 30, 16
    for k, (oh, ow) in enumerate(places):
        left, top = MARGIN + k * (4 * cell + gap) - 4, 222
        canvas.line(left, top - 30, f"dout[{oh},{ow}] · w", kind="bold")
        canvas.line(left, top - 10, f"= {signed(dout[oh, ow])} times w", 15)

        def kind(row: int, column: int, oh: int = oh, ow: int = ow) -> str:
            return "gradient" if oh <= row < oh + 3 and ow <= column < ow + 3 else "ghost"

        canvas.cells(left, top, shares[oh, ow], f"share{oh}{ow}", cell, kind)
        canvas.frame(left, top, oh, ow, 3, 3, cell, "gradient-frame")
        if k:
            canvas.line(left - gap / 2, top + 2 * cell + 7, "+", 20, "bold", "middle")
    canvas.arrow((WIDTH / 2 - 120, 352), (WIDTH / 2 - 120, 386))
    canvas.line(WIDTH / 2 - 104, 374, "add the four, cell by cell")
    canvas.line(MARGIN, 416, "dx", kind="bold gradient")
    overlaps = sum((part != 0).astype(int) for part in shares.values())
    covered = backward_input(np.ones((2, 2)), np.ones((3, 3)), size, window)
    assert (overlaps <= covered).all()
    canvas.cells(
        56, 398, dx, "dx", 46, lambda row, column: "gradient hatch" if covered[row, column] > 1 else "gradient"
    )
    canvas.frame(56, 398, 1, 1, 1, 1, 46)
    terms = [shares[place][1, 1] for place in places]
    canvas.lines(264, 418, ["Hatched: two or four windows overlap.", "The framed element is in all four:"])
    canvas.line(264, 472, f"dx[1,1] = {total(terms)}", 16, "mono")
    canvas.line(341, 496, f"= {total([dx[1, 1]])}", 16, "mono bold")
    canvas.lines(264, 534, ["A backward that assigns, and does", "not add, keeps one of the four only."])
    return canvas.svg(600)


def turned_kernel() -> str:
    dout, size, window = np.array([[1.0, -2, 3], [2, 4, -1], [-3, 1, 2]]), (5, 5), Window(3)
    dx = backward_input(dout, W, size, window)
    turned = W[::-1, ::-1]
    products = dout * turned
    assert products.sum() == dx[2, 2]
    canvas = Canvas(
        "dx: why the kernel is turned by 180°",
        "The pixel x[2,2] of a 5x5 image is seen by nine outputs of a 3x3 kernel. The first output sees it through the "
        "last weight of the kernel, the last output through the first. In the order of the outputs these weights are "
        "the kernel turned by 180 degrees. dx[2,2] is the sum of dout times the turned kernel.",
    )
    canvas.line(MARGIN, 60, "Forward: nine outputs saw the pixel x[2,2]. Three of them:")
    cell, side = 30, 150
    for k, place in enumerate([0, 1, 2]):
        left, top = MARGIN + k * (side + 39), 104
        at = 2 - place
        canvas.line(left + side / 2, top - 12, f"out[{place},{place}]", kind="bold", anchor="middle")
        for row in range(5):
            for column in range(5):
                canvas.box(left + column * cell, top + row * cell, cell, cell, "forward")
        canvas.cells(left + place * cell, top + place * cell, W, f"window{place}", cell, "weight")
        canvas.frame(left, top, place, place, 3, 3, cell)
        canvas.box(left + 2 * cell, top + 2 * cell, cell, cell, "hatched")
        canvas.frame(left, top, 2, 2, 1, 1, cell, "forward-frame", -2)
        where = ["bottom right", "middle", "top left"][place]
        canvas.line(left + side / 2, top + side + 24, f"through w[{at},{at}] = {total([W[at, at]])}", anchor="middle")
        canvas.line(left + side / 2, top + side + 44, f"its {where}", 15, "soft", "middle")
    canvas.lines(
        MARGIN,
        332,
        [
            "The window moves down and right, so the pixel moves up and left in it.",
            "Backward: write at each output the weight through which it saw x[2,2].",
        ],
    )
    top, cell = 412, 42
    for left, array, name, kind, caption in [
        (MARGIN, W, "w", "weight", "w"),
        (MARGIN + 193, turned, "turned", "weight", "w, turned"),
        (WIDTH - MARGIN - 126, dout, "dout", "gradient", "dout"),
    ]:
        canvas.line(
            left + 63, top - 12, caption, kind="bold gradient" if kind == "gradient" else "bold", anchor="middle"
        )
        canvas.cells(left, top, array, name, cell, kind)
    for left, index in [(MARGIN, 2), (MARGIN + 193, 0)]:
        canvas.frame(left, top, index, index, 1, 1, cell)
    canvas.arrow((MARGIN + 134, top + 63), (MARGIN + 184, top + 63))
    canvas.line(MARGIN + 159, top + 48, "180°", 15, "bold", "middle")
    canvas.line(WIDTH - MARGIN - 126 - 42, top + 71, "⊙", 24, "bold", "middle")
    canvas.line(MARGIN, 574, "dx[2,2] = sum of the nine products of corresponding elements")
    rows = [total(list(row)) for row in products]
    canvas.line(MARGIN, 602, f"= ({rows[0]}) + ({rows[1]}) + ({rows[2]})", 15, "mono")
    canvas.line(MARGIN, 628, f"= {total([dx[2, 2]])}", 16, "mono bold")
    return canvas.svg(648)


def zeros_at_stride_2() -> str:
    dout, size, window = np.array([[1.0, 3], [2, -1]]), (5, 5), Window(3, stride=2)
    dx = backward_input(dout, W, size, window)
    spread = zeros_between(dout, window)
    padded = np.pad(spread, 2)
    turned = W[::-1, ::-1]
    canvas = Canvas(
        "dx at stride 2: zeros between, then the turned kernel",
        "dout of a convolution with a 3x3 kernel and stride 2. A row and a column of zeros are put between its rows "
        "and columns, and two rows and columns around them. The turned kernel runs over this, stride 1, and gives dx.",
    )
    canvas.line(MARGIN, 74, "dout", kind="bold gradient")
    canvas.cells(MARGIN, 84, dout, "dout", 34, "gradient")
    canvas.arrow((94, 118), (136, 118))
    canvas.line(146, 74, "zeros between", kind="bold")
    stored = spread != 0
    canvas.cells(146, 84, spread, "spread", 34, lambda row, column: "gradient" if stored[row, column] else "ghost")
    canvas.arrow((258, 135), (298, 135))
    canvas.line(308, 74, "padded by KH − 1 = 2", kind="bold")
    inside = np.pad(stored, 2)
    canvas.cells(308, 84, padded, "padded", 34, lambda row, column: "gradient" if inside[row, column] else "ghost")
    canvas.frame(308, 84, 2, 2, 3, 3, 34)
    canvas.frame(308, 84, 0, 1, 3, 3, 34, "frame dash")
    canvas.lines(
        MARGIN,
        222,
        [
            "stride 2: the windows of",
            "neighbouring outputs are",
            "two pixels apart, so one",
            "row and column of zeros",
            "goes between.",
        ],
        15,
    )
    canvas.lines(MARGIN, 344, ["x had no padding here.", "Dashed cells: zeros that", "nobody has stored."], 15, "soft")
    canvas.line(308, 348, "The turned kernel runs", 16)
    canvas.line(308, 370, "over it with stride 1:", 16)
    top = 424
    canvas.line(MARGIN, top - 12, "w, turned by 180°", kind="bold")
    canvas.cells(MARGIN, top, turned, "turned", 38, "weight")
    canvas.line(308, top - 12, "dx", kind="bold gradient")
    canvas.cells(308, top, dx, "dx", 40, "gradient")
    canvas.frame(308, top, 2, 2, 1, 1, 40)
    canvas.frame(308, top, 0, 1, 1, 1, 40, "frame dash")
    canvas.arrow((146, top + 57), (298, top + 57))
    terms = [a * b for a, b in zip(spread[stored], turned[stored], strict=True)]
    canvas.line(MARGIN, top + 146, "solid frames, dx[2,2]:", 15, "bold")
    canvas.line(MARGIN, top + 168, f"{total(terms)} = {total([dx[2, 2]])}", 16, "mono")
    corner = padded[0:3, 1:4] * turned
    used = corner[padded[0:3, 1:4] != 0]
    canvas.line(MARGIN, top + 196, "dashed frames, dx[0,1]:", 15, "bold")
    factors = padded[0:3, 1:4][padded[0:3, 1:4] != 0], turned[padded[0:3, 1:4] != 0]
    canvas.line(
        MARGIN, top + 218, f"{signed(factors[0][0])} · {signed(factors[1][0])} = {total(list(used))}", 16, "mono"
    )
    return canvas.svg(top + 236)


def dw_at_stride_2() -> str:
    x = np.array([[3.0, 1, 4, 1, 5], [2, 6, 5, 3, 1], [4, 2, 1, 6, 2], [1, 3, 2, 4, 6], [5, 1, 3, 2, 4]])
    dout, window = np.array([[1.0, 3], [2, -1]]), Window(3, stride=2)
    dw = backward_params(dout, x, window)
    spread = zeros_between(dout, window)
    stored = spread != 0
    canvas = Canvas(
        "dw at stride 2: dout, spread, runs over x",
        "A convolution with a 3x3 kernel and stride 2. For dw, a row and a column of zeros are put between the rows "
        "and columns of dout. This runs over x as a kernel with stride 1, not turned, and gives the 3x3 dw.",
    )
    cell, top = 36, 86
    canvas.line(MARGIN, top - 12, "dout", kind="bold gradient")
    canvas.cells(MARGIN, top, dout, "dout", cell, "gradient")
    canvas.arrow((96, top + 36), (130, top + 36))
    canvas.line(140, top - 12, "zeros between", kind="bold")
    canvas.cells(140, top, spread, "spread", cell, lambda row, column: "gradient" if stored[row, column] else "ghost")
    text = [
        "At stride 2, neighbouring outputs",
        "used pixels two apart. So the",
        "spread dout meets, at each kernel",
        "position, the pixels that this",
        "weight was multiplied by.",
    ]
    canvas.lines(288, top + 14, text)
    top = 250
    kh, kw = 0, 1
    canvas.line(MARGIN, top - 12, "x", kind="bold forward")

    def kind(row: int, column: int) -> str:
        inside = 0 <= row - kh < 3 and 0 <= column - kw < 3
        return "forward hatch" if inside and stored[row - kh, column - kw] else "forward"

    canvas.cells(MARGIN, top, x, "x", cell, kind)
    canvas.frame(MARGIN, top, kh, kw, 3, 3, cell)
    canvas.arrow((MARGIN + 5 * cell + 12, top + 90), (300, top + 90))
    canvas.lines(252, top + 68, ["stride 1,"], 15, anchor="middle")
    canvas.lines(252, top + 116, ["not turned"], 15, anchor="middle")
    canvas.line(320, top - 12, "dw", kind="bold gradient")
    canvas.cells(320, top, dw, "dw", 46, "gradient")
    canvas.frame(320, top, kh, kw, 1, 1, 46)
    pixels = x[kh : kh + 3, kw : kw + 3][stored]
    products = [f"{number(a)} · {signed(b)}" for a, b in zip(pixels, dout.ravel(), strict=True)]
    canvas.line(MARGIN, top + 216, "Framed: hatched pixels times dout.", 15, "bold")
    canvas.line(MARGIN, top + 242, f"dw[{kh},{kw}] = {' + '.join(products)} = {number(dw[kh, kw])}", 15, "mono")
    return canvas.svg(top + 262)
