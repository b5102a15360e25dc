"""Winograd's convolution on a GPU, for stride 1: the steps of ``reference``, each over all tiles at once.

All transforms are of one kind: L S Rᵀ for every tile S and channel. The products, one for each of a tile's points, are
one convolution with kernel 1 x 1 whose groups are the points: ``gemm.convolve``.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from ....devices.cuda import gemm
from ....devices.cuda.driver import driver
from ....devices.cuda.memory import empty
from ....devices.cuda.reduction import column_sums
from ....devices.cuda.runtime import bounded_kernel, check_size, cuda, device, divide, launch_blocks, load, store
from ....devices.cuda.simt_tiles import plus_scaled
from ....devices.cuda.unrolled import unrolled_loop, unrolled_sum, unrolled_tuple
from ....geometry import Pair, Window
from .choice import kept_bytes
from .matrices import MOST_POINTS, Tile

THREADS, BLOCKS = 128, 5
"""Threads of a block of a transform, and blocks that a multiprocessor should have room for: a thread may then have 96
registers, enough for 64 elements of float32 and the addresses. Of float64 a tile takes more, and one block must do."""


PARTS_OF_MEMORY = 32
"""The part of a GPU's memory that V of one convolution may take between forward and backward."""


class TileLayout(NamedTuple):
    """Strides, in elements, between images, tile rows, tiles, and the rows and columns of one tile.

    For images also their size, the rows and columns from one tile to the next, and the padding before the first tile.
    """

    image: int
    tile_row: int
    tile: int
    row: int
    column: int
    height: int
    width: int
    step_h: int = 0
    step_w: int = 0
    pad_top: int = 0
    pad_left: int = 0


class Tiles(NamedTuple):
    """Tiles in an array: flat elements and where they are."""

    elements: Any
    layout: TileLayout


def conv2d_forward(x: Any, w: Any, b: Any, window: Window, groups: int, tile: Tile) -> Any:
    """Schedule: one kernel after the other, each over all tiles: the transforms of x and w, a product for each point,
    the transform back."""
    out = empty((x.shape[0], *window.output_size(x.shape[1:3]), w.shape[3]), x.dtype)
    _convolve(x, w, b, window.before(x.shape[1:3]), groups, tile, out, keeps=_keeps_transforms(tile, x.shape, window))
    return out


def conv2d_backward_input(dout: Any, w: Any, x_shape: tuple[int, ...], window: Window, groups: int, tile: Tile) -> Any:
    """Schedule: the forward's, of dout, with the filters turned."""
    dx = empty(x_shape, dout.dtype)
    turned, before = gemm.turned(w, window.before(x_shape[1:3]), groups)
    _convolve(dout, turned, gemm.zeros(dx.shape[3], dx.dtype), before, groups, tile, dx)
    return dx


def conv2d_backward_params(dout: Any, x: Any, window: Window, groups: int, tile: Tile) -> tuple[Any, Any]:
    """Schedule: dw = Gᵀ [Vᵀ (A dout Aᵀ)] G, one kernel after the other; ``column_sums`` for the bias."""
    counts, filters = tile.counts(dout.shape[1:3]), dout.shape[3]
    dw = empty((*window.kernel, x.shape[3] // groups, filters), x.dtype)
    db = empty((filters,), x.dtype)
    before = window.before(x.shape[1:3])
    v = x.kept((before, counts, tile)) or _transformed_images(x, before, counts, tile)
    dm, du = empty((v.shape[0], 1, 1, tile.points * filters), x.dtype), empty(_u_shape(dw, tile), x.dtype)
    gradients = _in_images(dout, tile.m, (0, 0))
    _transform("a", tile, gradients, _by_tile(dm, counts, tile, filters), counts, x.shape[0], filters)
    gemm.correlate(dm, v, (1, 1), (0, 0), tile.points * groups, du)
    _transform("gt", tile, _by_tile(du, (1, 1), tile, filters), _in_filters(dw), (1, 1), dw.shape[2], filters)
    column_sums(dout, db)
    return dw, db


def _keeps_transforms(tile: Tile, x_shape: tuple[int, ...], window: Window) -> bool:
    """If V of the forward is kept for dw: if it takes at most a part of the GPU's memory."""
    return kept_bytes(tile, x_shape, window) <= driver().total_bytes // PARTS_OF_MEMORY


def _convolve(x: Any, w: Any, b: Any, before: Pair, groups: int, tile: Tile, out: Any, keeps: bool = False) -> None:
    """Writes to ``out`` the convolution of x with w, plus b. The first window begins ``before`` outside the images."""
    counts = tile.counts(out.shape[1:3])
    v, u = _transformed_images(x, before, counts, tile), _transformed_filters(w, tile)
    if keeps:
        x.keep((before, counts, tile), v)
    m = empty((v.shape[0], 1, 1, u.shape[3]), x.dtype)
    gemm.convolve(v, u, gemm.zeros(u.shape[3], x.dtype), (1, 1), (0, 0), tile.points * groups, m)
    products = _by_tile(m, counts, tile, w.shape[3])
    _transform("at", tile, products, _in_images(out, tile.m, (0, 0)), counts, x.shape[0], w.shape[3], b)


def _transformed_images(x: Any, before: Pair, counts: Pair, tile: Tile) -> Any:
    """V = Bᵀ x B as (tiles, 1, 1, points C)."""
    n, _, _, channels = x.shape
    v = empty((n * math.prod(counts), 1, 1, tile.points * channels), x.dtype)
    images = _in_images(x, tile.m, before)
    _transform("bt", tile, images, _by_tile(v, counts, tile, channels), counts, n, channels)
    return v


def _transformed_filters(w: Any, tile: Tile) -> Any:
    """U = G w Gᵀ as (1, 1, C, points F): each channel of the filters is treated as an image with F channels."""
    u = empty(_u_shape(w, tile), w.dtype)
    points = _by_tile(u, (1, 1), tile, w.shape[3])
    _transform("g", tile, _in_filters(w), points, (1, 1), w.shape[2], w.shape[3])
    return u


def _u_shape(w: Any, tile: Tile) -> tuple[int, ...]:
    return 1, 1, w.shape[2], tile.points * w.shape[3]


def _in_images(images: Any, step: Pair, before: Pair) -> Tiles:
    """Tiles that lie ``step`` apart in images (N, H, W, C)."""
    _, height, width, channels = images.shape
    row = width * channels
    strides = height * row, step[0] * row, step[1] * channels, row, channels
    return Tiles(images.reshape(images.size), TileLayout(*strides, height, width, *step, *before))


def _by_tile(array: Any, counts: Pair, tile: Tile, channels: int) -> Tiles:
    """Transformed tiles, one after the other, each with its points row by row."""
    size = tile.points * channels
    strides = math.prod(counts) * size, counts[1] * size, size, tile.n[1] * channels, channels
    return Tiles(array.reshape(array.size), TileLayout(*strides, *tile.n))


def _in_filters(w: Any) -> Tiles:
    """One tile for each channel of filters (KH, KW, C, F)."""
    kernel_h, kernel_w, channels, filters = w.shape
    row = channels * filters
    return Tiles(w.reshape(w.size), TileLayout(filters, 0, 0, kernel_w * row, row, kernel_h, kernel_w))


def _transform(
    name: str, tile: Tile, source: Tiles, target: Tiles, counts: Pair, n: int, channels: int, bias: Any = None
) -> None:
    """Applies the matrices of that name to n images with ``counts`` tiles each, and adds the bias."""
    check_size("a transformed array", max(source.elements.size, target.elements.size))
    dtype = source.elements.dtype
    bias = gemm.zeros(channels, dtype) if bias is None else bias
    count = n * math.prod(counts) * channels
    function, blocks = _transform_kernel(name, tile, dtype), -(-count // THREADS)
    if blocks:
        launch_blocks(function, (blocks,), THREADS, count, *source, bias, *target, counts, channels)


@functools.lru_cache(maxsize=256)
def _transform_kernel(name: str, tile: Tile, dtype: np.dtype) -> Any:
    """A kernel for L S Rᵀ + bias, with one thread for each tile S and channel.

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

    @bounded_kernel(THREADS, BLOCKS if dtype == np.float32 else 1)
    def transform(count, source, taken, bias, target, put, counts, channels):  # type: ignore[no-untyped-def]
        index = cuda.grid(1)
        if index >= count:
            return
        index, channel = divide(index, channels)
        index, x = divide(index, counts[1])
        n, y = divide(index, counts[0])
        top, first_column = y * taken.step_h - taken.pad_top, x * taken.step_w - taken.pad_left
        start = n * taken.image + y * taken.tile_row + x * taken.tile + channel
        start -= taken.pad_top * taken.row + taken.pad_left * taken.column
        inside = _all_inside(first_column, across, taken.width, source_is_whole)
        pixels = _load_rows(source, np.int32(start), top, down, inside, taken, source_is_whole)
        start = n * put.image + y * put.tile_row + x * put.tile + channel
        inside = _all_inside(x * put.step_w, columns, put.width, target_is_whole)
        store_rows(target, np.int32(start), y * put.step_h, inside, put, pixels, bias[channel])

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
