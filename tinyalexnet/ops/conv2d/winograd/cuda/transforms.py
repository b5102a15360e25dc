"""The transforms of Winograd's convolution on a GPU. All are of one kind: L S Rᵀ for every tile S and channel."""

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from .....devices.cuda import gemm
from .....devices.cuda.runtime import bounded_kernel, check_size, cuda, device, divide, launch_blocks, load, store
from .....devices.cuda.simt_tiles import plus_scaled
from .....devices.cuda.unrolled import one_of, unrolled_loop, unrolled_sum, unrolled_tuple
from .....geometry import Pair
from ..matrices import MOST_POINTS, Tile
from .tiling import Kind, Tiling

THREADS, BLOCKS = 128, 5
"""Threads of a block of a transform, and blocks that a multiprocessor should have room for: a thread may then have 96
registers, enough for 64 elements of float32 and the addresses. Of float64 a tile takes more, and one block must do."""


class Layout(NamedTuple):
    """Where tiles lie: the first one, and the strides between images, tile rows, tiles, and the rows and columns of one
    tile, in elements.

    For images also their size, and the row and the column of the first tile, which may be outside, and from one to the
    next.
    """

    first: int
    image: int
    tile_row: int
    tile: int
    row: int
    column: int
    height: int
    width: int
    top: int = 0
    left: int = 0
    step_h: int = 0
    step_w: int = 0


class Images(NamedTuple):
    """Tiles in images of a shape (N, H, W, C). The first one of all begins ``before`` rows and columns outside."""

    shape: tuple[int, ...]
    before: Pair = (0, 0)

    def layout(self, kind: Kind) -> Layout:
        """Where the tiles of a kind lie."""
        _, height, width, channels = self.shape
        (step_h, step_w), row = kind.tile.m, width * channels
        top, left = (place - outside for place, outside in zip(kind.place, self.before, strict=True))
        strides = height * row, step_h * row, step_w * channels, row, channels
        return Layout(top * row + left * channels, *strides, height, width, top, left, step_h, step_w)


class Points(NamedTuple):
    """Transformed tiles, in an array (tiles N, points C): each with its points row by row."""

    tiles: Tiling
    channels: int

    def layout(self, kind: Kind) -> Layout:
        """Where the tiles of a kind lie. Small ones lie as large ones, with a gap."""
        size = self.tiles.tile.points * self.channels
        tile = self.tiles.n * size
        strides = size, kind.counts[1] * tile, tile, self.tiles.tile.n[1] * self.channels, self.channels
        return Layout(kind.before * tile, *strides, *kind.tile.n)


class Filters(NamedTuple):
    """Filters of a shape (KH, KW, C, F): one tile for each channel, as if the channels were images with F channels."""

    shape: tuple[int, ...]

    def layout(self, kind: Kind) -> Layout:
        """Where the only tile of each channel lies."""
        kernel_h, kernel_w, channels, filters = self.shape
        row = channels * filters
        return Layout(0, filters, 0, 0, kernel_w * row, row, kernel_h, kernel_w)


Place = Images | Points | Filters


def transform(
    name: str, tiles: Tiling, source: Any, taken: Place, target: Any, put: Place, channels: int, bias: Any = None
) -> None:
    """Applies the matrices of that name to all tiles of ``source``, and adds the bias.

    Schedule: one launch; the blocks along the second axis of the grid have one kind of tiles each.
    """
    check_size("a transformed array", max(source.size, target.size))
    bias = gemm.zeros(channels, source.dtype) if bias is None else bias
    function, blocks, own = _launch_of(name, tiles, taken, put, channels, source.dtype)
    if blocks[0]:
        launch_blocks(function, blocks, THREADS, source.flat(), bias, target.flat(), channels, *own)


@functools.lru_cache(maxsize=256)
def _launch_of(
    name: str, tiles: Tiling, taken: Place, put: Place, channels: int, dtype: np.dtype
) -> tuple[Any, Pair, list[Any]]:
    """The kernel of a transform, its blocks, and the arguments of each kind of tiles: each step asks for the same."""
    counts = [tiles.n * math.prod(kind.counts) * channels for kind in tiles.kinds]
    own: list[Any] = []
    for kind, count in zip(tiles.kinds, counts, strict=True):
        own += count, kind.counts, taken.layout(kind), put.layout(kind)
    function = _transform_kernel(name, tuple(kind.tile for kind in tiles.kinds), dtype)
    return function, (-(-max(counts) // THREADS), len(counts)), own


@functools.lru_cache(maxsize=256)
def _transform_kernel(name: str, tiles: tuple[Tile, ...], dtype: np.dtype) -> Any:
    """The kernel for kinds of tiles."""
    bodies = tuple(_transform_of_kind(name, tile, dtype) for tile in tiles)
    shared, own = "source, bias, target, channels", "count, counts, taken, put"
    function = one_of(bodies, shared, own, "transform", __name__)
    return bounded_kernel(THREADS, BLOCKS if dtype == np.float32 else 1)(function)


def _transform_of_kind(name: str, tile: Tile, dtype: np.dtype) -> Any:
    """A device function for L S Rᵀ + bias, with one thread for each tile S and channel.

    S is in registers, and the elements of L and R are constants in the instructions: those that are 0 cost nothing.
    Only tiles of images may be partly outside. The others need no checks, so that all their loads are on their way at
    once.
    """
    source_is_whole, target_is_whole = name not in ("bt", "a"), name != "at"
    left, right = getattr(tile, {"a": "at", "gt": "g"}.get(name, name))(dtype)
    if name in ("a", "gt"):
        left, right = left.T, right.T
    (rows, down), (columns, across) = left.shape, right.shape
    left, right = _filled(left), _filled(right)
    store_rows = unrolled_loop(
        MOST_POINTS,
        "target, start, top, inside, layout, pixels, bias",
        "store_row(target, int32(start + {k} * layout.row), is_inside(top, {k}, rows, layout.height, is_whole), inside,"
        " layout, right, left[{k}], pixels, bias)",
        store_row=_store_row,
        is_inside=_is_inside,
        int32=np.int32,
        is_whole=target_is_whole,
        rows=rows,
        left=left,
        right=right,
    )

    @device
    def transform(source, bias, target, channels, count, counts, taken, put):  # type: ignore[no-untyped-def]
        index = cuda.grid(1)
        if index >= count:
            return
        index, channel = divide(index, channels)
        index, x = divide(index, counts[1])
        n, y = divide(index, counts[0])
        top = y * taken.step_h + taken.top
        start = taken.first + n * taken.image + y * taken.tile_row + x * taken.tile + channel
        inside = _all_inside(x * taken.step_w + taken.left, across, taken.width, source_is_whole)
        pixels = _load_rows(source, np.int32(start), top, down, inside, taken, source_is_whole)
        start = put.first + n * put.image + y * put.tile_row + x * put.tile + channel
        inside = _all_inside(x * put.step_w + put.left, columns, put.width, target_is_whole)
        store_rows(target, np.int32(start), y * put.step_h + put.top, inside, put, pixels, bias[channel])

    return transform


def _filled(matrix: np.ndarray) -> tuple[tuple[np.floating, ...], ...]:
    """A matrix filled up with zeros to MOST_POINTS rows and columns, so that one code serves all sizes."""
    filled = np.zeros((MOST_POINTS, MOST_POINTS), matrix.dtype)
    filled[: matrix.shape[0], : matrix.shape[1]] = matrix
    return tuple(map(tuple, filled))


@device
def _is_inside(start, k, size, length, is_whole):  # type: ignore[no-untyped-def]
    """If row or column k of a tile of that ``size`` exists and is in the image, as all are if the tile is whole."""
    return k < size and (is_whole or np.uint32(start + k) < np.uint32(length))


_all_inside = unrolled_tuple(
    MOST_POINTS, "start, size, length, is_whole", "is_inside(start, {k}, size, length, is_whole)", is_inside=_is_inside
)


@device
def _load_pixel(source, at, exists):  # type: ignore[no-untyped-def]
    return load(source, at) if exists else source.dtype.type(0)


# int32: Numba adds in 64 bits, which takes two instructions, unless each sum is cut to 32 at once.
_load_row = unrolled_tuple(
    MOST_POINTS,
    "source, start, exists, inside, layout",
    "load_pixel(source, int32(start + int32({k} * layout.column)), exists & inside[{k}])",
    load_pixel=_load_pixel,
    int32=np.int32,
)

_load_rows = unrolled_tuple(
    MOST_POINTS,
    "source, start, top, rows, inside, layout, is_whole",
    "load_row(source, int32(start + {k} * layout.row), is_inside(top, {k}, rows, layout.height, is_whole), inside,"
    " layout)",
    load_row=_load_row,
    is_inside=_is_inside,
    int32=np.int32,
)


@device
def _plus_scaled(total, a, b):  # type: ignore[no-untyped-def]
    return plus_scaled(total, a, b) if a != 0 else total


_plus_rows = unrolled_sum(
    MOST_POINTS, "total, coefficients, rows", "plus(total, coefficients[{k}], rows[{k}])", plus=_plus_scaled
)


@device
def _combined(coefficients, rows):  # type: ignore[no-untyped-def]
    """Σ_k coefficients[k] rows[k]: a row of L S."""
    zero = coefficients[0] - coefficients[0]
    return _plus_rows((zero, zero, zero, zero, zero, zero, zero, zero), coefficients, rows)


@device
def _plus_product(total, a, b):  # type: ignore[no-untyped-def]
    return total + a * b if a != 0 else total


_dot = unrolled_sum(
    MOST_POINTS, "total, coefficients, row", "plus(total, coefficients[{k}], row[{k}])", plus=_plus_product
)


@device
def _store_pixel(target, at, exists, element):  # type: ignore[no-untyped-def]
    if exists:
        store(target, at, element)


_store_pixels = unrolled_loop(
    MOST_POINTS,
    "target, start, inside, layout, right, row, bias",
    "store_pixel(target, int32(start + int32({k} * layout.column)), inside[{k}], dot(bias, right[{k}], row))",
    store_pixel=_store_pixel,
    dot=_dot,
    int32=np.int32,
)


@device
def _store_row(target, start, exists, inside, layout, right, coefficients, pixels, bias):  # type: ignore[no-untyped-def]
    """Writes a row of the result if it exists: (coefficients S) Rᵀ + bias."""
    if exists:
        _store_pixels(target, start, inside, layout, right, _combined(coefficients, pixels), bias)
