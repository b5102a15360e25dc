"""Winograd's convolution on a GPU, for stride 1: the steps of ``reference``, each over all tiles at once.

The products, one for each of a tile's points, are one convolution with kernel 1 x 1 whose groups are the points:
``gemm.convolve``.
"""

import functools
from typing import Any

from .....devices.cuda import gemm
from .....devices.cuda.driver import driver
from .....devices.cuda.memory import empty
from .....devices.cuda.reduction import column_sums
from .....geometry import Pair, Window
from ..choice import kept_bytes
from ..matrices import Tile
from .tiling import Kind, Tiling, tiles_of
from .transforms import Filters, Images, Points, transform

PARTS_OF_MEMORY = 32
"""The part of a GPU's memory that V of one convolution may take between forward and backward."""


def conv2d_forward(x: Any, w: Any, b: Any, window: Window, groups: int, tile: Tile) -> Any:
    """Schedule: one kernel after the other, each over all tiles: the transforms of x and w, a product for each point,
    the transform back. V is kept for dw, if it takes at most a part of the GPU's memory."""
    out = empty((x.shape[0], *window.output_size(x.shape[1:3]), w.shape[3]), x.dtype)
    keeps = kept_bytes(tile, x.shape, window) <= driver().total_bytes // PARTS_OF_MEMORY
    _convolve(x, w, b, window.before(x.shape[1:3]), groups, tile, out, keeps)
    return out


def conv2d_backward_input(dout: Any, w: Any, x_shape: tuple[int, ...], window: Window, groups: int, tile: Tile) -> Any:
    """Schedule: the forward's, of dout, with the filters turned."""
    dx = empty(x_shape, dout.dtype)
    turned, before = gemm.turned(w, window.before(x_shape[1:3]), groups)
    _convolve(dout, turned, gemm.zeros(dx.shape[3], dx.dtype), before, groups, tile, dx, keeps=False)
    return dx


def conv2d_backward_params(dout: Any, x: Any, window: Window, groups: int, tile: Tile) -> tuple[Any, Any]:
    """Schedule: dw = Gᵀ [Vᵀ (A dout Aᵀ)] G, one kernel after the other. A adds up all outputs of a tile at one of its
    points: ``column_sums`` of that point, over all tiles, are the gradient of the bias."""
    n, _, _, channels = x.shape
    filters, before = dout.shape[3], window.before(x.shape[1:3])
    tiles = tiles_of(tile, n, dout.shape[1:3], channels, filters, groups, x)
    dw, db = empty((*window.kernel, channels // groups, filters), x.dtype), empty((filters,), x.dtype)
    v = x.kept((before, tiles.key)) or _transformed_images(x, before, tiles)
    dm, du = empty((v.shape[0], 1, 1, tile.points * filters), x.dtype), empty(_u_shape(dw, tile), x.dtype)
    transform("a", tiles, dout, Images(dout.shape), dm, Points(tiles, filters), filters)
    gemm.correlate(dm, v, (1, 1), (0, 0), tile.points * groups, du, tiles.ranges)
    of_filters = _for_filters(tile, dw.shape[2])
    transform("gt", of_filters, du, Points(of_filters, filters), dw, Filters(dw.shape), filters)
    column_sums(dm, db, tile.sum_point * filters)
    return dw, db


def _convolve(x: Any, w: Any, b: Any, before: Pair, groups: int, tile: Tile, out: Any, keeps: bool) -> None:
    """Writes to ``out`` the convolution of x with w, plus b. The first window begins ``before`` outside the images."""
    filters = w.shape[3]
    tiles = tiles_of(tile, x.shape[0], out.shape[1:3], x.shape[3], filters, groups, x)
    v = _transformed_images(x, before, tiles)
    if keeps:
        x.keep((before, tiles.key), v)
    # U = G w Gᵀ as (1, 1, C, points F).
    u, of_filters = empty(_u_shape(w, tile), w.dtype), _for_filters(tile, w.shape[2])
    transform("g", of_filters, w, Filters(w.shape), u, Points(of_filters, filters), filters)
    m = empty((v.shape[0], 1, 1, u.shape[3]), x.dtype)
    bias = gemm.zeros(u.shape[3], x.dtype)
    gemm.convolve(v, u, bias, (1, 1), (0, 0), tile.points * groups, m, ranges=tiles.ranges)
    transform("at", tiles, m, Points(tiles, filters), out, Images(out.shape), filters, b)


def _transformed_images(x: Any, before: Pair, tiles: Tiling) -> Any:
    """V = Bᵀ x B as (tiles, 1, 1, points C)."""
    channels = x.shape[3]
    v = empty((tiles.n * tiles.per_image, 1, 1, tiles.tile.points * channels), x.dtype)
    transform("bt", tiles, x, Images(x.shape, before), v, Points(tiles, channels), channels)
    return v


@functools.lru_cache(maxsize=256)
def _for_filters(tile: Tile, channels: int) -> Tiling:
    """One tile for each channel of the filters."""
    return Tiling(tile, channels, (Kind(tile, (0, 0), (1, 1), 0),), 1, None)


def _u_shape(w: Any, tile: Tile) -> tuple[int, ...]:
    return 1, 1, w.shape[2], tile.points * w.shape[3]
