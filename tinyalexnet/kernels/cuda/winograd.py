"""Winograd's convolution on a GPU, for stride 1: the steps of reference/winograd.py, each over all tiles at once.

All transforms are one function, ``_sandwich``: L S Rᵀ for every tile S and channel. The products, one for each of a
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
from .runtime import cuda, device, kernel, launch, to_device


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
    left, right, reach = _matrices(name, tile, source.dtype)
    bias = tiles.zeros(channels, source.dtype) if bias is None else bias
    flat = source.reshape(source.size), target.reshape(target.size)
    count = n * math.prod(counts) * left.shape[0] * channels
    launch(_sandwich, count, count, flat[0], taken, left, right, reach, bias, flat[1], put, counts, channels)


@functools.lru_cache(maxsize=256)
def _matrices(name: str, tile: Tile, dtype: np.dtype) -> tuple[Any, Any, int]:
    """L and R on the device, and how long the rows of R are, which are filled up with zeros to MOST_POINTS numbers."""
    left, right = getattr(tile, {"a": "at", "gt": "g"}.get(name, name))(dtype)
    if name in ("a", "gt"):
        left, right = left.T, right.T
    filled = np.zeros((right.shape[0], MOST_POINTS), dtype)
    filled[:, : right.shape[1]] = right
    return to_device(left), to_device(filled), right.shape[1]


@kernel
def _sandwich(count, source, taken, left, right, reach, bias, target, put, counts, channels):  # type: ignore[no-untyped-def]
    """L S Rᵀ + bias: a thread for each row of the result, each tile and each channel."""
    index = cuda.grid(1)
    if index >= count:
        return
    index, channel = divmod(index, channels)
    index, a = divmod(index, left.shape[0])
    index, across = divmod(index, counts[1])
    n, down = divmod(index, counts[0])
    h, i = down * taken.rows - taken.top, across * taken.columns - taken.left
    start = n * taken.image + down * taken.down + across * taken.across + channel
    start -= taken.top * taken.below + taken.left * taken.beside
    zero = source.dtype.type(0)
    row = (zero, zero, zero, zero, zero, zero, zero, zero)
    for k in range(left.shape[1]):
        if 0 <= h + k < taken.height:
            pixels = _eight(source, start + k * taken.below, taken.beside, i, reach, taken.width)
            row = tiles.plus_scaled(row, left[a, k], pixels)
    h, i = down * put.rows + a, across * put.columns
    start = n * put.image + down * put.down + across * put.across + a * put.below + channel
    if h < put.height:
        for k in range(right.shape[0]):
            if i + k < put.width:
                target[start + k * put.beside] = bias[channel] + _dot(right, k, row)


@device
def _eight(source, at, beside, i, reach, width):  # type: ignore[no-untyped-def]
    """Eight pixels in a row, ``beside`` apart; 0 past ``reach`` of them, and outside the image."""
    return (
        _one(source, at, i, 0, reach, width),
        _one(source, at + beside, i + 1, 1, reach, width),
        _one(source, at + 2 * beside, i + 2, 2, reach, width),
        _one(source, at + 3 * beside, i + 3, 3, reach, width),
        _one(source, at + 4 * beside, i + 4, 4, reach, width),
        _one(source, at + 5 * beside, i + 5, 5, reach, width),
        _one(source, at + 6 * beside, i + 6, 6, reach, width),
        _one(source, at + 7 * beside, i + 7, 7, reach, width),
    )


@device
def _one(source, at, i, k, reach, width):  # type: ignore[no-untyped-def]
    return source[at] if k < reach and 0 <= i < width else source.dtype.type(0)


@device
def _dot(matrix, k, row):  # type: ignore[no-untyped-def]
    return (
        matrix[k, 0] * row[0]
        + matrix[k, 1] * row[1]
        + matrix[k, 2] * row[2]
        + matrix[k, 3] * row[3]
        + matrix[k, 4] * row[4]
        + matrix[k, 5] * row[5]
        + matrix[k, 6] * row[6]
        + matrix[k, 7] * row[7]
    )
