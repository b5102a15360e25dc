"""Winograd's convolution on a GPU, for stride 1: the steps of reference/winograd.py, each over all tiles at once.

All transforms are of one kind, ``_sandwich``: L S Rᵀ for every tile S and channel. The products, one for each of a
tile's points, are one convolution with kernel 1 x 1 whose groups are the points: ``tiles.convolve``.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from ...geometry import Pair
from ..cook_toom import MOST_POINTS, Tile
from . import tiles
from .memory import empty
from .runtime import check_size, cuda, device, divided, kernel, launch, load, store


class Grid(NamedTuple):
    """Where tiles are in an array: the steps in memory from one image, row of tiles and tile to the next, and from one
    number of a tile to that below and to that beside it; and in the images, which have ``height`` x ``width``, the rows
    and columns from one tile to the next, and how far the first begins outside."""

    image: int
    down: int
    across: int
    below: int
    beside: int
    height: int
    width: int
    rows: int = 0
    columns: int = 0
    top: int = 0
    left: int = 0


def forward(x: Any, w: Any, b: Any, before: Pair, groups: int, tile: Tile, out: Any) -> None:
    """Writes to ``out`` the convolution of x with w, plus b. The first window begins ``before`` outside the images."""
    counts = tile.counts(out.shape[1:3])
    v, u = _transformed_images(x, before, counts, tile), _transformed_filters(w, tile)
    m = empty((v.shape[0], 1, 1, u.shape[3]), x.dtype)
    tiles.convolve(v, u, tiles.zeros(u.shape[3], x.dtype), (1, 1), (0, 0), tile.points * groups, m)
    images = _in_images(out.shape, tile.m, (0, 0))
    _transform("at", tile, m, _by_tile(counts, tile, w.shape[3]), out, images, counts, x.shape[0], w.shape[3], b)


def backward_input(dout: Any, w: Any, before: Pair, groups: int, tile: Tile, dx: Any) -> None:
    """Writes to ``dx`` the gradient of the images: the forward of dout, with the filters turned; see ``tiles``."""
    turned, before = tiles.turned(w, before, groups)
    forward(dout, turned, tiles.zeros(dx.shape[3], dx.dtype), before, groups, tile, dx)


def backward_weights(dout: Any, x: Any, before: Pair, groups: int, tile: Tile, dw: Any) -> None:
    """Writes to ``dw`` the gradient of the filters: Gᵀ [Vᵀ (A dout Aᵀ)] G."""
    counts, filters = tile.counts(dout.shape[1:3]), dout.shape[3]
    v = _transformed_images(x, before, counts, tile)
    dm, du = empty((v.shape[0], 1, 1, tile.points * filters), x.dtype), empty(_u_shape(dw, tile), x.dtype)
    images = _in_images(dout.shape, tile.m, (0, 0))
    _transform("a", tile, dout, images, dm, _by_tile(counts, tile, filters), counts, x.shape[0], filters)
    tiles.correlate(dm, v, (1, 1), (0, 0), tile.points * groups, du)
    _transform("gt", tile, du, _by_tile((1, 1), tile, filters), dw, _in_filters(dw), (1, 1), dw.shape[2], filters)


def _transformed_images(x: Any, before: Pair, counts: Pair, tile: Tile) -> Any:
    """V = Bᵀ x B as (tiles, 1, 1, points C)."""
    n, _, _, channels = x.shape
    v = empty((n * math.prod(counts), 1, 1, tile.points * channels), x.dtype)
    _transform(
        "bt", tile, x, _in_images(x.shape, tile.m, before), v, _by_tile(counts, tile, channels), counts, n, channels
    )
    return v


def _transformed_filters(w: Any, tile: Tile) -> Any:
    """U = G w Gᵀ as (1, 1, C, points F): each channel of the filters is taken for an image with F channels."""
    u = empty(_u_shape(w, tile), w.dtype)
    _transform("g", tile, w, _in_filters(w), u, _by_tile((1, 1), tile, w.shape[3]), (1, 1), w.shape[2], w.shape[3])
    return u


def _u_shape(w: Any, tile: Tile) -> tuple[int, ...]:
    return 1, 1, w.shape[2], tile.points * w.shape[3]


def _in_images(shape: tuple[int, ...], step: Pair, before: Pair) -> Grid:
    """Tiles that lie ``step`` apart in images of ``shape``."""
    _, height, width, channels = shape
    row = width * channels
    steps = height * row, step[0] * row, step[1] * channels, row, channels
    return Grid(*steps, height, width, *step, *before)


def _by_tile(counts: Pair, tile: Tile, channels: int) -> Grid:
    """Tiles of the transform, one after the other, each with its points row by row."""
    size = tile.points * channels
    return Grid(math.prod(counts) * size, counts[1] * size, size, tile.n[1] * channels, channels, *tile.n)


def _in_filters(w: Any) -> Grid:
    """One tile for each channel of filters (KH, KW, C, F)."""
    kernel_h, kernel_w, channels, filters = w.shape
    row = channels * filters
    return Grid(filters, 0, 0, kernel_w * row, row, kernel_h, kernel_w)


def _transform(
    name: str,
    tile: Tile,
    source: Any,
    taken: Grid,
    target: Any,
    put: Grid,
    counts: Pair,
    n: int,
    channels: int,
    bias: Any = None,
) -> None:
    """``_sandwich`` between the matrices of that name: for n images with ``counts`` tiles each."""
    check_size("a transformed array", max(source.size, target.size))
    bias = tiles.zeros(channels, source.dtype) if bias is None else bias
    flat = source.reshape(source.size), target.reshape(target.size)
    count = n * math.prod(counts) * channels
    launch(_sandwich(name, tile, source.dtype), count, count, flat[0], taken, bias, flat[1], put, counts, channels)


@functools.lru_cache(maxsize=256)
def _sandwich(name: str, tile: Tile, dtype: np.dtype) -> Any:
    """A kernel for L S Rᵀ + bias, with a thread for each tile S and channel.

    S is in registers, and the numbers of L and R are in the instructions: nothing is spent on those that are 0.
    """
    left, right = getattr(tile, {"a": "at", "gt": "g"}.get(name, name))(dtype)
    if name in ("a", "gt"):
        left, right = left.T, right.T
    (rows, down), (columns, across) = left.shape, right.shape
    left, right = _filled(left), _filled(right)

    @kernel
    def sandwich(count, source, taken, bias, target, put, counts, channels):  # type: ignore[no-untyped-def]
        index = cuda.grid(1)
        if index >= count:
            return
        index, channel = divided(index, channels)
        index, x = divided(index, counts[1])
        n, y = divided(index, counts[0])
        h, i = y * taken.rows - taken.top, x * taken.columns - taken.left
        start = n * taken.image + y * taken.down + x * taken.across + channel
        start -= taken.top * taken.below + taken.left * taken.beside
        inside = _inside(i, across, taken.width)
        pixels = (
            _row(source, start, 0, _is_inside(h, 0, down, taken.height), inside, taken),
            _row(source, start, 1, _is_inside(h, 1, down, taken.height), inside, taken),
            _row(source, start, 2, _is_inside(h, 2, down, taken.height), inside, taken),
            _row(source, start, 3, _is_inside(h, 3, down, taken.height), inside, taken),
            _row(source, start, 4, _is_inside(h, 4, down, taken.height), inside, taken),
            _row(source, start, 5, _is_inside(h, 5, down, taken.height), inside, taken),
            _row(source, start, 6, _is_inside(h, 6, down, taken.height), inside, taken),
            _row(source, start, 7, _is_inside(h, 7, down, taken.height), inside, taken),
        )
        h, i = y * put.rows, x * put.columns
        start = n * put.image + y * put.down + x * put.across + channel
        inside = _inside(i, columns, put.width)
        first = bias[channel]
        _put(target, start, 0, _is_inside(h, 0, rows, put.height), inside, put, right, left[0], pixels, first)
        _put(target, start, 1, _is_inside(h, 1, rows, put.height), inside, put, right, left[1], pixels, first)
        _put(target, start, 2, _is_inside(h, 2, rows, put.height), inside, put, right, left[2], pixels, first)
        _put(target, start, 3, _is_inside(h, 3, rows, put.height), inside, put, right, left[3], pixels, first)
        _put(target, start, 4, _is_inside(h, 4, rows, put.height), inside, put, right, left[4], pixels, first)
        _put(target, start, 5, _is_inside(h, 5, rows, put.height), inside, put, right, left[5], pixels, first)
        _put(target, start, 6, _is_inside(h, 6, rows, put.height), inside, put, right, left[6], pixels, first)
        _put(target, start, 7, _is_inside(h, 7, rows, put.height), inside, put, right, left[7], pixels, first)

    return sandwich


def _filled(matrix: np.ndarray) -> tuple[tuple[np.floating, ...], ...]:
    """A matrix with zeros beyond it, MOST_POINTS in each direction: so that one text serves all sizes."""
    filled = np.zeros((MOST_POINTS, MOST_POINTS), matrix.dtype)
    filled[: matrix.shape[0], : matrix.shape[1]] = matrix
    return tuple(map(tuple, filled))


@device
def _is_inside(start, k, size, length):  # type: ignore[no-untyped-def]
    """Whether number k of a row or column of a tile of that ``size`` is there, and in the image."""
    return k < size and np.uint32(start + k) < np.uint32(length)


@device
def _inside(start, size, length):  # type: ignore[no-untyped-def]
    return (
        _is_inside(start, 0, size, length),
        _is_inside(start, 1, size, length),
        _is_inside(start, 2, size, length),
        _is_inside(start, 3, size, length),
        _is_inside(start, 4, size, length),
        _is_inside(start, 5, size, length),
        _is_inside(start, 6, size, length),
        _is_inside(start, 7, size, length),
    )


@device
def _row(source, start, k, is_there, inside, grid):  # type: ignore[no-untyped-def]
    """Row k of the tile that begins at number ``start``: eight pixels, 0 where there is none."""
    start += k * grid.below
    return (
        _pixel(source, start, is_there & inside[0], 0, grid),
        _pixel(source, start, is_there & inside[1], 1, grid),
        _pixel(source, start, is_there & inside[2], 2, grid),
        _pixel(source, start, is_there & inside[3], 3, grid),
        _pixel(source, start, is_there & inside[4], 4, grid),
        _pixel(source, start, is_there & inside[5], 5, grid),
        _pixel(source, start, is_there & inside[6], 6, grid),
        _pixel(source, start, is_there & inside[7], 7, grid),
    )


@device
def _pixel(source, start, is_there, k, grid):  # type: ignore[no-untyped-def]
    return load(source, start + k * grid.beside) if is_there else source.dtype.type(0)


@device
def _combined(coefficients, rows):  # type: ignore[no-untyped-def]
    """Σ_k coefficients[k] rows[k]: a row of L S."""
    zero = coefficients[0] - coefficients[0]
    total = (zero, zero, zero, zero, zero, zero, zero, zero)
    total = _plus_scaled(total, coefficients[0], rows[0])
    total = _plus_scaled(total, coefficients[1], rows[1])
    total = _plus_scaled(total, coefficients[2], rows[2])
    total = _plus_scaled(total, coefficients[3], rows[3])
    total = _plus_scaled(total, coefficients[4], rows[4])
    total = _plus_scaled(total, coefficients[5], rows[5])
    total = _plus_scaled(total, coefficients[6], rows[6])
    return _plus_scaled(total, coefficients[7], rows[7])


@device
def _plus_scaled(total, a, b):  # type: ignore[no-untyped-def]
    return tiles.plus_scaled(total, a, b) if a != 0 else total


@device
def _put(target, start, k, is_there, inside, grid, right, coefficients, pixels, first):  # type: ignore[no-untyped-def]
    """Writes row k of the result, where that is: (coefficients S) Rᵀ + first."""
    if is_there:
        start += k * grid.below
        row = _combined(coefficients, pixels)
        _put_one(target, start, 0, inside[0], grid, _dot(first, right[0], row))
        _put_one(target, start, 1, inside[1], grid, _dot(first, right[1], row))
        _put_one(target, start, 2, inside[2], grid, _dot(first, right[2], row))
        _put_one(target, start, 3, inside[3], grid, _dot(first, right[3], row))
        _put_one(target, start, 4, inside[4], grid, _dot(first, right[4], row))
        _put_one(target, start, 5, inside[5], grid, _dot(first, right[5], row))
        _put_one(target, start, 6, inside[6], grid, _dot(first, right[6], row))
        _put_one(target, start, 7, inside[7], grid, _dot(first, right[7], row))


@device
def _put_one(target, start, k, is_there, grid, number):  # type: ignore[no-untyped-def]
    if is_there:
        store(target, start + k * grid.beside, number)


@device
def _dot(total, coefficients, row):  # type: ignore[no-untyped-def]
    """total + coefficients · row."""
    total = _plus_product(total, coefficients[0], row[0])
    total = _plus_product(total, coefficients[1], row[1])
    total = _plus_product(total, coefficients[2], row[2])
    total = _plus_product(total, coefficients[3], row[3])
    total = _plus_product(total, coefficients[4], row[4])
    total = _plus_product(total, coefficients[5], row[5])
    total = _plus_product(total, coefficients[6], row[6])
    return _plus_product(total, coefficients[7], row[7])


@device
def _plus_product(total, a, b):  # type: ignore[no-untyped-def]
    return total + a * b if a != 0 else total
