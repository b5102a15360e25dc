"""Winograd's convolution, compiled: fewer multiplications by working on tiles. One group, contiguous arrays.

docs/winograd.md has the mathematics and ``reference/winograd.py`` the same in NumPy. A convolution is three stages:

    V = Bᵀ x B             the tiles of the image, transformed            ``_transform_strip``
    M[p] = V[p] U[p] + b   one product of matrices for each point p       ``_multiply``
    out = Aᵀ M A           the tiles, transformed back                    ``_restore_strip``

with U = G w Gᵀ, the filters transformed once. A strip is one row of tiles of one image; tasks are blocks of strips,
which overlap in what they read but not in what they write. Where tiles of m outputs would hang over the edge, the last
ones have m - 1, down and across: 13 = 5 + 4 + 4. All transforms are made of ``_combine``.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from ...geometry import Pair, Window
from ..algorithm import FILTER_BLOCK
from ..cook_toom import MOST_POINTS, Matrices, Tile
from ..reference.winograd import filters_from_blocks, filters_to_blocks
from .memory import empty
from .runtime import inner, most_threads, one_blas_thread, parallel

SMALL_PRODUCT = 1_000_000
"""Multiply-adds up to which OpenBLAS multiplies without copying both matrices first; above, it is half as fast here."""

TASK_BYTES = 3 << 20
"""V and M of one task of a forward, so that they stay in the cache that the cores share."""

PARAMS_BYTES = 12 << 20
"""V and dM that ``backward_params`` holds at a time, so that they too stay in the shared cache."""

LEAST_TASKS = 16
"""Small inputs are cut finer, so that this many threads have work."""

CHUNK = 512
"""Numbers of a row that are combined at a time: eight such rows fit the fastest cache."""


class Images(NamedTuple):
    """A batch, its rows flattened, and where its blocks of stride_h x stride_w pixels begin."""

    rows: np.ndarray
    channels: int
    pad_top: int
    pad_left: int
    stride_h: int
    stride_w: int


class Sides(NamedTuple):
    """The two matrices of a transform left[0] @ tile @ right[0].T of a large tile, each filled up to 8 x 8.

    ``left[1]`` and ``right[1]`` are a smaller tile's, which has one row and one term less.
    """

    left: np.ndarray
    right: np.ndarray
    rows_h: int
    rows_w: int
    terms_h: int
    terms_w: int


class Grid(NamedTuple):
    """How tiles cover a batch, down (h) and across (w): the outputs m and the points n of a large tile, how many tiles
    an image has and how many of them, the first, are large; and how strips are shared out."""

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
    strips_a_task: int


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, window: Window, tile: Tile) -> np.ndarray:
    """``conv2d_forward`` for one group; see reference.

    Schedule
        Parallel over blocks of strips, each transformed, multiplied and transformed back while it is in cache.
    """
    size = x.shape[1:3]
    out = empty((x.shape[0], *window.output_size(size), w.shape[3]), x.dtype)
    u = _transform_filters(filters_to_blocks(w, window.stride), tile.g(w.dtype))
    _run(_images(x, _before(window, size), window.stride), u, b, tile, out, (0, 0), (1, 1))
    return out


def backward_input(dout: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], window: Window, tile: Tile) -> np.ndarray:
    """``conv2d_backward_input`` for one group; see reference.

    Schedule
        The forward's. The adjoint of a convolution with stride 1 is a convolution of dout, padded by r - 1 less the
        forward's padding, with the filters turned by 180° and channels and filters exchanged; so tasks need not add to
        each other's output.
    """
    dx = empty(x_shape, dout.dtype)
    exchanged = filters_to_blocks(w, window.stride).transpose(0, 1, 3, 2)
    # Turning the filters is reading the columns of G backwards.
    u = _transform_filters(exchanged, (tile.g(w.dtype)[0][:, ::-1], tile.g(w.dtype)[1][:, ::-1]))
    no_bias = np.zeros(exchanged.shape[3], dout.dtype)
    # Whole blocks of padding need no gradient: the tiles begin behind them, and dout is padded by so much less.
    shift_h, rest_h = divmod(_before(window, x_shape[1:3])[0], window.stride[0])
    shift_w, rest_w = divmod(_before(window, x_shape[1:3])[1], window.stride[1])
    src = _images(dout, (tile.r[0] - 1 - shift_h, tile.r[1] - 1 - shift_w), (1, 1))
    _run(src, u, no_bias, tile, dx, (rest_h, rest_w), window.stride)
    return dx


def backward_params(dout: np.ndarray, x: np.ndarray, window: Window, tile: Tile) -> tuple[np.ndarray, np.ndarray]:
    """``conv2d_backward_params`` for one group; see reference.

    Schedule
        As much of V and of dM = A dout Aᵀ as PARAMS_BYTES holds, parallel over strips; then, parallel over blocks of
        filters and points, dU[p] += V[p]ᵀ dM[p], one block of strips after the other. No two tasks write the same
        number, and the order of the additions does not depend on the threads. db is dM at the point where A sums up.
    """
    filters, itemsize = dout.shape[3], x.itemsize
    depth = window.stride[0] * window.stride[1] * x.shape[3]
    blocks = -(-filters // FILTER_BLOCK)
    grid = _grid(tile, dout.shape[0], dout.shape[1:3], depth, 0)
    strips_held = PARAMS_BYTES // (tile.points * grid.tiles_w * (depth + blocks * FILTER_BLOCK) * itemsize)
    chunks = max(1, min(strips_held, grid.strips) // grid.strips_a_task)
    tiles = grid.strips_a_task * grid.tiles_w
    v = empty((chunks, tile.points, tiles, depth), x.dtype)
    dm = empty((chunks, tile.points, blocks, tiles, FILTER_BLOCK), x.dtype)
    du = empty((tile.points, blocks, depth, FILTER_BLOCK), x.dtype)
    db = np.zeros((blocks, FILTER_BLOCK), x.dtype)
    images = _images(x, _before(window, x.shape[1:3]), window.stride)
    to_points = _sides(tile.bt(x.dtype), tile.smaller.bt(x.dtype))
    from_pixels = _sides(_transposed(tile.at(x.dtype)), _transposed(tile.smaller.at(x.dtype)))
    gradients = _images(dout, (0, 0), (1, 1))
    with one_blas_thread():
        _accumulate(images, to_points, gradients, from_pixels, grid, v, dm, du, db)
    gt = _transposed(tile.g(x.dtype))
    dw = empty((*tile.r, blocks, depth, FILTER_BLOCK), x.dtype)
    _transform_both_sides(du.reshape(*tile.n, -1), _sides(gt, gt), dw.reshape(*tile.r, -1))
    dw = dw.transpose(0, 1, 3, 2, 4).reshape(*tile.r, depth, -1)[..., :filters]
    return filters_from_blocks(dw, window), db.reshape(-1)[:filters].copy()


def _before(window: Window, size: tuple[int, ...]) -> Pair:
    (pad_top, _), (pad_left, _) = window.pads((size[0], size[1]))
    return pad_top, pad_left


def _images(images: np.ndarray, before: Pair, stride: Pair) -> Images:
    return Images(images.reshape(*images.shape[:2], -1), images.shape[3], *before, *stride)


def _transposed(matrices: Matrices) -> Matrices:
    return matrices[0].T, matrices[1].T


def _sides(large: Matrices, smaller: Matrices) -> Sides:
    filled = np.zeros((2, 2, MOST_POINTS, MOST_POINTS), large[0].dtype)
    for side, matrices in enumerate(zip(large, smaller, strict=True)):
        for size, matrix in enumerate(matrices):
            filled[side, size, : matrix.shape[0], : matrix.shape[1]] = matrix
    (rows_h, terms_h), (rows_w, terms_w) = (matrix.shape for matrix in large)
    return Sides(filled[0], filled[1], rows_h, rows_w, terms_h, terms_w)


def _grid(tile: Tile, n: int, size: Pair, depth: int, task_bytes_a_tile: int) -> Grid:
    """Shares out strips: to a task as many as keep its products small and its numbers in cache; but enough tasks."""
    tiles_h, tiles_w = tile.counts(size)
    most = SMALL_PRODUCT // (depth * FILTER_BLOCK * tiles_w)
    if task_bytes_a_tile:
        most = min(most, TASK_BYTES // (task_bytes_a_tile * tiles_w))
    strips = n * tiles_h
    strips_a_task = max(1, min(most, strips // LEAST_TASKS))
    return Grid(*tile.m, *tile.n, tiles_h, tiles_w, *tile.large_counts(size), tile.sum_point, strips, strips_a_task)


def _transform_filters(w: np.ndarray, g: Matrices) -> np.ndarray:
    """U = G w Gᵀ, (points, blocks, C, FILTER_BLOCK), of w (r_h, r_w, C, F): the last block is filled up with zeros."""
    r_h, r_w, channels, filters = w.shape
    blocks = -(-filters // FILTER_BLOCK)
    in_blocks = empty((r_h, r_w, blocks, channels, FILTER_BLOCK), w.dtype)
    for block in range(blocks):
        part = w[..., block * FILTER_BLOCK : (block + 1) * FILTER_BLOCK]
        in_blocks[:, :, block, :, : part.shape[3]] = part
        in_blocks[:, :, block, :, part.shape[3] :] = 0
    n_h, n_w = g[0].shape[0], g[1].shape[0]
    u = empty((n_h * n_w, blocks, channels, FILTER_BLOCK), w.dtype)
    _transform_both_sides(in_blocks.reshape(r_h, r_w, -1), _sides(g, g), u.reshape(n_h, n_w, -1))
    return u


def _run(src: Images, u: np.ndarray, b: np.ndarray, tile: Tile, out: np.ndarray, before: Pair, stride: Pair) -> None:
    """Convolves ``src`` with the filters U and writes ``out``, whose blocks begin ``before`` its first pixel."""
    points, blocks, depth, _ = u.shape
    size = -(-(out.shape[1] + before[0]) // stride[0]), -(-(out.shape[2] + before[1]) // stride[1])
    numbers_a_tile = points * (depth + blocks * FILTER_BLOCK)
    grid = _grid(tile, out.shape[0], size, depth, numbers_a_tile * out.itemsize)
    scratch = empty((most_threads(), grid.strips_a_task * grid.tiles_w * numbers_a_tile), out.dtype)
    bias = np.pad(b, (0, blocks * FILTER_BLOCK - b.size)).reshape(blocks, FILTER_BLOCK)
    to_points = _sides(tile.bt(out.dtype), tile.smaller.bt(out.dtype))
    to_pixels = _sides(tile.at(out.dtype), tile.smaller.at(out.dtype))
    with one_blas_thread():
        _convolve(src, to_points, u, bias, to_pixels, grid, scratch, _images(out, before, stride))


@inner
def _combine(coefficients, source, shift, offsets, target):  # type: ignore[no-untyped-def]
    """target[k] = Σ_i coefficients[i] * source[shift + offsets[i] + k], of eight terms; unused ones have coefficient 0.

    All in one pass, because what it costs is passes over memory: eight loads and one store for eight multiply-adds.
    """
    size = target.size
    c0, c1, c2, c3 = coefficients[0], coefficients[1], coefficients[2], coefficients[3]
    c4, c5, c6, c7 = coefficients[4], coefficients[5], coefficients[6], coefficients[7]
    s0 = source[shift + offsets[0] : shift + offsets[0] + size]
    s1 = source[shift + offsets[1] : shift + offsets[1] + size]
    s2 = source[shift + offsets[2] : shift + offsets[2] + size]
    s3 = source[shift + offsets[3] : shift + offsets[3] + size]
    s4 = source[shift + offsets[4] : shift + offsets[4] + size]
    s5 = source[shift + offsets[5] : shift + offsets[5] + size]
    s6 = source[shift + offsets[6] : shift + offsets[6] + size]
    s7 = source[shift + offsets[7] : shift + offsets[7] + size]
    for k in range(size):
        low = (c0 * s0[k] + c1 * s1[k]) + (c2 * s2[k] + c3 * s3[k])
        high = (c4 * s4[k] + c5 * s5[k]) + (c6 * s6[k] + c7 * s7[k])
        target[k] = low + high


@inner
def _offsets(terms, stride):  # type: ignore[no-untyped-def]
    """0, stride, 2 stride, ... for each term; the unused ones are 0."""
    offsets = np.zeros(MOST_POINTS, np.intp)
    for i in range(terms):
        offsets[i] = i * stride
    return offsets


@inner
def _large_strips(grid, strips):  # type: ignore[no-untyped-def]
    """How many of the first ``strips`` strips are of large tiles: in each image they come first."""
    images, rest = divmod(strips, grid.tiles_h)
    return images * grid.large_h + min(rest, grid.large_h)


@inner
def _tiles_at(grid, a, b, strips, large):  # type: ignore[no-untyped-def]
    """How many tiles of so many strips, and so many large ones among them, have the point (a, b).

    A smaller tile has all points but the last one down, or the last one across: it is one output shorter.
    """
    return (large if a == grid.n_h - 1 else strips) * (grid.large_w if b == grid.n_w - 1 else grid.tiles_w)


@inner
def _add(total, numbers):  # type: ignore[no-untyped-def]
    for k in range(total.size):
        total[k] += numbers[k]


@parallel
def _transform_both_sides(source, sides, target):  # type: ignore[no-untyped-def]
    """target[a, b] = Σ_ij left[a, i] source[i, j] right[b, j], for every number of the last axis."""
    rows, columns, size = source.shape
    flat_source = source.reshape(-1)
    for task in numba.prange((size + CHUNK - 1) // CHUNK):
        first = np.intp(task) * CHUNK
        run = min(size - first, CHUNK)
        half = np.empty((columns, run), source.dtype)
        flat_half = half.reshape(-1)
        down, across = _offsets(rows, columns * size), _offsets(columns, run)
        for a in range(target.shape[0]):
            for j in range(columns):
                _combine(sides.left[0, a], flat_source, j * size + first, down, half[j])
            for b in range(target.shape[1]):
                _combine(sides.right[0, b], flat_half, 0, across, target[a, b, first : first + run])


@inner
def _copy_run(row, start, target):  # type: ignore[no-untyped-def]
    """Numbers of a row from ``start`` on; 0 before its beginning and past its end."""
    if start >= 0 and start + target.size <= row.size:
        source = row[start : start + target.size]
        for k in range(target.size):
            target[k] = source[k]
    else:
        for k in range(target.size):
            target[k] = row[start + k] if 0 <= start + k < row.size else 0


@inner
def _load_pixels(images, image, top, left, first_channel, pixels):  # type: ignore[no-untyped-def]
    """The pixels that some tiles side by side read, from ``first_channel`` on; 0 outside the image.

    Pixel q * step + j of row i comes to [i, j, q], so that column j of all tiles lies side by side.
    """
    rows, step = images.rows, pixels.shape[1]
    run = pixels.shape[3] // images.stride_h
    inside = min(run, images.stride_w * images.channels - first_channel)
    for i in range(pixels.shape[0]):
        for dy in range(images.stride_h):
            part = slice(dy * run, (dy + 1) * run)
            h = (top + i) * images.stride_h + dy - images.pad_top
            if inside < run or not 0 <= h < rows.shape[1]:
                pixels[i, :, :, part] = 0
            if 0 <= h < rows.shape[1]:
                row = rows[image, h]
                for j in range(step):
                    for q in range(pixels.shape[2]):
                        column = (left + q * step + j) * images.stride_w - images.pad_left
                        start = column * images.channels + first_channel
                        _copy_run(row, start, pixels[i, j, q, dy * run : dy * run + inside])


@inner
def _transform_strip(images, begin, index, first_channel, depth, sides, grid, target, first, stride):  # type: ignore[no-untyped-def]
    """Stage 1: strip ``index`` of a task that began at strip ``begin``, transformed.

    Point p of the task's tiles is written to ``target`` from ``first + p * stride`` on.
    """
    image, strip = divmod(index, grid.tiles_h)
    strips, large = index - begin, _large_strips(grid, index) - _large_strips(grid, begin)
    smaller_h = np.intp(strip >= grid.large_h)
    top = strip * grid.m_h - max(strip - grid.large_h, 0)
    for smaller_w in range(2):
        before = grid.large_w if smaller_w else 0
        tiles = grid.tiles_w - before if smaller_w else grid.large_w
        if tiles == 0:
            continue
        step, rows_h, rows_w = grid.m_w - smaller_w, sides.rows_h - smaller_h, sides.rows_w - smaller_w
        terms_h, terms_w = sides.terms_h - smaller_h, sides.terms_w - smaller_w
        columns = tiles + (terms_w - 1) // step
        width = step * columns * depth
        pixels = np.empty((terms_h, step, columns, depth), target.dtype)
        _load_pixels(images, image, top, before * grid.m_w, first_channel, pixels)
        flat = pixels.reshape(-1)
        half = np.empty((rows_h, width), target.dtype)
        down, across = _offsets(terms_h, width), np.zeros(MOST_POINTS, np.intp)
        for j in range(terms_w):
            across[j] = ((j % step) * columns + j // step) * depth
        for start in range(0, width, CHUNK):
            end = min(start + CHUNK, width)
            for a in range(rows_h):
                _combine(sides.left[smaller_h, a], flat, start, down, half[a, start:end])
        for a in range(rows_h):
            for b in range(rows_w):
                tile = _tiles_at(grid, a, b, strips, large) + before
                start = first + (a * grid.n_w + b) * stride + tile * depth
                _combine(sides.right[smaller_w, b], half[a], 0, across, target[start : start + tiles * depth])


@inner
def _multiply(v, u, b, grid, strips, large, m):  # type: ignore[no-untyped-def]
    """Stage 2: M[p] = V[p] U[p], a block of filters at a time; and the bias, at the point that every output adds."""
    for p in range(u.shape[0]):
        tiles = _tiles_at(grid, p // grid.n_w, p % grid.n_w, strips, large)
        for block in range(u.shape[1]):
            np.dot(v[p, :tiles], u[p, block], m[p, block, :tiles])
    for block in range(u.shape[1]):
        for t in range(v.shape[1]):
            _add(m[grid.sum_point, block, t], b[block])


@inner
def _restore_strip(m, begin, index, sides, grid, images):  # type: ignore[no-untyped-def]
    """Stage 3: the tiles of strip ``index`` of a task that began at strip ``begin``, transformed back and written."""
    _, blocks, tiles, _ = m.shape
    image, strip = divmod(index, grid.tiles_h)
    strips, large = index - begin, _large_strips(grid, index) - _large_strips(grid, begin)
    smaller_h = np.intp(strip >= grid.large_h)
    rows_h, terms_h = sides.rows_h - smaller_h, sides.terms_h - smaller_h
    top = strip * grid.m_h - max(strip - grid.large_h, 0)
    flat = m.reshape(-1)
    half = np.empty((rows_h, grid.n_w, grid.tiles_w * FILTER_BLOCK), m.dtype)
    down = np.empty(MOST_POINTS, np.intp)
    for block in range(blocks):
        for b in range(grid.n_w):
            for a in range(MOST_POINTS):
                row = a if a < terms_h else 0
                tile = _tiles_at(grid, row, b, strips, large)
                down[a] = (((row * grid.n_w + b) * blocks + block) * tiles + tile) * FILTER_BLOCK
            width = _tiles_at(grid, 0, b, 1, 1) * FILTER_BLOCK
            for i in range(rows_h):
                _combine(sides.left[smaller_h, i], flat, 0, down, half[i, b, :width])
        for i in range(rows_h):
            h = (top + i) * images.stride_h - images.pad_top
            _store_row(half[i].reshape(-1), sides, block, grid, images, image, h)


@inner
def _store_row(half, sides, block, grid, images, image, h):  # type: ignore[no-untyped-def]
    """A row of each tile of a strip, combined straight into the image: one block of the channels of each pixel."""
    rows, run = images.rows, images.stride_w * images.channels
    for smaller_w in range(2):
        across = _offsets(sides.terms_w - smaller_w, grid.tiles_w * FILTER_BLOCK)
        for j in range(sides.rows_w - smaller_w):
            for t in range(grid.large_w if smaller_w else 0, grid.tiles_w if smaller_w else grid.large_w):
                pixel = t * grid.m_w - max(t - grid.large_w, 0) + j
                column = (pixel * images.stride_w - images.pad_left) * images.channels
                for dy in range(images.stride_h):
                    # Of the run that is row dy of the pixel: what this block has, and what of that is in the image.
                    skipped = dy * run - block * FILTER_BLOCK
                    low, high = max(-skipped, 0, -column), min(FILTER_BLOCK - skipped, run, rows.shape[2] - column)
                    if low < high and 0 <= h + dy < rows.shape[1]:
                        target = rows[image, h + dy, column + low : column + high]
                        shift = t * FILTER_BLOCK + skipped + low
                        _combine(sides.right[smaller_w, j], half, shift, across, target)


@parallel
def _convolve(src, to_points, u, b, to_pixels, grid, scratch, dst):  # type: ignore[no-untyped-def]
    points, blocks, depth, _ = u.shape
    for task in numba.prange((grid.strips + grid.strips_a_task - 1) // grid.strips_a_task):
        begin = np.intp(task) * grid.strips_a_task
        end = min(begin + grid.strips_a_task, grid.strips)
        strips, large = end - begin, _large_strips(grid, end) - _large_strips(grid, begin)
        tiles = strips * grid.tiles_w
        # A thread's scratch stays its own from task to task, and so stays in its cache.
        own = scratch[numba.get_thread_id()]
        v = own[: points * tiles * depth].reshape(points, tiles, depth)
        m = own[v.size : v.size + points * tiles * b.size].reshape(points, blocks, tiles, FILTER_BLOCK)
        for index in range(begin, end):
            _transform_strip(src, begin, index, 0, depth, to_points, grid, v.reshape(-1), 0, tiles * depth)
        _multiply(v, u, b, grid, strips, large, m)
        for index in range(begin, end):
            _restore_strip(m, begin, index, to_pixels, grid, dst)


@parallel
def _accumulate(x, x_to_points, dout, dout_to_points, grid, v, dm, du, db):  # type: ignore[no-untyped-def]
    chunks, points, tiles, depth = v.shape
    blocks = dm.shape[2]
    for held in range(0, grid.strips, chunks * grid.strips_a_task):
        strips = min(chunks * grid.strips_a_task, grid.strips - held)
        for strip in numba.prange(strips):
            chunk = np.intp(strip) // grid.strips_a_task
            begin, index = held + chunk * grid.strips_a_task, held + np.intp(strip)
            target = v[chunk].reshape(-1)
            _transform_strip(x, begin, index, 0, depth, x_to_points, grid, target, 0, tiles * depth)
            for block in range(blocks):
                target, channel = dm[chunk].reshape(-1), block * FILTER_BLOCK
                first, stride = channel * tiles, blocks * tiles * FILTER_BLOCK
                _transform_strip(dout, begin, index, channel, FILTER_BLOCK, dout_to_points, grid, target, first, stride)
        # Points are the inner index, because threads take equal runs of tasks and the last points have fewer tiles.
        for task in numba.prange(blocks * points):
            block, p = divmod(np.intp(task), points)
            product = np.empty((depth, FILTER_BLOCK), v.dtype)
            for chunk in range((strips + grid.strips_a_task - 1) // grid.strips_a_task):
                begin = held + chunk * grid.strips_a_task
                end = min(begin + grid.strips_a_task, grid.strips)
                large = _large_strips(grid, end) - _large_strips(grid, begin)
                filled = _tiles_at(grid, p // grid.n_w, p % grid.n_w, end - begin, large)
                if begin == 0:
                    np.dot(v[chunk, p, :filled].T, dm[chunk, p, block, :filled], du[p, block])
                else:
                    np.dot(v[chunk, p, :filled].T, dm[chunk, p, block, :filled], product)
                    _add(du[p, block].reshape(-1), product.reshape(-1))
                if p == grid.sum_point:
                    for t in range(filled):
                        _add(db[block], dm[chunk, p, block, t])
