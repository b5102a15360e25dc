"""The plan of a Winograd convolution on a CPU: views and sizes, as plain integers and NumPy arrays.

A strip is one row of tiles of one image. A chunk is a number of strips whose tiles one matrix product multiplies. If m
does not divide the size of the output, the last tiles compute m - 1 outputs, along each axis: 13 = 5 + 4 + 4.
"""

import functools
from typing import Literal, NamedTuple

import numpy as np

from .....devices.cpu.recording import contiguous
from .....devices.cpu.vectors import VECTOR_BYTES
from .....geometry import Pair
from ..choice import MANY_FILTERS
from ..matrices import Tile

MOST_IN_BLOCK, LANES = 64, 16
"""Filters of one matrix product at most, and what their number is a multiple of: a vector register of AVX-512."""

STREAMED_BYTES = 32 << 20
"""Images larger than this are written past the caches, whose lines would else be read before they are written."""

FEW = 3
"""Chunks of a batch that are of equal size, whatever that is. Of more a small last one costs little."""


class Blocks(NamedTuple):
    """Filters in ``number`` equal blocks of ``width``; the last is filled up with zeros."""

    number: int
    width: int

    @property
    def filters(self) -> int:
        """Those of all blocks, with the zeros."""
        return self.number * self.width


def blocks_of(filters: int, most: int = MOST_IN_BLOCK) -> Blocks:
    """As few blocks as can be, which are no wider than they must: 48 filters are not multiplied as 64."""
    number = -(-filters // most)
    return Blocks(number, -(-filters // (number * LANES)) * LANES)


def even_blocks(filters: int, threads: int, groups: int) -> Blocks | None:
    """The widest blocks of a group's filters of which each thread has the same number, or None if there are none.

    If there are several groups, none is filled up, as zeros would be written to filters of the next group.
    """
    for most in (MOST_IN_BLOCK, MOST_IN_BLOCK // 2, LANES):
        blocks = blocks_of(filters, most)
        if groups * blocks.number % threads == 0 and (groups == 1 or blocks.filters == filters):
            return blocks
    return None


class Limits(NamedTuple):
    """The sizes that decide which schedule runs, and how large its chunks are.

    ``chunk_bytes``: V and M of a task of the fused schedule, so that they stay in the cache that the cores share;
    ``most_bytes`` if U is as large, as it then costs more to read.
    ``held_bytes``: V and M, or V and dM, that the staged schedule holds at a time, so that they too stay in that cache.
    ``near_bytes``: V and dM at a time where dU has at most ``small_bytes``: they stay in a core's own cache, and so
    does dU, which is read and written once more for each chunk.
    ``least_tasks``: small inputs are cut finer, so that this many threads have work.
    ``split_chunks``: each task sums its own dU if it has at least this many chunks and dU fits in ``chunk_bytes``; a
    smaller dU needs that much fewer. Adding the copies is then cheaper than reading data that another core wrote. Half
    as many tasks will do for it.
    ``least_rows``: below this many rows of a product the time to load U dominates. The staged schedule loads U once,
    the fused one once per task.
    ``many_filters``, ``own_bytes``: U or dU of so many elements of filters is made by filters, if M or dM of a task has
    at most so many bytes, and stays in a core's own cache.
    """

    chunk_bytes: int = 3 << 20
    most_bytes: int = 9 << 20
    held_bytes: int = 12 << 20
    near_bytes: int = 2 << 20
    small_bytes: int = 1 << 20
    least_tasks: int = 16
    split_chunks: int = 4
    least_rows: int = 16
    many_filters: int = MANY_FILTERS
    own_bytes: int = 1 << 20


class Sizes(NamedTuple):
    """What a plan depends on: ``n`` images with outputs of ``size``, and ``groups``, each of ``depth`` channels of a
    block of pixels and of ``filters``. U has elements of ``itemsize`` bytes."""

    tile: Tile
    n: int
    size: Pair
    depth: int
    filters: int
    groups: int
    itemsize: int


class ImageView(NamedTuple):
    """One group's channels of a batch, and where its blocks of stride_h x stride_w pixels begin.

    ``rows`` are the rows of the images, flattened. A pixel has ``channels`` elements; the group's begin at
    ``first_channel``. One row of a block has ``row_size`` elements of the group, neighbours in memory. If it
    ``streams``, what is written to it goes past the caches, none of which would hold it.
    """

    rows: np.ndarray
    channels: int
    first_channel: int
    row_size: int
    pad_top: int
    pad_left: int
    stride_h: int
    stride_w: int
    streams: bool


class TileGrid(NamedTuple):
    """How tiles cover a batch, down (h) and across (w).

    ``m`` outputs and ``n`` points of a large tile; the ``tiles`` of an image, of which the first ``large`` are large;
    the point at which A sums up; the ``strips`` of the batch and those of a chunk.
    """

    m_h: int
    m_w: int
    n_h: int
    n_w: int
    tiles_h: int
    tiles_w: int
    large_h: int
    large_w: int
    sum_point: int
    strips: int
    chunk_strips: int


class Images(NamedTuple):
    """A batch, the pixels of padding before the first block, and the pixels of a block, each (down, across)."""

    array: np.ndarray
    before: Pair
    stride: Pair

    def size_in_blocks(self) -> Pair:
        """Rows and columns of blocks of pixels that cover the images, with their padding."""
        down, across = (
            -(-(size + before) // step)
            for size, before, step in zip(self.array.shape[1:3], self.before, self.stride, strict=True)
        )
        return down, across


class Filters(NamedTuple):
    """What U is made of: w (r_h, r_w, C, F) of all ``groups``, each of which has C channels.

    ``exchanged``: for the adjoint, where channels are filters and filters channels.
    """

    w: np.ndarray
    exchanged: bool
    groups: int


class ConvolutionPlan(NamedTuple):
    """``fused``: a task has one chunk. ``staged``: one chunk is held at a time. ``by_filters``: all of V is, and a task
    has one block of filters."""

    schedule: Literal["fused", "staged", "by_filters"]
    grid: TileGrid
    blocks: Blocks


class AccumulationPlan(NamedTuple):
    """``split``: each of several ``splits`` sums its own dU. ``staged``: one chunk is held at a time. ``by_filters``:
    all of V is, and a task has one block of filters."""

    schedule: Literal["split", "staged", "by_filters"]
    grid: TileGrid
    blocks: Blocks
    splits: int = 1


def image_view(images: Images, channels: slice) -> ImageView:
    """The channels in place; a copy if a block has several pixels, and so a group's elements are not neighbours."""
    array, before, stride = images
    if stride != (1, 1) and channels.stop - channels.start < array.shape[3]:
        array = contiguous(array[..., channels])
        channels = slice(0, array.shape[3])
    row_size = stride[1] * (channels.stop - channels.start)
    rows = array.reshape(*array.shape[:2], -1)
    streams = stride == (1, 1) and rows.nbytes > STREAMED_BYTES and _in_vectors(rows, array.shape[3], channels.start)
    return ImageView(rows, array.shape[3], channels.start, row_size, *before, *stride, streams)


def _in_vectors(rows: np.ndarray, channels: int, first_channel: int) -> bool:
    """If the blocks of a pixel begin at multiples of VECTOR_BYTES."""
    return not (rows.ctypes.data | channels * rows.itemsize | first_channel * rows.itemsize) % VECTOR_BYTES


# A step asks for the same plans again and again, and to make one takes longer than a small kernel.


@functools.lru_cache(maxsize=1024)
def plan_convolution(sizes: Sizes, limits: Limits, threads: int | None) -> ConvolutionPlan:
    """``threads`` that may each make U of their filters; None if U is there already. The bits do not depend on it."""
    tile, depth, blocks = sizes.tile, sizes.depth, blocks_of(sizes.filters)
    grid = _grid(sizes, limits)
    u_bytes = tile.points * depth * blocks.filters * sizes.itemsize
    # A large U comes from the cache that the cores share, or from memory: it is read for more tiles at once.
    size_in_cache = max(limits.chunk_bytes, min(u_bytes, limits.most_bytes))
    in_cache = _strips_in(size_in_cache, tile, grid.tiles_w, depth, blocks)
    strips = max(1, min(in_cache, grid.chunk_strips, grid.strips // limits.least_tasks))
    if strips * grid.tiles_w < limits.least_rows:
        even = _blocks_by_filters(sizes, grid, limits, threads)
        if even:
            return ConvolutionPlan("by_filters", grid._replace(chunk_strips=grid.strips), even)
        return ConvolutionPlan("staged", _in_even_shares(grid, limits), blocks)
    return ConvolutionPlan("fused", grid._replace(chunk_strips=_for_all_threads(strips, grid, limits)), blocks)


@functools.lru_cache(maxsize=1024)
def plan_accumulation(sizes: Sizes, limits: Limits, threads: int | None) -> AccumulationPlan:
    """For the gradient of the filters; arguments as ``plan_convolution``."""
    tile, depth, blocks = sizes.tile, sizes.depth, blocks_of(sizes.filters)
    grid = _grid(sizes, limits)
    du_bytes = tile.points * depth * blocks.filters * sizes.itemsize
    chunk_strips = min(_strips_in(limits.chunk_bytes, tile, grid.tiles_w, depth, blocks), grid.chunk_strips)
    chunks = max(limits.split_chunks * du_bytes // limits.chunk_bytes, 1)
    near_strips = grid.strips
    if du_bytes <= limits.small_bytes:
        near_strips = max(1, _strips_in(limits.near_bytes, tile, grid.tiles_w, depth, blocks))
    for splits in (limits.least_tasks, limits.least_tasks // 2):
        enough = splits > 1 and 0 < chunks * chunk_strips <= grid.strips // splits
        if enough and du_bytes <= limits.chunk_bytes:
            # Of equal size: a last chunk of few strips would have products of few rows.
            of_task = -(-grid.strips // splits)
            chunk_strips = -(-of_task // -(-of_task // min(chunk_strips, near_strips)))
            return AccumulationPlan("split", grid._replace(chunk_strips=chunk_strips), blocks, splits)
    even = _blocks_by_filters(sizes, grid, limits, threads)
    if even:
        return AccumulationPlan("by_filters", grid._replace(chunk_strips=grid.strips), even)
    grid = grid._replace(chunk_strips=min(grid.chunk_strips, near_strips))
    return AccumulationPlan("staged", _in_even_shares(grid, limits), blocks)


def _blocks_by_filters(sizes: Sizes, grid: TileGrid, limits: Limits, threads: int | None) -> Blocks | None:
    """The blocks of a schedule by filters, if there are many, blocks for all threads, and M of a block is small."""
    tile, _, _, depth, filters, groups, _ = sizes
    many = tile.r[0] * tile.r[1] * depth * filters * groups >= limits.many_filters
    blocks = even_blocks(filters, threads, groups) if threads and many else None
    if blocks and grid.strips <= _strips_in(limits.own_bytes, tile, grid.tiles_w, 0, Blocks(1, blocks.width)):
        return blocks
    return None


def _grid(sizes: Sizes, limits: Limits) -> TileGrid:
    """The grid with chunks as large as may be held at a time."""
    tile, n, size, depth = sizes[:4]
    tiles_h, tiles_w = tile.counts(size)
    strips = n * tiles_h
    chunk_strips = max(1, min(_strips_in(limits.held_bytes, tile, tiles_w, depth, blocks_of(sizes.filters)), strips))
    counts = tiles_h, tiles_w, *tile.large_counts(size)
    return TileGrid(*tile.m, *tile.n, *counts, tile.sum_point, strips, chunk_strips)


def _for_all_threads(strips: int, grid: TileGrid, limits: Limits) -> int:
    """At most a quarter more strips in a task, if the tasks, now fewer, are then ``least_tasks`` or twice as many: 19
    tasks would be 10 and 9 for two threads, and two and one for sixteen."""
    rounds = -(-grid.strips // strips) // limits.least_tasks
    if rounds not in (1, 2):
        return strips
    even = -(-grid.strips // (rounds * limits.least_tasks))
    return even if even <= min(grid.chunk_strips, 5 * strips // 4) else strips


def _in_even_shares(grid: TileGrid, limits: Limits) -> TileGrid:
    """The grid with FEW chunks of equal size: each loads U, or adds to dU. Of more, each has a multiple of
    ``least_tasks`` strips, if it has that many."""
    chunks = -(-grid.strips // grid.chunk_strips)
    if chunks <= FEW:
        return grid._replace(chunk_strips=-(-grid.strips // chunks))
    rest = grid.chunk_strips % limits.least_tasks
    return grid._replace(chunk_strips=grid.chunk_strips - rest) if rest < grid.chunk_strips else grid


def _strips_in(size: int, tile: Tile, tiles_w: int, depth: int, blocks: Blocks) -> int:
    """How many strips of V and M, in float32, fit ``size`` bytes."""
    return size // (4 * tile.points * tiles_w * (depth + blocks.filters))
