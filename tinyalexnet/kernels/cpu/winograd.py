"""Winograd's convolution, compiled: fewer multiplications by working on tiles. Contiguous arrays.

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
from ..contract import by_groups, group_slices
from ..cook_toom import MOST_POINTS, Matrices, Tile
from ..reference.winograd import filters_from_blocks, filters_to_blocks
from .memory import empty
from .runtime import inner, most_threads, one_blas_thread, parallel

SMALL_PRODUCT = 1_000_000
"""Multiply-adds up to which OpenBLAS multiplies without copying both matrices first; above, it is half as fast here."""

CHUNK_BYTES = 3 << 20
"""V and M of one chunk of a fused convolution, so that they stay in the cache that the cores share."""

MOST_CHUNKS = 3
"""Chunks of a task of a fused convolution, where U is larger than a chunk: reading U then costs more than they do."""

HELD_BYTES = 12 << 20
"""V and M, or V and dM, that are held at a time where stages follow each other, so that they too stay in that cache."""

LEAST_TASKS = 16
"""Small inputs are cut finer, so that this many threads have work."""

PART_CHUNKS = 4
"""dU is summed in parts, each by one thread, where a part has so many chunks and dU is no larger than one of them:
adding up the parts then costs less than to read what other threads have written."""

LEAST_ROWS = 16
"""A product of fewer rows of V waits for U to be read. A fused convolution reads U once for each task."""

ROW_PIECE = 512
"""Numbers of a row that are combined at a time: eight such rows fit the fastest cache."""

CHANNELS = 8
"""Channels of a block of filters that are transformed at a time, for the same reason."""


class Images(NamedTuple):
    """One group's channels of a batch, its rows flattened, and where its blocks of stride_h x stride_w pixels begin.

    A pixel has ``channels`` numbers, of which the group's begin at ``first``; a row of a block has ``run`` numbers of
    the group, side by side.
    """

    rows: np.ndarray
    channels: int
    first: int
    run: int
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
    an image has and how many of them, the first, are large; and how many strips make a chunk, which is multiplied at
    once."""

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
    strips_a_chunk: int


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, window: Window, tile: Tile, groups: int = 1) -> np.ndarray:
    """``conv2d_forward``; see reference.

    Schedule
        One group after the other, in place. Parallel over tasks of one or a few chunks of strips, each transformed,
        multiplied and transformed back while it is in cache; the chunks of a task share one reading of U. A small batch
        takes the stages one after the other, in parallel over strips, over blocks of filters and points, and over
        strips: its chunks would have too few rows.
    """
    size = x.shape[1:3]
    out = empty((x.shape[0], *window.output_size(size), w.shape[3]), x.dtype)
    for channels, filters in group_slices(x.shape[3], w.shape[3], groups):
        u = _transform_filters(_blocks(w, filters, window), tile.g(w.dtype), exchanged=False)
        src = _images(x, channels, window.before(size), window.stride)
        _run(src, u, b[filters], tile, _images(out, filters, (0, 0), (1, 1)))
    return out


def backward_input(
    dout: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], window: Window, tile: Tile, groups: int = 1
) -> np.ndarray:
    """``conv2d_backward_input``; see reference.

    Schedule
        The forward's. The adjoint of a convolution with stride 1 is a convolution of dout, padded by r - 1 less the
        forward's padding, with the filters turned by 180° and channels and filters exchanged; so tasks need not add to
        each other's output.
    """
    dx = empty(x_shape, dout.dtype)
    # Turning the filters is reading the columns of G backwards.
    turned = tile.g(w.dtype)[0][:, ::-1], tile.g(w.dtype)[1][:, ::-1]
    # Whole blocks of padding need no gradient: the tiles begin behind them, and dout is padded by so much less.
    top, left = window.before(x_shape[1:3])
    shift_h, rest_h = divmod(top, window.stride[0])
    shift_w, rest_w = divmod(left, window.stride[1])
    for channels, filters in group_slices(x_shape[3], w.shape[3], groups):
        u = _transform_filters(_blocks(w, filters, window), turned, exchanged=True)
        no_bias = np.zeros(u.shape[1] * FILTER_BLOCK, dout.dtype)
        src = _images(dout, filters, (tile.r[0] - 1 - shift_h, tile.r[1] - 1 - shift_w), (1, 1))
        dst = _images(dx, channels, (rest_h, rest_w), window.stride)
        _run(src, u, no_bias, tile, dst)
        if dst.channels < dx.shape[3]:
            dx[..., channels] = dst.rows.reshape(*dx.shape[:3], -1)
    return dx


def backward_params(
    dout: np.ndarray, x: np.ndarray, window: Window, tile: Tile, groups: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """``conv2d_backward_params``; see reference.

    Schedule
        One group after the other, in place. Where dU is small, LEAST_TASKS parts of the strips are the tasks: each has
        its own dU[p] += V[p]ᵀ dM[p], one chunk of strips after the other, with dM = A dout Aᵀ; these are then added up.
        Where it is not, as much of V and of dM as HELD_BYTES allows, parallel over strips; then, parallel over blocks
        of filters and points, the same sums. No two tasks write the same number, and the order of the additions does
        not depend on the threads. db is dM at the point where A sums up.
    """
    to_points = _sides(tile.bt(x.dtype), tile.smaller.bt(x.dtype))
    from_pixels = _sides(_transposed(tile.at(x.dtype)), _transposed(tile.smaller.at(x.dtype)))
    gt = _transposed(tile.g(x.dtype))
    db = np.empty(dout.shape[3], x.dtype)

    def compute(channels: slice, filters: slice) -> np.ndarray:
        images = _images(x, channels, window.before(x.shape[1:3]), window.stride)
        gradients = _images(dout, filters, (0, 0), (1, 1))
        depth, blocks = window.stride[0] * images.run, -(-gradients.run // FILTER_BLOCK)
        grid = _grid(tile, dout.shape[0], dout.shape[1:3], depth, blocks)
        fused, parts = _parts(tile, grid, depth, blocks, x.dtype)
        du = empty((parts, tile.points, blocks, depth, FILTER_BLOCK), x.dtype)
        sums = np.zeros((parts, blocks, FILTER_BLOCK), x.dtype)
        with one_blas_thread():
            if parts > 1:
                tiles = fused.strips_a_chunk * grid.tiles_w
                scratch = empty((most_threads(), tiles * tile.points * (depth + blocks * FILTER_BLOCK)), x.dtype)
                _accumulate_in_parts(images, to_points, gradients, from_pixels, fused, scratch, du, sums)
            else:
                v, dm = _held(tile, grid, depth, blocks, x.dtype)
                _accumulate_in_stages(images, to_points, gradients, from_pixels, grid, v, dm, du[0], sums[0])
        dw = empty((*tile.r, depth, gradients.run), x.dtype)
        _filters_from_points(du[0], _sides(gt, gt), dw)
        db[filters] = sums[0].reshape(-1)[: gradients.run]
        return filters_from_blocks(dw, window)

    return by_groups(compute, x.shape[3], dout.shape[3], groups), db


def _images(images: np.ndarray, channels: slice, before: Pair, stride: Pair) -> Images:
    """The channels in place; where a block has several pixels, and so a group's numbers are apart, a copy of them."""
    if stride != (1, 1) and channels.stop - channels.start < images.shape[3]:
        images = np.ascontiguousarray(images[..., channels])
        channels = slice(0, images.shape[3])
    run = stride[1] * (channels.stop - channels.start)
    return Images(images.reshape(*images.shape[:2], -1), images.shape[3], channels.start, run, *before, *stride)


def _blocks(w: np.ndarray, filters: slice, window: Window) -> np.ndarray:
    return filters_to_blocks(np.ascontiguousarray(w[..., filters]), window.stride)


def _transposed(matrices: Matrices) -> Matrices:
    return matrices[0].T, matrices[1].T


def _sides(large: Matrices, smaller: Matrices) -> Sides:
    filled = np.zeros((2, 2, MOST_POINTS, MOST_POINTS), large[0].dtype)
    for side, matrices in enumerate(zip(large, smaller, strict=True)):
        for size, matrix in enumerate(matrices):
            filled[side, size, : matrix.shape[0], : matrix.shape[1]] = matrix
    (rows_h, terms_h), (rows_w, terms_w) = (matrix.shape for matrix in large)
    return Sides(filled[0], filled[1], rows_h, rows_w, terms_h, terms_w)


def _grid(tile: Tile, n: int, size: Pair, depth: int, blocks: int) -> Grid:
    """The grid with chunks as large as products may be, and as may be held at a time."""
    tiles_h, tiles_w = tile.counts(size)
    most = SMALL_PRODUCT // (depth * FILTER_BLOCK * tiles_w), _strips_in(HELD_BYTES, tile, tiles_w, depth, blocks)
    strips = n * tiles_h
    return Grid(
        *tile.m, *tile.n, tiles_h, tiles_w, *tile.large_counts(size), tile.sum_point, strips, max(1, min(*most, strips))
    )


def _strips_in(size: int, tile: Tile, tiles_w: int, depth: int, blocks: int) -> int:
    """How many strips of V and M, in float32, fit ``size`` bytes."""
    return size // (4 * tile.points * tiles_w * (depth + blocks * FILTER_BLOCK))


def _held(tile: Tile, grid: Grid, depth: int, blocks: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Memory for V (chunks, points, tiles, C) and M (chunks, points, blocks, tiles, FILTER_BLOCK) of several chunks."""
    strips = min(_strips_in(HELD_BYTES, tile, grid.tiles_w, depth, blocks), grid.strips)
    chunks, tiles = max(1, strips // grid.strips_a_chunk), grid.strips_a_chunk * grid.tiles_w
    v = empty((chunks, tile.points, tiles, depth), dtype)
    return v, empty((chunks, tile.points, blocks, tiles, FILTER_BLOCK), dtype)


def _transform_filters(w: np.ndarray, g: Matrices, exchanged: bool) -> np.ndarray:
    """U = G w Gᵀ, (points, blocks, C, FILTER_BLOCK), of w (r_h, r_w, C, F), or (r_h, r_w, F, C) where ``exchanged``.

    The last block is filled up with zeros.
    """
    channels, filters = w.shape[3 if exchanged else 2], w.shape[2 if exchanged else 3]
    u = empty((g[0].shape[0] * g[1].shape[0], -(-filters // FILTER_BLOCK), channels, FILTER_BLOCK), w.dtype)
    _filters_to_points(w, exchanged, _sides(g, g), u)
    return u


def _run(src: Images, u: np.ndarray, b: np.ndarray, tile: Tile, dst: Images) -> None:
    """Convolves ``src`` with the filters U and writes ``dst``."""
    points, blocks, depth, _ = u.shape
    n, height, numbers = dst.rows.shape
    dtype = dst.rows.dtype
    size = -(-(height + dst.pad_top) // dst.stride_h), -(-(numbers // dst.channels + dst.pad_left) // dst.stride_w)
    bias = np.pad(b, (0, blocks * FILTER_BLOCK - b.size)).reshape(blocks, FILTER_BLOCK)
    to_points = _sides(tile.bt(dtype), tile.smaller.bt(dtype))
    to_pixels = _sides(tile.at(dtype), tile.smaller.at(dtype))
    grid = _grid(tile, n, size, depth, blocks)
    fused, chunks = _tasks(tile, grid, u)
    with one_blas_thread():
        if fused.strips_a_chunk * grid.tiles_w < LEAST_ROWS:
            v, m = _held(tile, grid, depth, blocks, dtype)
            _convolve_in_stages(src, to_points, u, bias, to_pixels, grid, v, m, dst)
        else:
            tiles = chunks * fused.strips_a_chunk * grid.tiles_w
            scratch = empty((most_threads(), tiles * points * (depth + blocks * FILTER_BLOCK)), dtype)
            _convolve_fused(src, to_points, u, bias, to_pixels, fused, chunks, scratch, dst)


def _tasks(tile: Tile, grid: Grid, u: np.ndarray) -> tuple[Grid, int]:
    """The grid with the chunks of a fused convolution, and how many of them are a task."""
    _, blocks, depth, _ = u.shape
    strips_a_chunk = min(_strips_in(CHUNK_BYTES, tile, grid.tiles_w, depth, blocks), grid.strips_a_chunk)
    # A large U comes from the cache that the cores share, or from memory: it is read for so many chunks at once.
    chunks = min(max(u.nbytes // CHUNK_BYTES, 1), MOST_CHUNKS)
    strips_a_task = max(1, min(chunks * strips_a_chunk, grid.strips // LEAST_TASKS))
    chunks = max(1, min(chunks, strips_a_task, strips_a_task * grid.tiles_w // LEAST_ROWS))
    return grid._replace(strips_a_chunk=strips_a_task // chunks), chunks


def _parts(tile: Tile, grid: Grid, depth: int, blocks: int, dtype: np.dtype) -> tuple[Grid, int]:
    """The grid with the chunks of dU's parts, and how many parts there are; one is none."""
    size = tile.points * blocks * depth * FILTER_BLOCK * dtype.itemsize
    strips_a_chunk = min(_strips_in(CHUNK_BYTES, tile, grid.tiles_w, depth, blocks), grid.strips_a_chunk)
    enough = 0 < PART_CHUNKS * strips_a_chunk <= grid.strips // LEAST_TASKS
    return grid._replace(strips_a_chunk=strips_a_chunk), LEAST_TASKS if enough and size <= CHUNK_BYTES else 1


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
def _combine_four(coefficients, source, shift, offsets, target):  # type: ignore[no-untyped-def]
    """``_combine`` where there are at most four terms, as there are taps in a filter: half the loads.

    Not a branch in ``_combine``: that function is then no longer merged into its callers, and they take 12 % longer.
    """
    size = target.size
    c0, c1, c2, c3 = coefficients[0], coefficients[1], coefficients[2], coefficients[3]
    s0 = source[shift + offsets[0] : shift + offsets[0] + size]
    s1 = source[shift + offsets[1] : shift + offsets[1] + size]
    s2 = source[shift + offsets[2] : shift + offsets[2] + size]
    s3 = source[shift + offsets[3] : shift + offsets[3] + size]
    for k in range(size):
        target[k] = (c0 * s0[k] + c1 * s1[k]) + (c2 * s2[k] + c3 * s3[k])


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
def _copy(source, target):  # type: ignore[no-untyped-def]
    for k in range(source.size):
        target[k] = source[k]


@inner
def _add(total, numbers):  # type: ignore[no-untyped-def]
    for k in range(total.size):
        total[k] += numbers[k]


@inner
def _transform_run(sides, source, first, apart, target, target_first, target_apart, run):  # type: ignore[no-untyped-def]
    """target[a, b] = Σ_ij left[a, i] source[i, j] right[b, j] for runs of numbers.

    Run [i, j] begins at ``first + (i * terms_w + j) * apart`` of the source; likewise in the target.
    """
    half = np.empty((sides.terms_w, run), source.dtype)
    down, across = _offsets(sides.terms_h, sides.terms_w * apart), _offsets(sides.terms_w, run)
    for a in range(sides.rows_h):
        for j in range(sides.terms_w):
            if sides.terms_h <= 4:
                _combine_four(sides.left[0, a], source, first + j * apart, down, half[j])
            else:
                _combine(sides.left[0, a], source, first + j * apart, down, half[j])
        for b in range(sides.rows_w):
            start = target_first + (a * sides.rows_w + b) * target_apart
            if sides.terms_w <= 4:
                _combine_four(sides.right[0, b], half.reshape(-1), 0, across, target[start : start + run])
            else:
                _combine(sides.right[0, b], half.reshape(-1), 0, across, target[start : start + run])


@parallel
def _filters_to_points(w, exchanged, sides, u):  # type: ignore[no-untyped-def]
    r_h, r_w, rows, columns = w.shape
    _, blocks, channels, _ = u.shape
    runs = (channels + CHANNELS - 1) // CHANNELS
    for task in numba.prange(blocks * runs):
        block, part = divmod(np.intp(task), runs)
        first = part * CHANNELS
        count = min(CHANNELS, channels - first)
        some = np.zeros((r_h, r_w, count, FILTER_BLOCK), w.dtype)
        begin = block * FILTER_BLOCK
        end = min(begin + FILTER_BLOCK, rows if exchanged else columns)
        for i in range(r_h):
            for j in range(r_w):
                if exchanged:
                    for f in range(end - begin):
                        column = w[i, j, begin + f, first : first + count]
                        for c in range(count):
                            some[i, j, c, f] = column[c]
                else:
                    for c in range(count):
                        _copy(w[i, j, first + c, begin:end], some[i, j, c])
        run = count * FILTER_BLOCK
        start, apart = (block * channels + first) * FILTER_BLOCK, blocks * channels * FILTER_BLOCK
        _transform_run(sides, some.reshape(-1), 0, run, u.reshape(-1), start, apart, run)


@parallel
def _filters_from_points(du, sides, dw):  # type: ignore[no-untyped-def]
    r_h, r_w, channels, filters = dw.shape
    blocks = du.shape[1]
    runs = (channels + CHANNELS - 1) // CHANNELS
    for task in numba.prange(blocks * runs):
        block, part = divmod(np.intp(task), runs)
        first = part * CHANNELS
        count = min(CHANNELS, channels - first)
        some = np.empty((r_h, r_w, count, FILTER_BLOCK), dw.dtype)
        run = count * FILTER_BLOCK
        start, apart = (block * channels + first) * FILTER_BLOCK, blocks * channels * FILTER_BLOCK
        _transform_run(sides, du.reshape(-1), start, apart, some.reshape(-1), 0, run, run)
        begin = block * FILTER_BLOCK
        end = min(begin + FILTER_BLOCK, filters)
        for i in range(r_h):
            for j in range(r_w):
                for c in range(count):
                    _copy(some[i, j, c, : end - begin], dw[i, j, first + c, begin:end])


@inner
def _copy_run(row, start, target):  # type: ignore[no-untyped-def]
    """Numbers of a row from ``start`` on; 0 before its beginning and past its end."""
    if start >= 0 and start + target.size <= row.size:
        _copy(row[start : start + target.size], target)
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
    inside = min(run, images.run - first_channel)
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
                        start = column * images.channels + images.first + first_channel
                        _copy_run(row, start, pixels[i, j, q, dy * run : dy * run + inside])


@inner
def _transform_strip(images, begin, index, first_channel, depth, sides, grid, target, first, stride):  # type: ignore[no-untyped-def]
    """Stage 1: strip ``index`` of the chunk that begins at strip ``begin``, transformed.

    Point p of the chunk's tiles is written to ``target`` from ``first + p * stride`` on.
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
        for start in range(0, width, ROW_PIECE):
            end = min(start + ROW_PIECE, width)
            for a in range(rows_h):
                _combine(sides.left[smaller_h, a], flat, start, down, half[a, start:end])
        for a in range(rows_h):
            for b in range(rows_w):
                tile = _tiles_at(grid, a, b, strips, large) + before
                start = first + (a * grid.n_w + b) * stride + tile * depth
                _combine(sides.right[smaller_w, b], half[a], 0, across, target[start : start + tiles * depth])


@inner
def _tiles_of_strips(grid, p, begin, end):  # type: ignore[no-untyped-def]
    """How many tiles of the strips from ``begin`` to ``end`` have point p."""
    large = _large_strips(grid, end) - _large_strips(grid, begin)
    return _tiles_at(grid, p // grid.n_w, p % grid.n_w, end - begin, large)


@inner
def _tiles_of_chunk(grid, p, begin):  # type: ignore[no-untyped-def]
    """How many tiles of the chunk that begins at strip ``begin`` have point p."""
    return _tiles_of_strips(grid, p, begin, min(begin + grid.strips_a_chunk, grid.strips))


@inner
def _multiply(v, u, b, grid, begin, p, block, m):  # type: ignore[no-untyped-def]
    """Stage 2: M[p] = V[p] U[p] of a chunk and a block of filters; plus the bias, at the point that all outputs add."""
    tiles = _tiles_of_chunk(grid, p, begin)
    np.dot(v[p, :tiles], u[p, block], m[p, block, :tiles])
    if p == grid.sum_point:
        for t in range(tiles):
            _add(m[p, block, t], b[block])


@inner
def _restore_strip(m, begin, index, sides, grid, images):  # type: ignore[no-untyped-def]
    """Stage 3: strip ``index`` of the chunk that begins at strip ``begin``, transformed back and written."""
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
    rows, run = images.rows, images.run
    for smaller_w in range(2):
        across = _offsets(sides.terms_w - smaller_w, grid.tiles_w * FILTER_BLOCK)
        for j in range(sides.rows_w - smaller_w):
            for t in range(grid.large_w if smaller_w else 0, grid.tiles_w if smaller_w else grid.large_w):
                pixel = t * grid.m_w - max(t - grid.large_w, 0) + j
                column = (pixel * images.stride_w - images.pad_left) * images.channels + images.first
                for dy in range(images.stride_h):
                    # Of the run that is row dy of the pixel: what this block has, and what of that is in the image.
                    skipped = dy * run - block * FILTER_BLOCK
                    low, high = max(-skipped, 0, -column), min(FILTER_BLOCK - skipped, run, rows.shape[2] - column)
                    if low < high and 0 <= h + dy < rows.shape[1]:
                        target = rows[image, h + dy, column + low : column + high]
                        shift = t * FILTER_BLOCK + skipped + low
                        _combine(sides.right[smaller_w, j], half, shift, across, target)


@inner
def _chunk_of(grid, first, index):  # type: ignore[no-untyped-def]
    """Which chunk strip ``index`` is in, where the chunks begin at strip ``first``, and the strip where that begins."""
    chunk = (index - first) // grid.strips_a_chunk
    return chunk, first + chunk * grid.strips_a_chunk


@parallel
def _convolve_fused(src, to_points, u, b, to_pixels, grid, chunks, scratch, dst):  # type: ignore[no-untyped-def]
    points, blocks, depth, _ = u.shape
    tiles, strips_a_task = grid.strips_a_chunk * grid.tiles_w, chunks * grid.strips_a_chunk
    for task in numba.prange((grid.strips + strips_a_task - 1) // strips_a_task):
        first = np.intp(task) * strips_a_task
        end = min(first + strips_a_task, grid.strips)
        # A thread's scratch stays its own from task to task, and so stays in its cache.
        own = scratch[numba.get_thread_id()]
        v = own[: chunks * points * tiles * depth].reshape(chunks, points, tiles, depth)
        m = own[v.size : v.size + chunks * points * tiles * b.size].reshape(chunks, points, blocks, tiles, FILTER_BLOCK)
        for index in range(first, end):
            chunk, begin = _chunk_of(grid, first, index)
            _transform_strip(src, begin, index, 0, depth, to_points, grid, v[chunk].reshape(-1), 0, tiles * depth)
        for p in range(points):
            for block in range(blocks):
                for begin in range(first, end, grid.strips_a_chunk):
                    chunk, _ = _chunk_of(grid, first, begin)
                    _multiply(v[chunk], u, b, grid, begin, p, block, m[chunk])
        for index in range(first, end):
            chunk, begin = _chunk_of(grid, first, index)
            _restore_strip(m[chunk], begin, index, to_pixels, grid, dst)


# Where stages follow each other, points are the inner index of products: threads take equal runs of tasks, and the last
# points have fewer tiles.


@parallel
def _convolve_in_stages(src, to_points, u, b, to_pixels, grid, v, m, dst):  # type: ignore[no-untyped-def]
    chunks, points, tiles, depth = v.shape
    for first in range(0, grid.strips, chunks * grid.strips_a_chunk):
        strips = min(chunks * grid.strips_a_chunk, grid.strips - first)
        for strip in numba.prange(strips):
            index = first + np.intp(strip)
            chunk, begin = _chunk_of(grid, first, index)
            _transform_strip(src, begin, index, 0, depth, to_points, grid, v[chunk].reshape(-1), 0, tiles * depth)
        for task in numba.prange(u.shape[1] * points):
            block, p = divmod(np.intp(task), points)
            for begin in range(first, first + strips, grid.strips_a_chunk):
                chunk, _ = _chunk_of(grid, first, begin)
                _multiply(v[chunk], u, b, grid, begin, p, block, m[chunk])
        for strip in numba.prange(strips):
            index = first + np.intp(strip)
            chunk, begin = _chunk_of(grid, first, index)
            _restore_strip(m[chunk], begin, index, to_pixels, grid, dst)


@inner
def _transform_both(x, x_to_points, dout, dout_to_points, begin, index, grid, v, dm):  # type: ignore[no-untyped-def]
    """A strip's V, (points, tiles, C), and dM, (points, blocks, tiles, FILTER_BLOCK), of the chunk from ``begin``."""
    _, tiles, depth = v.shape
    blocks = dm.shape[1]
    _transform_strip(x, begin, index, 0, depth, x_to_points, grid, v.reshape(-1), 0, tiles * depth)
    for block in range(blocks):
        channel = block * FILTER_BLOCK
        start, stride = channel * tiles, blocks * tiles * FILTER_BLOCK
        _transform_strip(dout, begin, index, channel, FILTER_BLOCK, dout_to_points, grid, dm.reshape(-1), start, stride)


@inner
def _add_product(v, dm, first, product, du):  # type: ignore[no-untyped-def]
    """dU += Vᵀ dM of one point and one block of filters, or = where it is the ``first``."""
    if first:
        np.dot(v.T, dm, du)
    else:
        np.dot(v.T, dm, product)
        _add(du.reshape(-1), product.reshape(-1))


@parallel
def _accumulate_in_parts(x, x_to_points, dout, dout_to_points, grid, scratch, du, db):  # type: ignore[no-untyped-def]
    parts, points, blocks, depth, _ = du.shape
    tiles = grid.strips_a_chunk * grid.tiles_w
    for task in numba.prange(parts):
        part = np.intp(task)
        first, end = part * grid.strips // parts, (part + 1) * grid.strips // parts
        # As in a fused convolution: V and dM stay in the cache of their thread, and no other thread reads them.
        own = scratch[numba.get_thread_id()]
        v = own[: points * tiles * depth].reshape(points, tiles, depth)
        dm = own[v.size : v.size + points * tiles * db[part].size].reshape(points, blocks, tiles, FILTER_BLOCK)
        product = np.empty((depth, FILTER_BLOCK), v.dtype)
        for begin in range(first, end, grid.strips_a_chunk):
            stop = min(begin + grid.strips_a_chunk, end)
            for index in range(begin, stop):
                _transform_both(x, x_to_points, dout, dout_to_points, begin, index, grid, v, dm)
            for p in range(points):
                filled = _tiles_of_strips(grid, p, begin, stop)
                for block in range(blocks):
                    _add_product(v[p, :filled], dm[p, block, :filled], begin == first, product, du[part, p, block])
                    if p == grid.sum_point:
                        for t in range(filled):
                            _add(db[part, block], dm[p, block, t])
    for task in numba.prange(points * blocks):
        point, block = divmod(np.intp(task), blocks)
        for other in range(1, parts):
            _add(du[0, point, block].reshape(-1), du[other, point, block].reshape(-1))
    for other in range(1, parts):
        _add(db[0].reshape(-1), db[other].reshape(-1))


@parallel
def _accumulate_in_stages(x, x_to_points, dout, dout_to_points, grid, v, dm, du, db):  # type: ignore[no-untyped-def]
    chunks, points, _, depth = v.shape
    blocks = dm.shape[2]
    for first in range(0, grid.strips, chunks * grid.strips_a_chunk):
        strips = min(chunks * grid.strips_a_chunk, grid.strips - first)
        for strip in numba.prange(strips):
            index = first + np.intp(strip)
            chunk, begin = _chunk_of(grid, first, index)
            _transform_both(x, x_to_points, dout, dout_to_points, begin, index, grid, v[chunk], dm[chunk])
        for task in numba.prange(blocks * points):
            block, p = divmod(np.intp(task), points)
            product = np.empty((depth, FILTER_BLOCK), v.dtype)
            for begin in range(first, first + strips, grid.strips_a_chunk):
                chunk, filled = (begin - first) // grid.strips_a_chunk, _tiles_of_chunk(grid, p, begin)
                _add_product(v[chunk, p, :filled], dm[chunk, p, block, :filled], begin == 0, product, du[p, block])
                if p == grid.sum_point:
                    for t in range(filled):
                        _add(db[block], dm[chunk, p, block, t])
