"""The three schemes of "One weird trick": which rows of a batch each pass of the dense layers has."""

from __future__ import annotations

import numpy as np
from canvas import MARGIN, WIDTH, Canvas

from tinyalexnet.parallel.hybrid import passes_of, rows_of
from tinyalexnet.parallel.tree import cut

BATCH, SHARDS, PROCESSES, COLUMNS = 8, 2, 2, 6
CELL, ROW_WIDE, GAP = 24, 1.8, 34
SECOND_PANEL = 296
CAPTIONS = {
    "a": "Scheme a: one pass with all rows",
    "b": "Scheme b: each pass has all rows of one shard",
    "c": "Scheme c: each pass has a part of the rows of every shard",
}


def schemes() -> str:
    canvas = Canvas(
        "Dense layers by columns: schemes a, b and c",
        f"A batch of {BATCH} images in {SHARDS} shards, on {PROCESSES} processes. Each process computes the "
        f"convolutions of its shard, and its own part of the {COLUMNS} columns of a dense layer. In scheme a one pass "
        "has all rows. In scheme b each pass has the rows of one shard. In scheme c each pass has a part of every "
        "shard.",
    )
    canvas.lines(MARGIN, 58, [
        f"A batch of {BATCH} images in {SHARDS} shards, and a dense layer of {COLUMNS} columns.",
        f"Plain: of process 0. Hatched: of process {PROCESSES - 1}.",
    ], 15)  # fmt: skip
    y = 116
    canvas.line(MARGIN, y, "Convolutions: by images", kind="bold")
    _convolutions(canvas, MARGIN, y + 14 + CELL + 4)
    left = WIDTH - SECOND_PANEL + MARGIN
    canvas.line(left, y, CAPTIONS["a"], kind="bold")
    (whole,) = passes_of(BATCH, SHARDS, PROCESSES, "a")
    low = _one_pass(canvas, left, y + 14, "a", 0, whole)
    canvas.line(MARGIN, low + 20, "x, a row for each image", 14, "soft")
    canvas.line(left, low + 20, "x", 14, "soft")
    right = left + ROW_WIDE * CELL + GAP + COLUMNS * CELL + 8
    canvas.line(right, y + 32, "w", 14, "soft")
    canvas.line(right, low - CELL * BATCH / 2 + 5, "out", 14, "soft")
    for process, columns in enumerate(_columns()):
        middle = left + ROW_WIDE * CELL + GAP + (columns.start + columns.stop) / 2 * CELL
        canvas.line(middle, low + 20, f"process {process}", 14, "soft", "middle")
    y = low + 56
    for scheme in ("b", "c"):
        canvas.line(MARGIN, y, CAPTIONS[scheme], kind="bold")
        for number, of in enumerate(passes_of(BATCH, SHARDS, PROCESSES, scheme)):
            low = _one_pass(canvas, MARGIN + number * (WIDTH - SECOND_PANEL), y + 14, scheme, number, of)
        y = low + 36
    canvas.lines(MARGIN, y, [
        "Blue: rows of x, with the numbers of the images, and of out. Grey: columns of w.",
        "In each pass all processes get its rows of x, and compute their columns of out.",
        "In b one process sends all rows of a pass. In c all send equally many.",
        "Backward: the dx of a row goes back to the process that has the image. The dw",
        "of all passes are added, and then there is one update.",
    ], 15)  # fmt: skip
    return canvas.svg(y + 4 * 15 * 1.35 + 22)


def _columns() -> list[slice]:
    """The columns of each process, with as many blocks as processes."""
    return cut(COLUMNS, PROCESSES)


def _kind(base: str, process: int) -> str:
    return f"{base} hatch" if process else base


def _convolutions(canvas: Canvas, x: float, y: float) -> None:
    """The batch, a row for each image, as the processes have it before the dense layers."""
    for process, rows in enumerate(rows_of(BATCH, SHARDS, PROCESSES)):
        canvas.cells(
            x, y + rows[0] * CELL, rows[:, None], f"images {process}", CELL, _kind("forward", process), ROW_WIDE
        )
    for shard, rows_of_shard in enumerate(cut(BATCH, SHARDS)):
        middle = y + (rows_of_shard.start + rows_of_shard.stop) / 2 * CELL
        process = next(p for p, run in enumerate(cut(SHARDS, PROCESSES)) if run.start <= shard < run.stop)
        canvas.line(x + ROW_WIDE * CELL + 14, middle - 4, f"shard {shard},", 15)
        canvas.line(x + ROW_WIDE * CELL + 14, middle + 16, f"on process {process}", 15)


def _one_pass(canvas: Canvas, x: float, y: float, scheme: str, number: int, of: list[np.ndarray]) -> float:
    """The rows of a pass by the process that sends them, and the outputs by the one that computes them."""
    out, top = x + ROW_WIDE * CELL + GAP, y + CELL + 4
    canvas.line(x, y + 16, f"pass {number}", 15)
    rows = sum(map(len, of))
    for process, columns in enumerate(_columns()):
        name = f"{scheme} pass {number} columns {process}"
        numbers = np.arange(columns.start, columns.stop)[None]
        canvas.cells(out + columns.start * CELL, y, numbers, name, CELL, _kind("weight", process))
        width = (columns.stop - columns.start) * CELL
        for row in range(rows):
            left, high = out + columns.start * CELL, top + row * CELL
            canvas.box(left, high, width, CELL, "forward")
            if process:
                canvas.box(left, high, width, CELL, "hatched")
    at = top
    for process, chosen in enumerate(of):
        if len(chosen):
            name = f"{scheme} pass {number} rows {process}"
            canvas.cells(x, at, chosen[:, None], name, CELL, _kind("forward", process), ROW_WIDE)
        at += len(chosen) * CELL
    canvas.arrow((out - GAP + 6, (top + at) / 2), (out - 6, (top + at) / 2), kind="forward")
    return at
