"""The schedules of a Winograd convolution, compiled: in which order threads do the three stages.

    V = Bᵀ x B             the tiles of the image, transformed            ``transform_strip``
    M[p] = V[p] U[p] + b   one matrix product for each point p            ``_multiply``
    out = Aᵀ M A           the tiles, transformed back                    ``restore_strip``

The fused schedules do all stages of a chunk while it is in cache; the staged ones do one stage after the other. By
filters, a task does for its block of filters what follows stage 1, and so U is never in memory.
"""

import numba
import numpy as np

from .....devices.cpu.compiler import inner, parallel, slice_bounds
from .....devices.cpu.panels import DEPTH, add_panel_product
from .filters import restore_filters, transform_filters
from .transforms import add_elements, restore_strip, tiles_of_strips, transform_strip

GRADIENT_DEPTH = 32
"""Channels of dU that a task of ``accumulate_by_filters`` has at a time: with 49 points and 64 filters 0.4 MB."""

SPREAD = 13
"""A step through the points of a tile that meets each of them once: their number has no factor above 8."""


@inner
def _multiply(v, u, bias, grid, begin, end, p, block, m):  # type: ignore[no-untyped-def]
    """Stage 2: M[p] = V[p] U[p] of the strips from ``begin`` to ``end`` and a block of filters; plus the bias, at the
    point that all outputs add."""
    tiles = tiles_of_strips(grid, p, begin, end)
    add_panel_product(v[p, :tiles], u[p, block], False, m[p, block, :tiles])
    if p == grid.sum_point:
        _add_bias(m[p, block, :tiles], bias[block])


@inner
def _add_bias(rows, bias):  # type: ignore[no-untyped-def]
    for row in range(rows.shape[0]):
        add_elements(rows[row], bias)


@inner
def _multiply_filters(v, filters, of_filters, first_filter, group, bias, grid, u, m):  # type: ignore[no-untyped-def]
    """Stage 2 of a block of a group's filters, at all points: U of some channels at a time, as many as a product takes
    at once anyway. So they are multiplied while they are in the core's own cache, and the bits are those of
    ``_multiply``."""
    points, _, channels = v.shape
    depth, width = channels // filters.groups, bias.size
    # w has the channels of one group, and the filters of all; exchanged, they are what this calls filters and channels.
    first_row, skipped = first_filter, 0
    if filters.exchanged:
        first_row, skipped = first_filter - group * filters.w.shape[2], group * depth
    for first in range(0, depth, DEPTH):
        count = min(DEPTH, depth - first)
        some = u[: points * count * width].reshape(points, count, width)
        flat, pitch = some.reshape(-1), count * width
        transform_filters(filters, of_filters, width, first_row, skipped + first, count, flat, 0, pitch)
        start = group * depth + first
        for p in range(points):
            tiles = tiles_of_strips(grid, p, 0, grid.strips)
            add_panel_product(v[p, :tiles, start : start + count], some[p], first > 0, m[p, 0, :tiles])
    _add_bias(m[grid.sum_point, 0, : tiles_of_strips(grid, grid.sum_point, 0, grid.strips)], bias)


@inner
def _add_gradient(v, dm, grid, begin, end, keep, p, block, du, db):  # type: ignore[no-untyped-def]
    """dU[p] = V[p]ᵀ dM[p] of the strips from ``begin`` to ``end`` and a block of filters, or += if ``keep``; and what
    they add to db."""
    tiles = tiles_of_strips(grid, p, begin, end)
    add_panel_product(v[p, :tiles].T, dm[p, block, :tiles], keep, du[p, block])
    if p == grid.sum_point:
        for t in range(tiles):
            add_elements(db[block], dm[p, block, t])


@parallel
def convolve_fused(src, to_points, u, bias, to_pixels, grid, scratch, dst):  # type: ignore[no-untyped-def]
    points, blocks, depth, block_width = u.shape
    tiles = grid.chunk_strips * grid.tiles_w
    for task in numba.prange((grid.strips + grid.chunk_strips - 1) // grid.chunk_strips):
        begin = np.intp(task) * grid.chunk_strips
        end = min(begin + grid.chunk_strips, grid.strips)
        # A thread keeps its scratch from task to task, and so the scratch stays in its cache.
        own = scratch[numba.get_thread_id()]
        v = own[: points * tiles * depth].reshape(points, tiles, depth)
        m_end = v.size + points * tiles * bias.size
        m = own[v.size : m_end].reshape(points, blocks, tiles, block_width)
        for index in range(begin, end):
            transform_strip(src, begin, index, 0, depth, to_points, grid, v.reshape(-1), 0, tiles * depth)
        for p in range(points):
            for block in range(blocks):
                _multiply(v, u, bias, grid, begin, end, p, block, m)
        for index in range(begin, end):
            restore_strip(m, 0, begin, index, to_pixels, grid, dst)


@inner
def _point_and_block(task, points, blocks):  # type: ignore[no-untyped-def]
    """Those of a task of a staged schedule. Neighbours share a point, whose V[p] stays in the cache. The points come in
    an order that spreads those of few tiles, the last ones: threads take equal slices of the tasks."""
    index, block = divmod(task, blocks)
    return index * SPREAD % points, block


@parallel
def convolve_staged(src, to_points, u, bias, to_pixels, grid, v, m, dst):  # type: ignore[no-untyped-def]
    points, tiles, depth = v.shape
    for begin in range(0, grid.strips, grid.chunk_strips):
        end = min(begin + grid.chunk_strips, grid.strips)
        for strip in numba.prange(end - begin):
            index = begin + np.intp(strip)
            transform_strip(src, begin, index, 0, depth, to_points, grid, v.reshape(-1), 0, tiles * depth)
        for task in numba.prange(points * u.shape[1]):
            p, block = _point_and_block(np.intp(task), points, u.shape[1])
            _multiply(v, u, bias, grid, begin, end, p, block, m)
        for strip in numba.prange(end - begin):
            restore_strip(m, 0, begin, begin + np.intp(strip), to_pixels, grid, dst)


@parallel
def convolve_by_filters(src, to_points, filters, of_filters, bias, to_pixels, grid, v, scratch, dst):  # type: ignore[no-untyped-def]
    points, tiles, channels = v.shape
    blocks, block_width = bias.shape
    for strip in numba.prange(grid.strips):
        transform_strip(src, 0, np.intp(strip), 0, channels, to_points, grid, v.reshape(-1), 0, tiles * channels)
    for task in numba.prange(blocks):
        block = np.intp(task)
        own = scratch[numba.get_thread_id()]
        m = own[: points * tiles * block_width].reshape(points, 1, tiles, block_width)
        first, group = block * block_width, block * filters.groups // blocks
        _multiply_filters(v, filters, of_filters, first, group, bias[block], grid, own[m.size :], m)
        for index in range(grid.strips):
            restore_strip(m, first, 0, index, to_pixels, grid, dst)


@inner
def _transform_both(x, x_to_points, dout, dout_to_points, begin, index, grid, v, dm):  # type: ignore[no-untyped-def]
    """A strip's V, (points, tiles, C), and dM, (points, blocks, tiles, block_width), of the chunk at ``begin``."""
    _, tiles, depth = v.shape
    blocks, block_width = dm.shape[1], dm.shape[3]
    transform_strip(x, begin, index, 0, depth, x_to_points, grid, v.reshape(-1), 0, tiles * depth)
    for block in range(blocks):
        channel = block * block_width
        start, pitch = channel * tiles, blocks * tiles * block_width
        transform_strip(dout, begin, index, channel, block_width, dout_to_points, grid, dm.reshape(-1), start, pitch)


@parallel
def accumulate_split(x, x_to_points, dout, dout_to_points, grid, scratch, du, db):  # type: ignore[no-untyped-def]
    splits, points, blocks, depth, block_width = du.shape
    tiles = grid.chunk_strips * grid.tiles_w
    for task in numba.prange(splits):
        split = np.intp(task)
        first_strip, last_strip = slice_bounds(split, splits, grid.strips)
        # As in the fused convolution: V and dM stay in the cache of their thread, and no other thread reads them.
        own = scratch[numba.get_thread_id()]
        v = own[: points * tiles * depth].reshape(points, tiles, depth)
        dm_end = v.size + points * tiles * db[split].size
        dm = own[v.size : dm_end].reshape(points, blocks, tiles, block_width)
        for begin in range(first_strip, last_strip, grid.chunk_strips):
            end = min(begin + grid.chunk_strips, last_strip)
            for index in range(begin, end):
                _transform_both(x, x_to_points, dout, dout_to_points, begin, index, grid, v, dm)
            for p in range(points):
                for block in range(blocks):
                    _add_gradient(v, dm, grid, begin, end, begin > first_strip, p, block, du[split], db[split])
    for task in numba.prange(points * blocks):
        point, block = divmod(np.intp(task), blocks)
        for other in range(1, splits):
            add_elements(du[0, point, block].reshape(-1), du[other, point, block].reshape(-1))
    for other in range(1, splits):
        add_elements(db[0].reshape(-1), db[other].reshape(-1))


@parallel
def accumulate_staged(x, x_to_points, dout, dout_to_points, grid, v, dm, du, db):  # type: ignore[no-untyped-def]
    points, blocks = dm.shape[:2]
    for begin in range(0, grid.strips, grid.chunk_strips):
        end = min(begin + grid.chunk_strips, grid.strips)
        for strip in numba.prange(end - begin):
            _transform_both(x, x_to_points, dout, dout_to_points, begin, begin + np.intp(strip), grid, v, dm)
        for task in numba.prange(points * blocks):
            p, block = _point_and_block(np.intp(task), points, blocks)
            _add_gradient(v, dm, grid, begin, end, begin > 0, p, block, du, db)


@parallel
def accumulate_by_filters(x, x_to_points, dout, dout_to_points, of_filters, grid, v, scratch, dw, db):  # type: ignore[no-untyped-def]
    points, tiles, channels = v.shape
    blocks, width = db.shape
    for strip in numba.prange(grid.strips):
        transform_strip(x, 0, np.intp(strip), 0, channels, x_to_points, grid, v.reshape(-1), 0, tiles * channels)
    for task in numba.prange(blocks):
        block, depth = np.intp(task), dw.shape[2]
        groups = channels // depth
        begin = block * groups // blocks * depth
        own = scratch[numba.get_thread_id()]
        dm = own[: points * tiles * width].reshape(points, tiles, width)
        flat, pitch = dm.reshape(-1), tiles * width
        for index in range(grid.strips):
            transform_strip(dout, 0, index, block * width, width, dout_to_points, grid, flat, 0, pitch)
        for tile in range(tiles_of_strips(grid, grid.sum_point, 0, grid.strips)):
            add_elements(db[block], dm[grid.sum_point, tile])
        for first in range(0, depth, GRADIENT_DEPTH):
            count = min(GRADIENT_DEPTH, depth - first)
            du = own[dm.size : dm.size + points * count * width].reshape(points, count, width)
            for p in range(points):
                used = tiles_of_strips(grid, p, 0, grid.strips)
                some = v[p, :used, begin + first : begin + first + count]
                add_panel_product(some.T, dm[p, :used], False, du[p])
            restore_filters(du.reshape(-1), 0, count * width, of_filters, width, block * width, first, count, dw)
