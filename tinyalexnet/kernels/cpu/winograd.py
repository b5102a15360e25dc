"""Winograd's convolution, compiled: fewer multiplications by working on tiles. One group, contiguous arrays.

docs/winograd.md has the mathematics and ``reference/winograd.py`` the same in NumPy. A convolution is three stages:

    V = Bᵀ x B             the tiles of the image, transformed            ``_transform_strip``
    M[p] = V[p] U[p] + b   one product of matrices for each point p       ``_multiply``
    out = Aᵀ M A           the tiles, transformed back                    ``_restore_strip``

with U = G w Gᵀ, the filters transformed once. A strip is one row of tiles of one image; tasks are blocks of strips,
which overlap in what they read but not in what they write. All transforms are made of ``_combine``.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from ...geometry import Pair, Window
from ..algorithm import FILTER_BLOCK
from ..cook_toom import MOST_POINTS, Matrices, Tile
from ..reference.winograd import filters_from_blocks, filters_to_blocks
from .runtime import inner, most_threads, one_blas_thread, parallel

SMALL_PRODUCT = 1_000_000
"""Multiply-adds up to which OpenBLAS multiplies without copying both matrices first; above, it is half as fast here."""

TASK_BYTES = 3 << 20
"""V and M of one task of a forward, so that they stay in the cache that the cores share."""

PARAMS_BYTES = 32 << 20
"""V and dM that ``backward_params`` holds at a time."""

LEAST_TASKS = 16
"""Small inputs are cut finer, so that this many threads have work."""

RUN = 512
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
    """The two matrices of a transform left @ tile @ right.T, filled up to eight columns, and their real columns."""

    left: np.ndarray
    right: np.ndarray
    terms_h: int
    terms_w: int


class Grid(NamedTuple):
    """How tiles cover a batch: how far apart they are, how many of them, and how strips are shared out."""

    step_h: int
    step_w: int
    tiles_h: int
    tiles_w: int
    strips: int
    strips_a_task: int
    sum_point: int


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, window: Window, tile: Tile) -> np.ndarray:
    """``conv2d_forward`` for one group; see reference.

    Schedule
        Parallel over blocks of strips, each transformed, multiplied and transformed back while it is in cache.
    """
    size = x.shape[1:3]
    out = np.empty((x.shape[0], *window.output_size(size), w.shape[3]), x.dtype)
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
    dx = np.empty(x_shape, dout.dtype)
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
        As much of V and of dM = A dout Aᵀ as PARAMS_BYTES holds, parallel over blocks of strips; then, parallel over
        the points, dU[p] += V[p]ᵀ dM[p] block by block. No two tasks write the same number, and the order of the
        additions does not depend on the threads. db is dM at the point where A sums up.
    """
    filters, itemsize = dout.shape[3], x.itemsize
    depth = window.stride[0] * window.stride[1] * x.shape[3]
    blocks = -(-filters // FILTER_BLOCK)
    grid = _grid(tile, dout.shape[0], dout.shape[1:3], depth, 0)
    strips_held = PARAMS_BYTES // (tile.points * grid.tiles_w * (depth + blocks * FILTER_BLOCK) * itemsize)
    tasks = max(1, min(strips_held, grid.strips) // grid.strips_a_task)
    tiles = grid.strips_a_task * grid.tiles_w
    v = np.empty((tasks, tile.points, tiles, depth), x.dtype)
    dm = np.empty((tasks, tile.points, blocks, tiles, FILTER_BLOCK), x.dtype)
    du = np.zeros((tile.points, blocks, depth, FILTER_BLOCK), x.dtype)
    db = np.zeros((blocks, FILTER_BLOCK), x.dtype)
    images = _images(x, _before(window, x.shape[1:3]), window.stride)
    a_h, a_w = (at.T for at in tile.at(x.dtype))
    gradients = _images(dout, (0, 0), (1, 1))
    with one_blas_thread():
        _accumulate(images, _sides(tile.bt(x.dtype)), gradients, _sides((a_h, a_w)), grid, v, dm, du, db)
    g_h, g_w = (g.T for g in tile.g(x.dtype))
    dw = np.empty((*tile.r, blocks, depth, FILTER_BLOCK), x.dtype)
    _transform_both_sides(du.reshape(*tile.n, -1), _sides((g_h, g_w)), dw.reshape(*tile.r, -1))
    dw = dw.transpose(0, 1, 3, 2, 4).reshape(*tile.r, depth, -1)[..., :filters]
    return filters_from_blocks(dw, window), db.reshape(-1)[:filters].copy()


def _before(window: Window, size: tuple[int, ...]) -> Pair:
    (pad_top, _), (pad_left, _) = window.pads((size[0], size[1]))
    return pad_top, pad_left


def _images(images: np.ndarray, before: Pair, stride: Pair) -> Images:
    return Images(images.reshape(*images.shape[:2], -1), images.shape[3], *before, *stride)


def _sides(matrices: Matrices) -> Sides:
    filled = [np.zeros((matrix.shape[0], MOST_POINTS), matrix.dtype) for matrix in matrices]
    for target, matrix in zip(filled, matrices, strict=True):
        target[:, : matrix.shape[1]] = matrix
    return Sides(filled[0], filled[1], matrices[0].shape[1], matrices[1].shape[1])


def _grid(tile: Tile, n: int, size: Pair, depth: int, task_bytes_a_tile: int) -> Grid:
    """Shares out strips: to a task as many as keep its products small and its numbers in cache; but enough tasks."""
    tiles_h, tiles_w = tile.counts(size)
    most = SMALL_PRODUCT // (depth * FILTER_BLOCK * tiles_w)
    if task_bytes_a_tile:
        most = min(most, TASK_BYTES // (task_bytes_a_tile * tiles_w))
    strips = n * tiles_h
    return Grid(*tile.m, tiles_h, tiles_w, strips, max(1, min(most, strips // LEAST_TASKS)), tile.sum_point)


def _transform_filters(w: np.ndarray, g: Matrices) -> np.ndarray:
    """U = G w Gᵀ, (points, blocks, C, FILTER_BLOCK), of w (r_h, r_w, C, F): the last block is filled up with zeros."""
    r_h, r_w, channels, filters = w.shape
    blocks = -(-filters // FILTER_BLOCK)
    full = np.zeros((r_h, r_w, channels, blocks * FILTER_BLOCK), w.dtype)
    full[..., :filters] = w
    in_blocks = full.reshape(r_h, r_w, channels, blocks, FILTER_BLOCK).transpose(0, 1, 3, 2, 4)
    n_h, n_w = g[0].shape[0], g[1].shape[0]
    u = np.empty((n_h * n_w, blocks, channels, FILTER_BLOCK), w.dtype)
    _transform_both_sides(in_blocks.reshape(r_h, r_w, -1), _sides(g), u.reshape(n_h, n_w, -1))
    return u


def _run(src: Images, u: np.ndarray, b: np.ndarray, tile: Tile, out: np.ndarray, before: Pair, stride: Pair) -> None:
    """Convolves ``src`` with the filters U and writes ``out``, whose blocks begin ``before`` its first pixel."""
    points, blocks, depth, _ = u.shape
    size = -(-(out.shape[1] + before[0]) // stride[0]), -(-(out.shape[2] + before[1]) // stride[1])
    numbers_a_tile = points * (depth + blocks * FILTER_BLOCK)
    grid = _grid(tile, out.shape[0], size, depth, numbers_a_tile * out.itemsize)
    scratch = np.empty((most_threads(), grid.strips_a_task * grid.tiles_w * numbers_a_tile), out.dtype)
    bias = np.pad(b, (0, blocks * FILTER_BLOCK - b.size)).reshape(blocks, FILTER_BLOCK)
    to_points, to_pixels = _sides(tile.bt(out.dtype)), _sides(tile.at(out.dtype))
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
def _add(total, numbers):  # type: ignore[no-untyped-def]
    for k in range(total.size):
        total[k] += numbers[k]


@parallel
def _transform_both_sides(source, sides, target):  # type: ignore[no-untyped-def]
    """target[a, b] = Σ_ij left[a, i] source[i, j] right[b, j], for every number of the last axis."""
    rows, columns, size = source.shape
    flat_source = source.reshape(-1)
    for task in numba.prange((size + RUN - 1) // RUN):
        first = np.intp(task) * RUN
        run = min(size - first, RUN)
        half = np.empty((columns, run), source.dtype)
        flat_half = half.reshape(-1)
        down, across = _offsets(rows, columns * size), _offsets(columns, run)
        for a in range(target.shape[0]):
            for j in range(columns):
                _combine(sides.left[a], flat_source, j * size + first, down, half[j])
            for b in range(target.shape[1]):
                _combine(sides.right[b], flat_half, 0, across, target[a, b, first : first + run])


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
def _load_strip(images, image, strip, first_channel, grid, pixels):  # type: ignore[no-untyped-def]
    """The pixels that a strip of tiles reads, from ``first_channel`` on; 0 outside the image.

    Pixel q * step_w + j of row i comes to [i, j, q], so that column j of all tiles lies side by side.
    """
    rows, step = images.rows, pixels.shape[1]
    run = pixels.shape[3] // images.stride_h
    inside = min(run, images.stride_w * images.channels - first_channel)
    for i in range(pixels.shape[0]):
        for dy in range(images.stride_h):
            part = slice(dy * run, (dy + 1) * run)
            h = (strip * grid.step_h + i) * images.stride_h + dy - images.pad_top
            if inside < run or not 0 <= h < rows.shape[1]:
                pixels[i, :, :, part] = 0
            if 0 <= h < rows.shape[1]:
                row = rows[image, h]
                for j in range(step):
                    for q in range(pixels.shape[2]):
                        column = (q * step + j) * images.stride_w - images.pad_left
                        start = column * images.channels + first_channel
                        _copy_run(row, start, pixels[i, j, q, dy * run : dy * run + inside])


@inner
def _transform_strip(images, image, strip, first_channel, depth, sides, grid, target, first, stride):  # type: ignore[no-untyped-def]
    """Stage 1: the tiles of a strip, transformed. Point p is written to ``target`` from ``first + p * stride`` on."""
    columns = grid.tiles_w + (sides.terms_w - 1) // grid.step_w
    pixels = np.empty((sides.terms_h, grid.step_w, columns, depth), target.dtype)
    _load_strip(images, image, strip, first_channel, grid, pixels)
    flat = pixels.reshape(-1)
    width = grid.step_w * columns * depth
    n_h, n_w = sides.left.shape[0], sides.right.shape[0]
    half = np.empty((n_h, width), target.dtype)
    down, across = _offsets(sides.terms_h, width), np.zeros(MOST_POINTS, np.intp)
    for j in range(sides.terms_w):
        across[j] = ((j % grid.step_w) * columns + j // grid.step_w) * depth
    for begin in range(0, width, RUN):
        end = min(begin + RUN, width)
        for a in range(n_h):
            _combine(sides.left[a], flat, begin, down, half[a, begin:end])
    for a in range(n_h):
        for b in range(n_w):
            point = first + (a * n_w + b) * stride
            _combine(sides.right[b], half[a], 0, across, target[point : point + grid.tiles_w * depth])


@inner
def _multiply(v, u, b, sum_point, m):  # type: ignore[no-untyped-def]
    """Stage 2: M[p] = V[p] U[p], a block of filters at a time; and the bias, at the point that every output adds."""
    for p in range(u.shape[0]):
        for block in range(u.shape[1]):
            np.dot(v[p], u[p, block], m[p, block])
    for block in range(u.shape[1]):
        for t in range(v.shape[1]):
            _add(m[sum_point, block, t], b[block])


@inner
def _restore_strip(m, first, sides, grid, images, image, strip):  # type: ignore[no-untyped-def]
    """Stage 3: the tiles of M from ``first`` on, transformed back and written to a strip."""
    _, blocks, tiles, _ = m.shape
    flat = m.reshape(-1)
    half = np.empty((grid.step_h, sides.terms_w, grid.tiles_w * FILTER_BLOCK), m.dtype)
    point = blocks * tiles * FILTER_BLOCK
    down, across = _offsets(sides.terms_h, sides.terms_w * point), _offsets(sides.terms_w, half.shape[2])
    for block in range(blocks):
        for column in range(sides.terms_w):
            for i in range(grid.step_h):
                start = (block * tiles + first) * FILTER_BLOCK + column * point
                _combine(sides.left[i], flat, start, down, half[i, column])
        for i in range(grid.step_h):
            h = (strip * grid.step_h + i) * images.stride_h - images.pad_top
            for j in range(grid.step_w):
                _store_pixels(half[i].reshape(-1), sides.right[j], across, block, j, grid, images, image, h)


@inner
def _store_pixels(half, coefficients, across, block, j, grid, images, image, h):  # type: ignore[no-untyped-def]
    """Column j of each tile of a strip, combined straight into the image: one block of the channels of each pixel."""
    rows, run = images.rows, images.stride_w * images.channels
    for t in range(grid.tiles_w):
        column = ((t * grid.step_w + j) * images.stride_w - images.pad_left) * images.channels
        for dy in range(images.stride_h):
            # Of the run that is row dy of the pixel: what this block has, and what of that is inside the image.
            skipped = dy * run - block * FILTER_BLOCK
            low, high = max(-skipped, 0, -column), min(FILTER_BLOCK - skipped, run, rows.shape[2] - column)
            if low < high and 0 <= h + dy < rows.shape[1]:
                target = rows[image, h + dy, column + low : column + high]
                _combine(coefficients, half, t * FILTER_BLOCK + skipped + low, across, target)


@parallel
def _convolve(src, to_points, u, b, to_pixels, grid, scratch, dst):  # type: ignore[no-untyped-def]
    points, blocks, depth, _ = u.shape
    for task in numba.prange((grid.strips + grid.strips_a_task - 1) // grid.strips_a_task):
        begin = np.intp(task) * grid.strips_a_task
        end = min(begin + grid.strips_a_task, grid.strips)
        tiles = (end - begin) * grid.tiles_w
        # A thread's scratch stays its own from task to task, and so stays in its cache.
        own = scratch[numba.get_thread_id()]
        v = own[: points * tiles * depth].reshape(points, tiles, depth)
        m = own[v.size : v.size + points * tiles * b.size].reshape(points, blocks, tiles, FILTER_BLOCK)
        for index in range(begin, end):
            image, strip = divmod(index, grid.tiles_h)
            first = (index - begin) * grid.tiles_w * depth
            _transform_strip(src, image, strip, 0, depth, to_points, grid, v.reshape(-1), first, tiles * depth)
        _multiply(v, u, b, grid.sum_point, m)
        for index in range(begin, end):
            image, strip = divmod(index, grid.tiles_h)
            _restore_strip(m, (index - begin) * grid.tiles_w, to_pixels, grid, dst, image, strip)


@parallel
def _accumulate(x, x_to_points, dout, dout_to_points, grid, v, dm, du, db):  # type: ignore[no-untyped-def]
    tasks, points, tiles, depth = v.shape
    blocks = dm.shape[2]
    for held in range(0, grid.strips, tasks * grid.strips_a_task):
        strips = min(tasks * grid.strips_a_task, grid.strips - held)
        used = (strips + grid.strips_a_task - 1) // grid.strips_a_task
        for task in numba.prange(used):
            begin = np.intp(task) * grid.strips_a_task
            for index in range(begin, min(begin + grid.strips_a_task, strips)):
                image, strip = divmod(held + index, grid.tiles_h)
                tile = (index - begin) * grid.tiles_w
                target, first = v[task].reshape(-1), tile * depth
                _transform_strip(x, image, strip, 0, depth, x_to_points, grid, target, first, tiles * depth)
                for block in range(blocks):
                    target, first = dm[task].reshape(-1), (block * tiles + tile) * FILTER_BLOCK
                    channel, point = block * FILTER_BLOCK, blocks * tiles * FILTER_BLOCK
                    _transform_strip(
                        dout, image, strip, channel, FILTER_BLOCK, dout_to_points, grid, target, first, point
                    )
        for p in numba.prange(points):
            product = np.empty((depth, FILTER_BLOCK), v.dtype)
            for block in range(blocks):
                for task in range(used):
                    filled = min(grid.strips_a_task, strips - task * grid.strips_a_task) * grid.tiles_w
                    np.dot(v[task, p, :filled].T, dm[task, p, block, :filled], product)
                    _add(du[p, block].reshape(-1), product.reshape(-1))
                    if p == grid.sum_point:
                        for t in range(filled):
                            _add(db[block], dm[task, p, block, t])
