"""How many tasks each parallel loop of a step has on a CPU, and how much each of them does: for docs/tasks.py.

The numbers come from the plans and constants that the kernels use. A load is counted in multiply-adds of a matrix
product. A byte that is read or written counts as BYTE of them, by the cost model of ``winograd/choice.py``: an element
that one stage writes and the next reads is 8 bytes. Reading the factors of a product, and adding one product to
another in cache, are part of the product.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tinyalexnet.alexnet import VARIANTS, alexnet
from tinyalexnet.layers import Layer
from tinyalexnet.network import Sequential
from tinyalexnet.ops.conv2d.cpu_tasks import BLOCK_PIXELS, PARTIAL_SUMS, rows_per_block
from tinyalexnet.ops.conv2d.winograd.choice import GEMM_MULTIPLY_ADD, TRANSFORMED_ELEMENT
from tinyalexnet.ops.conv2d.winograd.cpu import LIMITS
from tinyalexnet.ops.conv2d.winograd.cpu.plan import TileGrid, blocks_of, plan_accumulation, plan_convolution
from tinyalexnet.ops.conv2d.winograd.cpu.schedules import SPREAD
from tinyalexnet.ops.conv2d.winograd.cpu.transforms import CHANNELS
from tinyalexnet.ops.conv2d.winograd.matrices import Tile
from tinyalexnet.ops.dense import cpu as dense
from tinyalexnet.ops.dropout import cpu as dropout
from tinyalexnet.ops.l2_loss import cpu as l2_loss
from tinyalexnet.ops.maxpool import argmax_dtype
from tinyalexnet.ops.momentum import cpu as momentum

FLOAT = 4
"""Bytes of a float32."""

BYTE = TRANSFORMED_ELEMENT / (2 * FLOAT)

Loads = float | np.ndarray
"""Of each task, or one number if all tasks are equal."""


@dataclass(frozen=True)
class Loop:
    """A parallel loop, or work of one thread if ``kernel`` is empty."""

    kernel: str
    tasks: int
    products: Loads = 0.0
    bytes: Loads = 0.0
    stage: str = ""

    @property
    def loads(self) -> Loads:
        """Of each task, in multiply-adds."""
        return self.products + BYTE * self.bytes

    @property
    def total(self) -> float:
        return float(np.sum(self.loads)) if np.ndim(self.loads) else self.tasks * float(self.loads)

    def largest(self, threads: int) -> float:
        """The load of the thread that has most."""
        bounds = share_bounds(self.tasks, threads)
        if not np.ndim(self.loads):
            return float(np.diff(bounds).max() * self.loads)
        sums = np.concatenate([[0.0], np.cumsum(self.loads)])
        return float(np.diff(sums[bounds]).max())


def share_bounds(tasks: int, threads: int) -> np.ndarray:
    """Where each thread's tasks begin, and the end: Numba gives each thread neighbouring ones, as equal as can be, and
    one more to the first threads (``create_schedule`` in its ``gufunc_scheduler.cpp``)."""
    least, more = divmod(tasks, threads)
    return np.concatenate([[0], np.cumsum(least + (np.arange(threads) < more))])


def evenness(loops: list[Loop], threads: int) -> float:
    """The mean load of a thread, divided by the largest. Each loop ends when its last thread does."""
    return sum(loop.total for loop in loops) / threads / sum(loop.largest(threads) for loop in loops)


def slices_of(size: int, count: int) -> np.ndarray:
    """The sizes of ``count`` slices, as ``slice_bounds`` cuts them."""
    return np.diff(size * np.arange(count + 1) // count)


def pieces_of(size: int, width: int) -> np.ndarray:
    """The sizes of pieces of ``width``, of which the last may be smaller."""
    return np.minimum(width, size - np.arange(0, size, width))


def network(variant: str) -> Sequential:
    """The network with weights of 0, which need no time to be drawn."""
    return alexnet(replace(VARIANTS[variant], weight_std=0.0))


def updates(variant: str) -> list[Loop]:
    """The loops of SGD."""
    return [replace(update(value.size), stage=f"{name} update") for name, value in network(variant).params.items()]


def step(variant: str, batch: int) -> list[Loop]:
    """The loops of forward, loss and backward, in the order in which they run."""
    net = network(variant)
    forward: list[Loop] = []
    backward: list[list[Loop]] = []
    shape: tuple[int, ...] = (batch, *VARIANTS[variant].image_shape)
    for name, layer in net:
        x_shape, shape = shape, layer.output_shape(shape)
        there, back = LAYERS[layer.kind](layer, x_shape, shape)
        forward += (replace(loop, stage=f"{name} {loop.stage}".strip()) for loop in there)
        backward.append([replace(loop, stage=f"{name} {loop.stage}".strip()) for loop in back])
    classifies = VARIANTS[variant].num_classes is not None
    loss = cross_entropy(*shape) if classifies else squares(math.prod(shape))
    return [*forward, *loss, *(loop for back in reversed(backward) for loop in back)]


# Convolutions.

Both = tuple[list[Loop], list[Loop]]
Shape = tuple[int, ...]


def conv(layer: Layer, x_shape: Shape, shape: Shape) -> Both:
    tile = layer._tile(x_shape)
    if tile is None:
        return gemm(layer, x_shape, shape)
    window, groups = layer.window, layer.groups
    stride_h, stride_w = window.stride
    n, channels, filters = x_shape[0], x_shape[3] // groups, shape[3] // groups
    depth = stride_h * stride_w * channels
    rests = (before % step for before, step in zip(window.before(x_shape[1:3]), window.stride, strict=True))
    size = tuple(-(-(k + rest) // step) for k, rest, step in zip(x_shape[1:3], rests, window.stride, strict=True))
    w_bytes = FLOAT * math.prod((*tile.r, depth, filters))
    # Space to depth, and one thread does it.
    blocked = [Loop("", 1, bytes=2 * w_bytes, stage="filters in blocks")] if window.stride != (1, 1) else []
    forward, dx = winograd(tile, n, shape[1:3], depth, filters), winograd(tile, n, size, filters, depth)
    backward = [*staged_as("dw", [*gradient(tile, n, shape[1:3], depth, filters), *blocked])] * groups
    if layer.needs_dx:
        backward += [*staged_as("dx", [*blocked, *dx])] * groups
    return [*staged_as("forward", [*blocked, *forward])] * groups, backward


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


def winograd(tile: Tile, n: int, size: tuple[int, ...], depth: int, filters: int) -> list[Loop]:
    """A convolution with outputs of ``size``: the forward, or dx."""
    blocks = blocks_of(filters)
    plan = plan_convolution(tile, n, (size[0], size[1]), depth, blocks, FLOAT, LIMITS)
    grid, points = plan.grid, points_of_strips(plan.grid)
    loops = [filters_loop("filters_to_points", tile, depth, filters)]
    if plan.fused:
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


def gradient(tile: Tile, n: int, size: tuple[int, ...], depth: int, filters: int) -> list[Loop]:
    """The gradient of the filters."""
    blocks = blocks_of(filters)
    plan = plan_accumulation(tile, n, (size[0], size[1]), depth, blocks, FLOAT, LIMITS)
    grid, points = plan.grid, points_of_strips(plan.grid)
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


def gemm(layer: Layer, x_shape: Shape, shape: Shape) -> Both:
    """im2col and matrix products, of one group."""
    assert layer.groups == 1
    n, out_h, out_w, filters = shape
    w, is_grey = layer.params["w"], x_shape[3] == 1
    depth = w.size // filters
    block = rows_per_block(shape)
    rows = pieces_of(n * out_h, block)

    def loop(kernel: str, of_rows: np.ndarray, stage: str) -> Loop:
        products = of_rows * out_w * depth * filters
        return Loop(kernel, products.size, products, (GEMM_MULTIPLY_ADD - 1) / BYTE * products, stage)

    slices = min(PARTIAL_SUMS, rows.size)
    parts = np.add.reduceat(rows, rows.size * np.arange(slices) // slices)
    added = FLOAT * (slices + 1)
    backward = [loop("_backward_params", parts, "dw")]
    # Grey images have few sums, which NumPy adds.
    copies = Loop("_backward_params", depth, bytes=added * filters, stage="dw copies")
    backward.append(replace(copies, kernel="", tasks=1, bytes=copies.total / BYTE) if is_grey else copies)
    backward.append(Loop("", 1, bytes=added * filters, stage="db"))
    if layer.needs_dx:
        images = max(1, BLOCK_PIXELS // (out_h * out_w))
        backward.append(loop("_backward_input", out_h * pieces_of(n, images), "dx"))
    return [loop("_forward", rows, "forward")], backward


# The other layers.


def full(layer: Layer, x_shape: Shape, shape: Shape) -> Both:
    """Dense: each slice of the inputs reads or writes its rows of w once."""
    (n, inputs), outputs = x_shape, shape[1]
    rows = slices_of(inputs, min(dense.SLICES, inputs))

    def loop(kernel: str, stage: str) -> Loop:
        return Loop(kernel, rows.size, n * outputs * rows, FLOAT * outputs * rows, stage)

    sums = Loop("_forward", n, bytes=FLOAT * (rows.size + 1) * outputs, stage="forward sums")
    db = Loop("", 1, bytes=FLOAT * n * outputs, stage="db")
    return [loop("_forward", "forward"), sums], [
        loop("_backward_params", "dw"),
        db,
        *([loop("_backward_input", "dx")] if layer.needs_dx else []),
    ]


def pool(layer: Layer, x_shape: Shape, shape: Shape) -> Both:
    """Each row of x is read once, and shared by the windows that it is in."""
    window = layer.window
    (n, height, width, channels), (_, out_h, out_w, _) = x_shape, shape
    x_row = FLOAT * width * channels
    out_row = (FLOAT + argmax_dtype(window).itemsize) * out_w * channels
    kernel, stride = window.kernel[0], window.stride[0]
    top = stride * np.arange(out_h) - window.before((height, width))[0]
    inside = np.minimum(top + kernel, height) - np.maximum(top, 0)
    reads = inside * stride / kernel * x_row + out_row
    rows = np.arange(height)[:, None]
    reached = np.count_nonzero((top <= rows) & (rows < top + kernel), axis=1)
    return [Loop("_forward", n * out_h, bytes=np.tile(reads, n), stage="forward")], [
        Loop("_backward", n * height, bytes=np.tile(x_row + reached * out_row, n), stage="dx")
    ]


def elementwise(size: int, forward: int, backward: int) -> Both:
    """A task for each element, with so many bytes in each pass."""
    there, back = (
        Loop(name, size, bytes=float(count)) for name, count in (("_forward", forward), ("_backward", backward))
    )
    return [replace(there, stage="forward")], [replace(back, stage="dx")]


def relu(layer: Layer, x_shape: Shape, shape: Shape) -> Both:
    return elementwise(math.prod(shape), 2 * FLOAT, 3 * FLOAT)


def lrn(layer: Layer, x_shape: Shape, shape: Shape) -> Both:
    rows, elements = shape[0] * shape[1], shape[2] * shape[3]
    return [Loop("_forward", rows, bytes=3.0 * FLOAT * elements, stage="forward")], [
        Loop("_backward", rows, bytes=4.0 * FLOAT * elements, stage="dx")
    ]


def drop(layer: Layer, x_shape: Shape, shape: Shape) -> Both:
    size = math.prod(shape)
    mask = Loop("_draw", dropout.SLICES, bytes=slices_of(size, dropout.SLICES), stage="mask")
    (apply,), (back,) = elementwise(size, 2 * FLOAT + 1, 2 * FLOAT + 1)
    return [mask, replace(apply, kernel="_apply")], [replace(back, kernel="_apply")]


def flatten(layer: Layer, x_shape: Shape, shape: Shape) -> Both:
    return [], []


def cross_entropy(n: int, classes: int) -> list[Loop]:
    return [
        Loop("_rows", n, bytes=2.0 * FLOAT * classes, stage="loss"),
        Loop("", 1, bytes=2.0 * FLOAT * n, stage="sum of the loss"),
    ]


def squares(size: int) -> list[Loop]:
    slices = slices_of(size, l2_loss.SLICES)
    return [
        Loop("_squares", slices.size, bytes=2 * FLOAT * slices, stage="loss"),
        Loop("", 1, bytes=2.0 * FLOAT * l2_loss.SLICES * l2_loss.LANES, stage="sum of the loss"),
    ]


def update(size: int) -> Loop:
    """The update of a parameter."""
    return Loop("_step", momentum.SLICES, bytes=5 * FLOAT * slices_of(size, momentum.SLICES))


LAYERS = {"conv": conv, "pool": pool, "relu": relu, "lrn": lrn, "dense": full, "dropout": drop, "flatten": flatten}
