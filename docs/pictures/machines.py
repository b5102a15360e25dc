"""How the work is cut: tasks of a convolution on a CPU, and one block of a matrix product on a GPU."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
from canvas import MARGIN, WIDTH, Canvas

import tinyalexnet
from tinyalexnet.devices.cpu.compiler import slice_bounds
from tinyalexnet.ops.conv2d.cpu_tasks import BLOCK_PIXELS, PARTIAL_SUMS, rows_per_block

SIMT_TILES = Path(tinyalexnet.__file__).parent / "devices" / "cuda" / "simt_tiles.py"
THREADS_OF_THE_CPU = 2
ROW_HEIGHT = 16
SHOWN_THREAD = 19


def bounds(index: int, count: int, size: int) -> tuple[int, int]:
    """``slice_bounds`` as plain Python: a picture needs no compiler."""
    begin, end = getattr(slice_bounds, "py_func", slice_bounds)(index, count, size)
    return int(begin), int(end)


def cpu_sizes(out_shape: tuple[int, int, int, int]) -> dict[str, int]:
    """The sizes of the tasks in ops/conv2d/cpu.py for an output of this shape."""
    n, height, width, _ = out_shape
    block = rows_per_block(out_shape)
    blocks = -(-n * height // block)
    images = max(1, BLOCK_PIXELS // (height * width))
    return {"block": block, "blocks": blocks, "images": images, "slices": min(PARTIAL_SUMS, blocks)}


def cpu_tasks() -> str:
    out_shape = n, height, width, _ = 4, 13, 13, 384
    sizes = cpu_sizes(out_shape)
    canvas = Canvas(
        "How tasks and threads cut a batch on a CPU",
        "Four images of 13 x 13 output pixels. In the forward a task is a block of output rows, which may reach into "
        "the next image. For dx a task is two whole images. For dw each of sixteen slices sums its own dw, and the "
        "sums are added in a fixed order.",
    )
    canvas.line(MARGIN, 60, f"{n} images of {height} x {width} output pixels, by ops/conv2d/cpu.py", 15)
    canvas.line(MARGIN, 92, f"Forward: {sizes['blocks']} tasks of {sizes['block']} output rows", kind="bold")
    _forward_tasks(canvas, 104, n, height, sizes)
    y = 104 + height * ROW_HEIGHT + 24
    canvas.lines(MARGIN, y, [
        "A task may cross into the next image. No two tasks write the same output.",
        f"Plain: thread 0. Hatched: thread 1. Each of {THREADS_OF_THE_CPU} threads takes half of the tasks.",
    ], 15)  # fmt: skip
    y += 66
    tasks = -(-n // sizes["images"])
    canvas.line(MARGIN, y, f"dx: {tasks} tasks of {sizes['images']} whole images", kind="bold")
    for image in range(n):
        task = image // sizes["images"]
        left = MARGIN + image * 134
        canvas.box(left, y + 12, 122, 44, "gradient")
        if task * THREADS_OF_THE_CPU // tasks:
            canvas.box(left, y + 12, 122, 44, "hatched")
        canvas.line(left + 61, y + 40, f"task {task}", 16, "bold halo", "middle")
    canvas.line(MARGIN, y + 80, "Windows overlap in an image, never across images: so no two tasks add", 15)
    canvas.line(MARGIN, y + 100, "to the same element of dx.", 15)
    y += 138
    canvas.line(MARGIN, y, f"dw: {sizes['slices']} slices, each with a dw of its own", kind="bold")
    counts = np.array(
        [[np.subtract(*bounds(k, sizes["slices"], sizes["blocks"])[::-1]) for k in range(sizes["slices"])]]
    )
    canvas.line(MARGIN, y + 24, "Blocks of output rows in each slice:", 15)
    cell = (WIDTH - 2 * MARGIN) / sizes["slices"]

    def kind(_: int, k: int) -> str:
        return "gradient hatch" if k * THREADS_OF_THE_CPU // sizes["slices"] else "gradient"

    canvas.cells(MARGIN, y + 34, counts, "blocks", cell, kind)
    low = y + 34 + cell
    for k in range(sizes["slices"]):
        middle = MARGIN + (k + 0.5) * cell
        canvas.arrow((middle, low + 2), (middle, low + 26))
    canvas.box(MARGIN, low + 30, WIDTH - 2 * MARGIN, 34, "gradient", 4)
    canvas.line(
        WIDTH / 2, low + 53, f"dw = sum 0 + sum 1 + … + sum {sizes['slices'] - 1}, in this order", 16, "", "middle"
    )
    canvas.lines(MARGIN, low + 92, [
        "The cuts follow from the shapes alone, so each sum has the same bits on",
        "any number of threads.",
    ], 15)  # fmt: skip
    return canvas.svg(low + 132)


def _forward_tasks(canvas: Canvas, top: float, n: int, height: int, sizes: dict[str, int]) -> None:
    """A column of output rows for each image, cut into tasks."""
    row_height, width = ROW_HEIGHT, 122
    for task in range(sizes["blocks"]):
        first, last = task * sizes["block"], min((task + 1) * sizes["block"], n * height)
        while first < last:
            image, row = divmod(first, height)
            rows = min(last - first, height - row)
            left, y = MARGIN + image * 134, top + row * row_height
            canvas.box(left, y, width, rows * row_height, "forward")
            if task * THREADS_OF_THE_CPU // sizes["blocks"]:
                canvas.box(left, y, width, rows * row_height, "hatched")
            canvas.line(left + width / 2, y + rows * row_height / 2 + 5, f"task {task}", 14, "halo", "middle")
            first += rows


def gpu_sizes() -> dict[str, int]:
    """The constants of simt_tiles.py, which itself needs Numba's compiler for GPUs."""
    names: dict[str, int] = {}
    for node in ast.parse(SIMT_TILES.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name in ("COLS", "ROWS", "DEPTH", "THREADS"):
                names[name] = eval(ast.unparse(node.value), {}, names)
    return names


def own_rows_and_columns(thread: int, rows: int, cols: int) -> tuple[list[int], list[int]]:
    """The rows and columns of a thread's sums, as plus_product has them: four in each half of the tile."""
    row, col = thread // (cols // 8) * 4, thread % (cols // 8) * 4
    own_rows = [half + row + k for half in (0, rows // 2) for k in range(4)]
    return own_rows, [half + col + k for half in (0, cols // 2) for k in range(4)]


def gpu_tile() -> str:
    sizes = gpu_sizes()
    rows, cols, depth, threads = (sizes[name] for name in ("ROWS", "COLS", "DEPTH", "THREADS"))
    own_rows, own_cols = own_rows_and_columns(SHOWN_THREAD, rows, cols)
    canvas = Canvas(
        "How a block of a GPU tiles a matrix product",
        f"A block of {threads} threads computes {rows} x {cols} elements. It holds {rows} x {depth} elements of A and "
        f"{depth} x {cols} of B in shared memory and moves on along the sum. Each thread has 8 x 8 sums in registers: "
        "four squares of 4 x 4, one in each quarter.",
    )
    unit, left, top = 2.5, 92, 136
    _tiles(canvas, left, top, unit, sizes)
    for row in own_rows[::4]:
        for col in own_cols[::4]:
            x, y = left + col * unit, top + row * unit
            canvas.box(x, y, 4 * unit, 4 * unit, "forward")
            canvas.frame(x, y, 0, 0, 1, 1, 4 * unit, inset=-2.5)
    _registers(canvas, 306, 172, own_rows, own_cols)
    y = top + rows * unit + 34
    canvas.lines(MARGIN, y, [
        f"One block: {threads} threads, {rows} x {cols} elements of out. The framed squares are",
        f"those of thread {SHOWN_THREAD}. The block goes along the sum in steps of {depth}: load, wait,",
        "multiply. A is im2col(x) and is never stored: its elements are loaded from x.",
        f"An element of A in shared memory serves {cols} products, one of B {rows}.",
    ], 15)  # fmt: skip
    return canvas.svg(y + 82)


def _tiles(canvas: Canvas, left: float, top: float, unit: float, sizes: dict[str, int]) -> None:
    """The tiles of A, B and the result, with a line every four elements."""
    rows, cols, depth = sizes["ROWS"] * unit, sizes["COLS"] * unit, sizes["DEPTH"] * unit
    canvas.line(left, top - 62, f"B: {sizes['DEPTH']} x {sizes['COLS']}, filters", 15, "bold")
    canvas.box(left, top - 52, cols, 2 * depth + 4, "ghost")
    canvas.box(left, top - 32, cols, depth, "weight")
    canvas.arrow((left + cols + 10, top - 48), (left + cols + 10, top - 12))
    canvas.line(
        left - 32 - depth,
        top + rows / 2,
        f"A: {sizes['ROWS']} x {sizes['DEPTH']}, output pixels",
        15,
        "bold",
        "middle",
        -90,
    )
    canvas.box(left - 22 - depth, top, 2 * depth, rows, "ghost")
    canvas.box(left - 12 - depth, top, depth, rows, "forward")
    canvas.arrow((left - 22 - depth, top - 12), (left - 10, top - 12))
    canvas.box(left, top, cols, rows, "plain")
    for k in range(4, sizes["ROWS"], 4):
        canvas.path(f"M{left} {top + k * unit:g} h{cols:g}", "thin", tip=False)
    for k in range(4, sizes["COLS"], 4):
        canvas.path(f"M{left + k * unit:g} {top} v{rows:g}", "thin", tip=False)
    canvas.path(f"M{left} {top + rows / 2:g} h{cols:g} M{left + cols / 2:g} {top} v{rows:g}", "plain", tip=False)


def _registers(canvas: Canvas, left: float, top: float, own_rows: list[int], own_cols: list[int]) -> None:
    """The 8 x 8 sums of one thread, with the rows and columns of the block's tile that they are."""
    cell = 25
    canvas.line(left, top - 72, f"Thread {SHOWN_THREAD}: 8 x 8 sums", 16, "bold")
    canvas.line(left + 40, top - 40, "columns", 14, "soft")
    canvas.cells(left + 36, top - 32, np.array([own_cols]), "columns", cell, "weight")
    canvas.line(left, top - 10, "rows", 14, "soft")
    canvas.cells(left, top, np.array([own_rows]).T, "rows", cell, "forward")
    for r in range(8):
        for c in range(8):
            canvas.box(left + 36 + c * cell, top + r * cell, cell, cell, "forward")
    for r in (0, 4):
        for c in (0, 4):
            canvas.frame(left + 36, top, r, c, 4, 4, cell)
    canvas.lines(left, top + 8 * cell + 28, [
        "In each step of the sum: 8",
        "elements of A, 8 of B, and",
        "64 multiply-adds, all in",
        "registers.",
    ], 15)  # fmt: skip
