"""The transforms of images, compiled. They, and those of filters, are made of ``combine``: a sum of scaled rows.

A transform takes the rows of its tiles first (``left``, down) and then the columns (``right``, across). Elements that
the same coefficient multiplies are neighbours in memory, so that one pass combines many tiles and channels.
"""

from typing import Any

import numpy as np
from numba import types

from .....devices.cpu.by_name import by_name
from .....devices.cpu.compiler import fused_inner, inner
from .....devices.cpu.copies import copy_elements
from ..matrices import MOST_POINTS
from .plan import ImageView, TileGrid
from .sides import Sides

ROW_PIECE = 512
"""Elements of a row that are combined at a time: eight such rows fit the fastest cache."""

_GRID = types.NamedUniTuple(types.intp, len(TileGrid._fields), TileGrid)


def _image(real: Any) -> Any:
    return types.NamedTuple([types.Array(real, 3, "C"), *7 * [types.intp]], ImageView)


def sides_of(real: Any) -> Any:
    return types.NamedTuple([*2 * [types.Array(real, 3, "C")], *4 * [types.intp]], Sides)


@fused_inner
def combine(coefficients, source, shift, offsets, target):  # type: ignore[no-untyped-def]
    """target[k] = Σ_i coefficients[i] * source[shift + offsets[i] + k], of eight terms; unused ones have coefficient 0.

    It is one pass, because passes over memory are its cost: eight loads and one store for eight multiply-adds. The sum
    begins with 0, so that no addition has two products.
    """
    size, zero = target.size, target.dtype.type(0)
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
        total = zero + c0 * s0[k]
        total += c1 * s1[k]
        total += c2 * s2[k]
        total += c3 * s3[k]
        total += c4 * s4[k]
        total += c5 * s5[k]
        total += c6 * s6[k]
        total += c7 * s7[k]
        target[k] = total


@fused_inner
def combine_four(coefficients, source, shift, offsets, target):  # type: ignore[no-untyped-def]
    """``combine`` of at most four terms, as many as a filter usually has along an axis: half the loads.

    Not a branch in ``combine``: LLVM then no longer inlines that function, and its callers take 12 % longer.
    """
    size, zero = target.size, target.dtype.type(0)
    c0, c1, c2, c3 = coefficients[0], coefficients[1], coefficients[2], coefficients[3]
    s0 = source[shift + offsets[0] : shift + offsets[0] + size]
    s1 = source[shift + offsets[1] : shift + offsets[1] + size]
    s2 = source[shift + offsets[2] : shift + offsets[2] + size]
    s3 = source[shift + offsets[3] : shift + offsets[3] + size]
    for k in range(size):
        total = zero + c0 * s0[k]
        total += c1 * s1[k]
        total += c2 * s2[k]
        total += c3 * s3[k]
        target[k] = total


@inner
def add_elements(total, terms):  # type: ignore[no-untyped-def]
    for k in range(total.size):
        total[k] += terms[k]


@inner
def offsets(terms, stride):  # type: ignore[no-untyped-def]
    """0, stride, 2 stride, ... for each term; the unused ones are 0."""
    offsets = np.zeros(MOST_POINTS, np.intp)
    for i in range(terms):
        offsets[i] = i * stride
    return offsets


@inner
def _large_strips(grid, strips):  # type: ignore[no-untyped-def]
    """How many of the first ``strips`` strips have large tiles: in each image they come first."""
    images, rest = divmod(strips, grid.tiles_h)
    return images * grid.large_h + min(rest, grid.large_h)


@inner
def _tiles_at(grid, point_h, point_w, strips, large):  # type: ignore[no-untyped-def]
    """How many tiles of so many strips, of which so many are large, have the point (point_h, point_w).

    A smaller tile has all points but the last one down, or the last one across: it is one output shorter.
    """
    return (large if point_h == grid.n_h - 1 else strips) * (grid.large_w if point_w == grid.n_w - 1 else grid.tiles_w)


@inner
def tiles_of_strips(grid, p, begin, end):  # type: ignore[no-untyped-def]
    """How many tiles of the strips from ``begin`` to ``end`` have point p."""
    large = _large_strips(grid, end) - _large_strips(grid, begin)
    return _tiles_at(grid, p // grid.n_w, p % grid.n_w, end - begin, large)


@inner
def _copy_of_row(row, start, target):  # type: ignore[no-untyped-def]
    """Elements of a row from ``start`` on; 0 before its beginning and past its end."""
    if start >= 0 and start + target.size <= row.size:
        copy_elements(row, start, target, 0, target.size)
    else:
        for k in range(target.size):
            target[k] = row[start + k] if 0 <= start + k < row.size else 0


@inner
def _load_pixels(view, image, top, left, first_channel, pixels):  # type: ignore[no-untyped-def]
    """The pixels that some neighbouring tiles read, from ``first_channel`` on; 0 outside the image.

    Pixel q * step + j of row i comes to [i, j, q], so that column j of all tiles is contiguous.
    """
    rows, step = view.rows, pixels.shape[1]
    row_size = pixels.shape[3] // view.stride_h
    inside = min(row_size, view.row_size - first_channel)
    for i in range(pixels.shape[0]):
        for dy in range(view.stride_h):
            elements = slice(dy * row_size, (dy + 1) * row_size)
            h = (top + i) * view.stride_h + dy - view.pad_top
            if inside < row_size or not 0 <= h < rows.shape[1]:
                pixels[i, :, :, elements] = 0
            if 0 <= h < rows.shape[1]:
                row = rows[image, h]
                for j in range(step):
                    for q in range(pixels.shape[2]):
                        column = (left + q * step + j) * view.stride_w - view.pad_left
                        start = column * view.channels + view.first_channel + first_channel
                        _copy_of_row(row, start, pixels[i, j, q, dy * row_size : dy * row_size + inside])


@by_name(
    lambda real: (_image(real), *4 * [types.intp], sides_of(real), _GRID, types.Array(real, 1, "C"), *2 * [types.intp])
)
def transform_strip(view, begin, strip_index, first_channel, depth, sides, grid, target, start, pitch):  # type: ignore[no-untyped-def]
    """Stage 1: strip ``strip_index`` of the chunk that begins at strip ``begin``, transformed.

    Point p of the chunk's tiles is written to ``target`` from ``start + p * pitch`` on.
    """
    image, strip = divmod(strip_index, grid.tiles_h)
    strips, large = strip_index - begin, _large_strips(grid, strip_index) - _large_strips(grid, begin)
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
        _load_pixels(view, image, top, before * grid.m_w, first_channel, pixels)
        flat = pixels.reshape(-1)
        half = np.empty((rows_h, width), target.dtype)
        down, across = offsets(terms_h, width), np.zeros(MOST_POINTS, np.intp)
        for j in range(terms_w):
            across[j] = ((j % step) * columns + j // step) * depth
        for piece in range(0, width, ROW_PIECE):
            end = min(piece + ROW_PIECE, width)
            for a in range(rows_h):
                combine(sides.left[smaller_h, a], flat, piece, down, half[a, piece:end])
        for a in range(rows_h):
            for b in range(rows_w):
                tile = _tiles_at(grid, a, b, strips, large) + before
                at = start + (a * grid.n_w + b) * pitch + tile * depth
                combine(sides.right[smaller_w, b], half[a], 0, across, target[at : at + tiles * depth])


@by_name(lambda real: (types.Array(real, 4, "C"), *3 * [types.intp], sides_of(real), _GRID, _image(real)))
def restore_strip(m, first_filter, begin, strip_index, sides, grid, view):  # type: ignore[no-untyped-def]
    """Stage 3: strip ``strip_index`` of the chunk that begins at strip ``begin``, transformed back and written.

    M has blocks of filters, which begin at ``first_filter``.
    """
    _, blocks, tiles, block_width = m.shape
    image, strip = divmod(strip_index, grid.tiles_h)
    strips, large = strip_index - begin, _large_strips(grid, strip_index) - _large_strips(grid, begin)
    smaller_h = np.intp(strip >= grid.large_h)
    rows_h, terms_h = sides.rows_h - smaller_h, sides.terms_h - smaller_h
    top = strip * grid.m_h - max(strip - grid.large_h, 0)
    flat = m.reshape(-1)
    half = np.empty((rows_h, grid.n_w, grid.tiles_w * block_width), m.dtype)
    down = np.empty(MOST_POINTS, np.intp)
    for block in range(blocks):
        for b in range(grid.n_w):
            for a in range(MOST_POINTS):
                row = a if a < terms_h else 0
                tile = _tiles_at(grid, row, b, strips, large)
                down[a] = (((row * grid.n_w + b) * blocks + block) * tiles + tile) * block_width
            width = _tiles_at(grid, 0, b, 1, 1) * block_width
            for i in range(rows_h):
                combine(sides.left[smaller_h, i], flat, 0, down, half[i, b, :width])
        for i in range(rows_h):
            h = (top + i) * view.stride_h - view.pad_top
            first = first_filter + block * block_width
            _store_row(half[i].reshape(-1), sides, first, block_width, grid, view, image, h)


@inner
def _store_row(half, sides, first, block_width, grid, view, image, h):  # type: ignore[no-untyped-def]
    """A row of each tile of a strip, combined straight into the image: of each pixel the channels of a block, from
    ``first`` on."""
    rows, row_size = view.rows, view.row_size
    for smaller_w in range(2):
        across = offsets(sides.terms_w - smaller_w, grid.tiles_w * block_width)
        for j in range(sides.rows_w - smaller_w):
            for t in range(grid.large_w if smaller_w else 0, grid.tiles_w if smaller_w else grid.large_w):
                pixel = t * grid.m_w - max(t - grid.large_w, 0) + j
                column = (pixel * view.stride_w - view.pad_left) * view.channels + view.first_channel
                for dy in range(view.stride_h):
                    # Row dy of the pixel: the elements that this block has, and of these the ones inside the image.
                    skipped = dy * row_size - first
                    low, high = max(-skipped, 0, -column), min(block_width - skipped, row_size, rows.shape[2] - column)
                    if low < high and 0 <= h + dy < rows.shape[1]:
                        target = rows[image, h + dy, column + low : column + high]
                        shift = t * block_width + skipped + low
                        combine(sides.right[smaller_w, j], half, shift, across, target)
