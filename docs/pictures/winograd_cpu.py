"""How Winograd's convolution is cut on a CPU: tiles, strips, chunks, as its plan has them."""

from __future__ import annotations

from typing import Any

import numpy as np
from canvas import MARGIN, WIDTH, Canvas

from tinyalexnet import alexnet
from tinyalexnet.ops.conv2d.winograd.choice import choose_tile
from tinyalexnet.ops.conv2d.winograd.cpu.plan import Limits, Sizes, plan_convolution

THREADS = 2


def conv3_plan() -> tuple[Any, Any, int]:
    """The tile and the plan of conv3 at batch 128, and the bytes of V and M of one task's chunk."""
    net, n = alexnet("tf2015", backend="reference"), 128
    _, height, width, channels = net.output_shapes((n, 227, 227, 3))["pool2"]
    filters, window = net["conv3"].params["w"].shape[3], net["conv3"].window  # type: ignore[attr-defined]
    tile = choose_tile("auto", "cpu", (n, height, width, channels), filters, window, 1, np.dtype(np.float32))
    assert tile is not None
    size = window.output_size((height, width))
    plan = plan_convolution(Sizes(tile, n, size, channels, filters, 1, 4), Limits(), THREADS)
    assert plan.schedule == "fused"
    return tile, plan, 4 * tile.points * plan.grid.tiles_w * plan.grid.chunk_strips * (channels + filters)


def tile_sizes(tile: Any, grid: Any) -> list[int]:
    """The outputs of each tile along an axis: the large ones come first."""
    return [tile.m[0] if k < grid.large_h else tile.m[0] - 1 for k in range(grid.tiles_h)]


def winograd_tasks() -> str:
    tile, plan, chunk_bytes = conv3_plan()
    grid = plan.grid
    tasks = -(-grid.strips // grid.chunk_strips)
    images = grid.strips // grid.tiles_h
    canvas = Canvas(
        "Winograd on a CPU: tiles, strips, tasks",
        f"conv3 at batch {images}. An output of 13 x 13 is cut into tiles of 5, 4 and 4. A row of tiles is a strip, "
        f"{grid.chunk_strips} strips are the chunk of one task, and the batch has {tasks} tasks. "
        "A task takes its chunk through all three stages.",
    )
    canvas.line(MARGIN, 60, f"conv3 of tf2015 at batch {images}, by winograd/cpu/plan.py", 15)
    _tiles_of_an_image(canvas, 88, tile, grid)
    levels = [
        ("strip", f"{grid.tiles_w} tiles", [f"{m} outputs" for m in tile_sizes(tile, grid)]),
        # Every second number: there is no room for all.
        ("task", f"{grid.chunk_strips} strips", ["" if k % 2 else str(k) for k in range(grid.chunk_strips)]),
        ("batch", f"{tasks} tasks", [str(k) for k in range(tasks)]),
    ]
    y, wide = 318, WIDTH - MARGIN - 110
    for level, (name, holds, parts) in enumerate(levels):
        canvas.line(MARGIN, y + 16, name, 16, "bold")
        canvas.line(MARGIN, y + 36, holds, 15, "soft")
        part = wide / len(parts)
        for k, text in enumerate(parts):
            canvas.box(110 + k * part, y, part, 40, "forward" if level < 2 else "weight")
            if level == 2 and k * THREADS // len(parts):
                canvas.box(110 + k * part, y, part, 40, "hatched")
            canvas.line(110 + (k + 0.5) * part, y + 26, text, 15, "mono halo" if level == 2 else "", "middle")
        if level < 2:
            first = wide / len(levels[level + 1][2])
            canvas.path(f"M110 {y + 40} V{y + 66} M{110 + wide} {y + 40} L{110 + first:g} {y + 66}", "thin", tip=False)
        y += 66
    canvas.lines(MARGIN, y + 6, [
        "Plain: the tasks of thread 0. Hatched: thread 1. A task computes for all its strips",
        "first V = Bᵀ x B, then M[τ] = V[τ] U[τ] at each point τ, then out = Aᵀ M A.",
        f"V and M of a task have {chunk_bytes / 2**20:.1f} MB and stay in the cache. U is read once a task.",
        "Tasks read rows of x that overlap, but write rows of out of their own.",
    ], 15)  # fmt: skip
    return canvas.svg(y + 86)


def _tiles_of_an_image(canvas: Canvas, top: float, tile: Any, grid: Any) -> None:
    """The outputs of one image, cut into tiles, with the points of each; the first strip is framed."""
    cell, left = 15, 110
    sizes = tile_sizes(tile, grid)
    starts = np.cumsum([0, *sizes])
    canvas.line(MARGIN, top + 16, "image", 16, "bold")
    canvas.line(MARGIN, top + 36, f"{grid.tiles_h} strips", 15, "soft")
    for row, high in enumerate(sizes):
        for column, wide in enumerate(sizes):
            x, y = left + starts[column] * cell, top + starts[row] * cell
            canvas.box(x, y, wide * cell, high * cell, "forward")
            for k in range(1, wide):
                canvas.path(f"M{x + k * cell} {y} v{high * cell}", "thin", tip=False)
            for k in range(1, high):
                canvas.path(f"M{x} {y + k * cell} h{wide * cell}", "thin", tip=False)
            text = f"{high} x {wide}"
            canvas.line(x + wide * cell / 2, y + high * cell / 2 + 5, text, 15, "bold halo", "middle")
    total = int(starts[-1])
    canvas.frame(left, top, 0, 0, sizes[0], total, cell)
    extra = tile.r[0] - 1
    points = tile.points_of((total, total))
    canvas.lines(left + total * cell + 18, top + 14, [
        f"{total} = {' + '.join(map(str, sizes))} outputs",
        "down and across.",
        f"A tile of {sizes[0]} x {sizes[0]} reads {sizes[0] + extra} x {sizes[0] + extra}",
        f"pixels and has {tile.points} points;",
        f"all tiles have {points}.",
        "Framed: the first strip.",
    ], 15)  # fmt: skip
