"""The transforms of images, compiled. They, and those of filters, are made of ``combine``: sums of scaled rows.

A transform takes the rows of its tiles first (``left``, down) and then the columns (``right``, across). Elements that
the same coefficient multiplies are neighbours in memory, so that one pass combines many tiles and channels.
"""

from typing import Any

import numpy as np
from numba import types

from .....devices.cpu.by_name import by_name
from .....devices.cpu.compiler import inner
from .....devices.cpu.copies import clear_elements, copy_elements, copy_rows
from .....devices.cpu.vectors import empty_in_lines, fence
from ..matrices import MOST_POINTS
from .combine import combine, stream_combined
from .plan import ImageView, TileGrid
from .sides import Sides

ROW_PIECE = 512
"""Elements of a row that are combined at a time: eight such rows fit the fastest cache."""

_GRID = types.NamedUniTuple(types.intp, len(TileGrid._fields), TileGrid)


def _image(real: Any) -> Any:
    return types.NamedTuple([types.Array(real, 3, "C"), *7 * [types.intp], types.boolean], ImageView)


def sides_of(real: Any) -> Any:
    return types.NamedTuple([*2 * [types.Array(real, 3, "C")], *4 * [types.intp]], Sides)


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
def _load_pixels(view, image, top, first_channel, count, columns, depth, pixels):  # type: ignore[no-untyped-def]
    """The pixels that the tiles of a strip read, from ``first_channel`` on; 0 outside the image.

    ``pixels`` are ``count`` rows of ``columns`` blocks, each with its ``depth`` elements. No part of an array is an
    array of its own here: to count who refers to it would take longer than a copy.
    """
    height, length = view.rows.shape[1:]
    source, row_size, pitch = view.rows.reshape(-1), depth // view.stride_h, view.stride_w * view.channels
    inside, first = min(row_size, view.row_size - first_channel), view.first_channel + first_channel
    if view.stride_h == 1 and inside == row_size == pitch:  # neighbours, which are copied at once
        columns, depth, row_size, inside = 1, columns * depth, columns * depth, columns * depth
    first -= view.pad_left * view.channels
    # The blocks of a row that are copied whole.
    begin = min(max(-(first // pitch), 0), columns)
    end = min(max((length - inside - first) // pitch + 1, begin), columns) if inside == row_size else begin
    for i in range(count):
        for dy in range(view.stride_h):
            h, at = (top + i) * view.stride_h + dy - view.pad_top, i * columns * depth + dy * row_size
            start, has_row = (image * height + h) * length + first, 0 <= h < height
            if has_row:
                read, written = (start + begin * pitch, pitch), (at + begin * depth, depth)
                # Pieces of several rows in turn are not fetched ahead by themselves: the next row of blocks.
                copy_rows(source, read, pixels, written, (end - begin, row_size), view.stride_h * length)
            for x in range(columns):
                if has_row and begin <= x < end:
                    continue
                low, high = max(-first - x * pitch, 0), min(length - first - x * pitch, inside)
                if not has_row or low >= high:
                    low, high = 0, 0
                clear_elements(pixels, at + x * depth, low)
                copy_elements(source, start + x * pitch + low, pixels, at + x * depth + low, high - low)
                clear_elements(pixels, at + x * depth + high, row_size - high)


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
    rows_h, terms_h = sides.rows_h - smaller_h, sides.terms_h - smaller_h
    top = strip * grid.m_h - max(strip - grid.large_h, 0)
    columns = (grid.tiles_w - 1) * grid.m_w - (grid.tiles_w - grid.large_w) + sides.terms_w
    width = columns * depth
    pixels, half = empty_in_lines(terms_h * width, target.dtype), empty_in_lines(rows_h * width, target.dtype)
    _load_pixels(view, image, top, first_channel, terms_h, columns, depth, pixels)
    down = offsets(terms_h, width)
    for piece in range(0, width, ROW_PIECE):
        end = min(piece + ROW_PIECE, width)
        for a in range(rows_h):
            left_row, size = smaller_h * MOST_POINTS + a, end - piece
            combine(sides.left, left_row, terms_h, down, pixels, (piece, 0), half, (a * width + piece, 0), (1, size))
    for smaller_w in range(2):
        before = grid.large_w if smaller_w else 0
        tiles = grid.tiles_w - before if smaller_w else grid.large_w
        step, terms_w = (grid.m_w - smaller_w) * depth, sides.terms_w - smaller_w
        across = offsets(terms_w, depth)
        for a in range(rows_h):
            for b in range(sides.rows_w - smaller_w):
                tile = _tiles_at(grid, a, b, strips, large) + before
                at = start + (a * grid.n_w + b) * pitch + tile * depth
                right_row, read = smaller_w * MOST_POINTS + b, (a * width + before * grid.m_w * depth, step)
                combine(sides.right, right_row, terms_w, across, half, read, target, (at, depth), (tiles, depth))


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
    half_row = grid.n_w * grid.tiles_w * block_width
    flat, half = m.reshape(-1), empty_in_lines(rows_h * half_row, m.dtype)
    down = np.empty(MOST_POINTS, np.intp)
    for block in range(blocks):
        for b in range(grid.n_w):
            for a in range(MOST_POINTS):
                row = a if a < terms_h else 0
                tile = _tiles_at(grid, row, b, strips, large)
                down[a] = (((row * grid.n_w + b) * blocks + block) * tiles + tile) * block_width
            width = _tiles_at(grid, 0, b, 1, 1) * block_width
            for i in range(rows_h):
                left_row, at = smaller_h * MOST_POINTS + i, i * half_row + b * grid.tiles_w * block_width
                combine(sides.left, left_row, terms_h, down, flat, (0, 0), half, (at, 0), (1, width))
        for i in range(rows_h):
            h = (top + i) * view.stride_h - view.pad_top
            first = first_filter + block * block_width
            _store_row(half, i * half_row, sides, first, block_width, grid, view, image, h)
    if view.streams:
        fence()


@inner
def _store_row(half, start, sides, first, block_width, grid, view, image, h):  # type: ignore[no-untyped-def]
    """A row of each tile of a strip, combined straight into the image: of each pixel the channels of a block, from
    ``first`` on."""
    _, height, length = view.rows.shape
    target, row_size = view.rows.reshape(-1), view.row_size
    for smaller_w in range(2):
        terms, step = sides.terms_w - smaller_w, grid.m_w - smaller_w
        across = offsets(terms, grid.tiles_w * block_width)
        begin, end = grid.large_w if smaller_w else 0, grid.tiles_w if smaller_w else grid.large_w
        for j in range(sides.rows_w - smaller_w):
            row, pixel = smaller_w * MOST_POINTS + j, begin * grid.m_w + j
            if view.stride_h == view.stride_w == 1:
                # There is no padding then: the first pixels are inside the image, and all have the same channels.
                inside = min(end - begin, (length // view.channels - pixel + step - 1) // step)
                rows = inside if h < height else 0, min(block_width, row_size - first)
                at = (image * height + h) * length + pixel * view.channels + view.first_channel + first
                read, written = (start + begin * block_width, block_width), (at, step * view.channels)
                if view.streams:
                    stream_combined(sides.right, row, terms, across, half, read, target, written, rows)
                else:
                    combine(sides.right, row, terms, across, half, read, target, written, rows)
                continue
            for t in range(begin, end):
                column = (pixel * view.stride_w - view.pad_left) * view.channels + view.first_channel
                pixel += step
                for dy in range(view.stride_h):
                    # Row dy of the pixel: the elements that this block has, and of these the ones inside the image.
                    skipped = dy * row_size - first
                    low, high = max(-skipped, 0, -column), min(block_width - skipped, row_size, length - column)
                    if low < high and 0 <= h + dy < height:
                        begun, at = start + t * block_width + skipped + low, (image * height + h + dy) * length + column
                        place, size = (at + low, 0), high - low
                        combine(sides.right, row, terms, across, half, (begun, 0), target, place, (1, size))
