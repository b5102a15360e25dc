"""How many tasks each parallel loop of a convolution has on a CPU, and how much each of them does: for docs/tasks.py.

The numbers come from the plans and constants that the kernels use.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from task_loops import BYTE, FLOAT, Loop, Shape, pieces_of, slices_of

from tinyalexnet.layers import Layer
from tinyalexnet.ops.conv2d import cpu_few as few
from tinyalexnet.ops.conv2d.cpu_tasks import BLOCK_PIXELS, PARTIAL_SUMS, rows_per_block
from tinyalexnet.ops.conv2d.winograd.choice import GEMM_MULTIPLY_ADD, has_few_windows
from tinyalexnet.ops.conv2d.winograd.cpu import LIMITS
from tinyalexnet.ops.conv2d.winograd.cpu.filters import CHANNELS
from tinyalexnet.ops.conv2d.winograd.cpu.plan import (
    AccumulationPlan,
    ConvolutionPlan,
    Sizes,
    TileGrid,
    blocks_of,
    plan_accumulation,
    plan_convolution,
)
from tinyalexnet.ops.conv2d.winograd.cpu.schedules import SPREAD
from tinyalexnet.ops.conv2d.winograd.matrices import Tile

Both = tuple[list[Loop], list[Loop]]
"""Of the forward, and of the backward."""

Loops = dict[str, Callable[[], list[Loop]]]
"""Of "out", "dw" and "dx"."""


def conv(layer: Layer, x_shape: Shape, shape: Shape, threads: int) -> Both:
    def loops(result: str) -> list[Loop]:
        tile = layer._tile(x_shape, result)
        cut = layer, x_shape, shape, threads
        of_group = (gemm(*cut) if tile is None else of_tiles(*cut, tile))[result]()
        # By filters all groups are one.
        at_once = any(loop.kernel.endswith("by_filters") for loop in of_group)
        name = "forward" if result == "out" else result
        return [*staged_as(name, of_group)] * (1 if at_once else layer.groups)

    return loops("out"), [*loops("dw"), *(loops("dx") if layer.needs_dx else [])]


def of_tiles(layer: Layer, x_shape: Shape, shape: Shape, threads: int, tile: Tile) -> Loops:
    """Winograd's loops of one group, or by filters of all."""
    window, groups = layer.window, layer.groups
    stride_h, stride_w = window.stride
    n, channels, filters = x_shape[0], x_shape[3] // groups, shape[3] // groups
    depth = stride_h * stride_w * channels
    rests = (before % step for before, step in zip(window.before(x_shape[1:3]), window.stride, strict=True))
    size = tuple(-(-(k + rest) // step) for k, rest, step in zip(x_shape[1:3], rests, window.stride, strict=True))
    # Groups are made by filters where their channels are neighbours.
    how = threads if groups == 1 or window.stride == (1, 1) else None, groups
    w_bytes = FLOAT * math.prod((*tile.r, depth, filters))
    # Space to depth, and one thread does it.
    blocked = [Loop("", 1, bytes=2 * w_bytes, stage="filters in blocks")] if window.stride != (1, 1) else []
    return {
        "out": lambda: [*blocked, *winograd(tile, n, shape[1:3], depth, filters, *how)],
        "dw": lambda: [*gradient(tile, n, shape[1:3], depth, filters, *how), *blocked],
        "dx": lambda: [*blocked, *winograd(tile, n, size, filters, depth, *how)],
    }


def staged_as(name: str, loops: list[Loop]) -> Iterator[Loop]:
    return (replace(loop, stage=f"{name} {loop.stage}".strip()) for loop in loops)


def filters_loop(kernel: str, tile: Tile, channels: int, filters: int) -> Loop:
    """U of filters, or the filters of dU."""
    blocks = blocks_of(filters)
    elements = tile.points * blocks.width * np.tile(pieces_of(channels, CHANNELS), blocks.number)
    return Loop(kernel, elements.size, bytes=2 * FLOAT * elements, stage="filters")


def points_of_strips(grid: TileGrid) -> np.ndarray:
    """Points of each strip's tiles, all together."""
    is_large = np.arange(grid.strips) % grid.tiles_h < grid.large_h
    return (grid.n_h - 1 + is_large) * (grid.tiles_w * (grid.n_w - 1) + grid.large_w)


def point_products(grid: TileGrid, begin: int, end: int, number: int, multiply_adds: int) -> np.ndarray:
    """Of each point and block of filters, over some strips; ``multiply_adds`` is that of a tile."""
    large = int(np.count_nonzero(np.arange(begin, end) % grid.tiles_h < grid.large_h))
    down, across = np.full(grid.n_h, end - begin), np.full(grid.n_w, grid.tiles_w)
    down[-1], across[-1] = large, grid.large_w
    tiles = np.outer(down, across).reshape(-1)
    return np.repeat(tiles[np.arange(tiles.size) * SPREAD % tiles.size] * multiply_adds, number)


def held(grid: TileGrid) -> Iterator[tuple[int, int]]:
    """The strips that a staged schedule holds at a time."""
    for begin in range(0, grid.strips, grid.chunk_strips):
        yield begin, min(begin + grid.chunk_strips, grid.strips)


def by_filters(kernel: str, plan: ConvolutionPlan | AccumulationPlan, depth: int, groups: int) -> list[Loop]:
    """The images' transforms, and then all that is to do for each block of filters."""
    points, (number, width) = points_of_strips(plan.grid), plan.blocks
    products = np.full(groups * number, points.sum() * depth * width)
    return [
        Loop(kernel, points.size, bytes=2 * FLOAT * groups * depth * points, stage="transforms"),
        Loop(kernel, products.size, products, 2 * FLOAT / depth * products, stage="products"),
    ]


def winograd(
    tile: Tile, n: int, size: tuple[int, ...], depth: int, filters: int, threads: int | None, groups: int
) -> list[Loop]:
    """A convolution with outputs of ``size``: the forward, or dx."""
    plan = plan_convolution(Sizes(tile, n, (size[0], size[1]), depth, filters, groups, FLOAT), LIMITS, threads)
    blocks, grid, points = plan.blocks, plan.grid, points_of_strips(plan.grid)
    if plan.schedule == "by_filters":
        return by_filters("convolve_by_filters", plan, depth, groups)
    loops = [filters_loop("filters_to_points", tile, depth, filters)]
    if plan.schedule == "fused":
        of_tasks = np.add.reduceat(points, np.arange(0, grid.strips, grid.chunk_strips))
        moved = 2 * FLOAT * (depth + blocks.filters) * of_tasks
        return [*loops, Loop("convolve_fused", of_tasks.size, depth * blocks.filters * of_tasks, moved)]
    for begin, end in held(grid):
        some = points[begin:end]
        products = point_products(grid, begin, end, blocks.number, depth * blocks.width)
        loops += [
            Loop("convolve_staged", some.size, bytes=2 * FLOAT * depth * some, stage="transforms"),
            Loop("convolve_staged", products.size, products, stage="products"),
            Loop("convolve_staged", some.size, bytes=2 * FLOAT * blocks.filters * some, stage="transforms back"),
        ]
    return loops


def gradient(
    tile: Tile, n: int, size: tuple[int, ...], depth: int, filters: int, threads: int | None, groups: int
) -> list[Loop]:
    """The gradient of the filters."""
    plan = plan_accumulation(Sizes(tile, n, (size[0], size[1]), depth, filters, groups, FLOAT), LIMITS, threads)
    blocks, grid, points = plan.blocks, plan.grid, points_of_strips(plan.grid)
    if plan.schedule == "by_filters":
        return by_filters("accumulate_by_filters", plan, depth, groups)
    last = filters_loop("filters_from_points", tile, depth, filters)
    if plan.splits > 1:
        bounds = np.arange(plan.splits + 1) * grid.strips // plan.splits
        of_tasks = np.add.reduceat(points, bounds[:-1])
        moved = 2 * FLOAT * (depth + blocks.filters) * of_tasks
        added = 3 * FLOAT * (plan.splits - 1)
        return [
            Loop("accumulate_split", plan.splits, depth * blocks.filters * of_tasks, moved),
            Loop("accumulate_split", tile.points * blocks.number, bytes=added * depth * blocks.width, stage="copies"),
            Loop("", 1, bytes=added * blocks.filters, stage="db"),
            last,
        ]
    loops = []
    for begin, end in held(grid):
        moved = 2 * FLOAT * (depth + blocks.filters) * points[begin:end]
        products = point_products(grid, begin, end, blocks.number, depth * blocks.width)
        loops += [
            Loop("accumulate_staged", moved.size, bytes=moved, stage="transforms"),
            Loop("accumulate_staged", products.size, products, stage="products"),
        ]
    return [*loops, last]


def gemm(layer: Layer, x_shape: Shape, shape: Shape, threads: int) -> Loops:
    """im2col and matrix products, of one group. Few windows are cut for the threads."""
    (n, out_h, out_w, all_filters), w = shape, layer.params["w"]
    filters, depth = all_filters // layer.groups, math.prod(w.shape[:3])
    is_grey = x_shape[3] == 1
    is_few = not is_grey and has_few_windows(shape, depth)
    dx_is_few = layer.window.stride == (1, 1) and has_few_windows(x_shape, math.prod(w.shape[:2]) * filters)
    images = max(1, BLOCK_PIXELS // (out_h * out_w))

    def loop(kernel: str, of_rows: np.ndarray) -> Loop:
        products = of_rows * out_w * depth * filters
        return Loop(kernel, products.size, products, (GEMM_MULTIPLY_ADD - 1) / BYTE * products)

    def dw() -> list[Loop]:
        rows = pieces_of(n * out_h, rows_per_block(shape))
        slices = min(PARTIAL_SUMS, rows.size)
        parts = np.add.reduceat(rows, rows.size * np.arange(slices) // slices)
        added = FLOAT * (slices + 1)
        # Grey images have few sums, which NumPy adds.
        copies = Loop("_backward_params", depth, bytes=added * filters, stage="copies")
        if is_grey:
            copies = replace(copies, kernel="", tasks=1, bytes=copies.total / BYTE)
        return [loop("_backward_params", parts), copies, Loop("", 1, bytes=added * filters, stage="db")]

    return {
        "out": lambda: (
            few_forward((*shape[:3], filters), depth, threads, False)
            if is_few
            else [loop("_forward", pieces_of(n * out_h, rows_per_block(shape)))]
        ),
        "dw": lambda: few_dw((*shape[:3], filters), depth, threads) if is_few else dw(),
        "dx": lambda: (
            few_forward((*x_shape[:3], w.shape[2]), math.prod(w.shape[:2]) * filters, threads, True)
            if dx_is_few
            else [loop("_backward_input", out_h * pieces_of(n, images))]
        ),
    }


def few_forward(shape: Shape, depth: int, threads: int, turned: bool) -> list[Loop]:
    """The forward; or dx, with the filters ``turned``."""
    n, out_h, out_w, filters = shape
    windows = n * out_h * out_w
    slices, blocks = few.cut(windows, filters, threads, turned)
    products = depth * np.outer(pieces_of(filters, blocks * few.FILTERS), slices_of(windows, slices)).reshape(-1)
    return [Loop("_forward", products.size, products)]


def few_dw(shape: Shape, depth: int, threads: int) -> list[Loop]:
    n, out_h, out_w, filters = shape
    windows = n * out_h * out_w
    rows = slices_of(depth, few.slabs(windows, depth, threads))
    return [
        Loop("_backward_params", rows.size, windows * filters * rows),
        Loop("", 1, bytes=FLOAT * windows * filters, stage="db"),
    ]
