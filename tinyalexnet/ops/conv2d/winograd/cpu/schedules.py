"""The schedules of a Winograd convolution, compiled: in which order threads do the three stages.

    V = Bᵀ x B             the tiles of the image, transformed            ``transform_strip``
    M[p] = V[p] U[p] + b   one matrix product for each point p            ``_multiply``
    out = Aᵀ M A           the tiles, transformed back                    ``restore_strip``

The fused schedules do all stages of a chunk while it is in cache; the staged ones do one stage after the other.
"""

import numba
import numpy as np

from .....devices.cpu.compiler import inner, parallel
from .transforms import add_elements, restore_strip, tiles_of_strips, transform_strip


@inner
def _tiles_of_chunk(grid, p, begin):  # type: ignore[no-untyped-def]
    """How many tiles of the chunk that begins at strip ``begin`` have point p."""
    return tiles_of_strips(grid, p, begin, min(begin + grid.chunk_strips, grid.strips))


@inner
def _chunk_of(grid, first_strip, strip_index):  # type: ignore[no-untyped-def]
    """The chunk of strip ``strip_index`` if chunks begin at ``first_strip``, and the strip where that chunk begins."""
    chunk = (strip_index - first_strip) // grid.chunk_strips
    return chunk, first_strip + chunk * grid.chunk_strips


@inner
def _multiply(v, u, bias, grid, begin, p, block, m):  # type: ignore[no-untyped-def]
    """Stage 2: M[p] = V[p] U[p] of a chunk and a block of filters; plus the bias, at the point that all outputs add."""
    tiles = _tiles_of_chunk(grid, p, begin)
    np.dot(v[p, :tiles], u[p, block], m[p, block, :tiles])
    if p == grid.sum_point:
        for t in range(tiles):
            add_elements(m[p, block, t], bias[block])


@parallel
def convolve_fused(src, to_points, u, bias, to_pixels, grid, chunks, scratch, dst):  # type: ignore[no-untyped-def]
    points, blocks, depth, block_width = u.shape
    tiles, task_strips = grid.chunk_strips * grid.tiles_w, chunks * grid.chunk_strips
    for task in numba.prange((grid.strips + task_strips - 1) // task_strips):
        first_strip = np.intp(task) * task_strips
        end = min(first_strip + task_strips, grid.strips)
        # A thread keeps its scratch from task to task, and so the scratch stays in its cache.
        own = scratch[numba.get_thread_id()]
        v = own[: chunks * points * tiles * depth].reshape(chunks, points, tiles, depth)
        m_end = v.size + chunks * points * tiles * bias.size
        m = own[v.size : m_end].reshape(chunks, points, blocks, tiles, block_width)
        for index in range(first_strip, end):
            chunk, begin = _chunk_of(grid, first_strip, index)
            transform_strip(src, begin, index, 0, depth, to_points, grid, v[chunk].reshape(-1), 0, tiles * depth)
        for p in range(points):
            for block in range(blocks):
                for begin in range(first_strip, end, grid.chunk_strips):
                    chunk, _ = _chunk_of(grid, first_strip, begin)
                    _multiply(v[chunk], u, bias, grid, begin, p, block, m[chunk])
        for index in range(first_strip, end):
            chunk, begin = _chunk_of(grid, first_strip, index)
            restore_strip(m[chunk], begin, index, to_pixels, grid, dst)


# In the staged schedules points are the inner index of products: threads take equal slices of the tasks, and the last
# points have fewer tiles.


@parallel
def convolve_staged(src, to_points, u, bias, to_pixels, grid, v, m, dst):  # type: ignore[no-untyped-def]
    chunks, points, tiles, depth = v.shape
    for first_strip in range(0, grid.strips, chunks * grid.chunk_strips):
        strips = min(chunks * grid.chunk_strips, grid.strips - first_strip)
        for strip in numba.prange(strips):
            index = first_strip + np.intp(strip)
            chunk, begin = _chunk_of(grid, first_strip, index)
            transform_strip(src, begin, index, 0, depth, to_points, grid, v[chunk].reshape(-1), 0, tiles * depth)
        for task in numba.prange(u.shape[1] * points):
            block, p = divmod(np.intp(task), points)
            for begin in range(first_strip, first_strip + strips, grid.chunk_strips):
                chunk, _ = _chunk_of(grid, first_strip, begin)
                _multiply(v[chunk], u, bias, grid, begin, p, block, m[chunk])
        for strip in numba.prange(strips):
            index = first_strip + np.intp(strip)
            chunk, begin = _chunk_of(grid, first_strip, index)
            restore_strip(m[chunk], begin, index, to_pixels, grid, dst)


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


@inner
def _add_product(v, dm, is_first, product, du):  # type: ignore[no-untyped-def]
    """dU += Vᵀ dM of one point and one block of filters, or = for the first chunk."""
    if is_first:
        np.dot(v.T, dm, du)
    else:
        np.dot(v.T, dm, product)
        add_elements(du.reshape(-1), product.reshape(-1))


@parallel
def accumulate_split(x, x_to_points, dout, dout_to_points, grid, scratch, du, db):  # type: ignore[no-untyped-def]
    splits, points, blocks, depth, block_width = du.shape
    tiles = grid.chunk_strips * grid.tiles_w
    for task in numba.prange(splits):
        split = np.intp(task)
        first_strip, end = split * grid.strips // splits, (split + 1) * grid.strips // splits
        # As in the fused convolution: V and dM stay in the cache of their thread, and no other thread reads them.
        own = scratch[numba.get_thread_id()]
        v = own[: points * tiles * depth].reshape(points, tiles, depth)
        dm_end = v.size + points * tiles * db[split].size
        dm = own[v.size : dm_end].reshape(points, blocks, tiles, block_width)
        product = np.empty((depth, block_width), v.dtype)
        for begin in range(first_strip, end, grid.chunk_strips):
            stop = min(begin + grid.chunk_strips, end)
            for index in range(begin, stop):
                _transform_both(x, x_to_points, dout, dout_to_points, begin, index, grid, v, dm)
            for p in range(points):
                filled = tiles_of_strips(grid, p, begin, stop)
                for block in range(blocks):
                    is_first = begin == first_strip
                    _add_product(v[p, :filled], dm[p, block, :filled], is_first, product, du[split, p, block])
                    if p == grid.sum_point:
                        for t in range(filled):
                            add_elements(db[split, block], dm[p, block, t])
    for task in numba.prange(points * blocks):
        point, block = divmod(np.intp(task), blocks)
        for other in range(1, splits):
            add_elements(du[0, point, block].reshape(-1), du[other, point, block].reshape(-1))
    for other in range(1, splits):
        add_elements(db[0].reshape(-1), db[other].reshape(-1))


@parallel
def accumulate_staged(x, x_to_points, dout, dout_to_points, grid, v, dm, du, db):  # type: ignore[no-untyped-def]
    chunks, points, _, depth = v.shape
    blocks = dm.shape[2]
    for first_strip in range(0, grid.strips, chunks * grid.chunk_strips):
        strips = min(chunks * grid.chunk_strips, grid.strips - first_strip)
        for strip in numba.prange(strips):
            index = first_strip + np.intp(strip)
            chunk, begin = _chunk_of(grid, first_strip, index)
            _transform_both(x, x_to_points, dout, dout_to_points, begin, index, grid, v[chunk], dm[chunk])
        for task in numba.prange(blocks * points):
            block, p = divmod(np.intp(task), points)
            product = np.empty((depth, du.shape[3]), v.dtype)
            for begin in range(first_strip, first_strip + strips, grid.chunk_strips):
                chunk, filled = (begin - first_strip) // grid.chunk_strips, _tiles_of_chunk(grid, p, begin)
                _add_product(v[chunk, p, :filled], dm[chunk, p, block, :filled], begin == 0, product, du[p, block])
                if p == grid.sum_point:
                    for t in range(filled):
                        add_elements(db[block], dm[chunk, p, block, t])
