"""Which tiles cover an output on a GPU, and where they lie in the transformed arrays.

An output of 13 pixels takes three tiles of 5, or one of 5 and two of 4, which have a point less: 13 = 5 + 4 + 4. So
along each axis the first tiles are large and the others small, and there are up to four kinds of tiles. Transformed
arrays have a place for all points of each tile. A small tile leaves the places of its last points empty, and the
product of such a point must leave these tiles out. So the tiles lie in an order in which those of each point are
neighbours: small and large, large and large, large and small, small and small (rows and columns). One image's tile lies
beside the same tile of the next image.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from .....devices.cuda import gemm
from .....devices.cuda.memory import to_device
from .....geometry import Pair
from ..choice import has_small_tiles
from ..matrices import Tile, cook_toom


class Kind(NamedTuple):
    """Tiles of one size: the first one's ``place`` in the output, in pixels, their ``counts`` (down, across), and how
    many tiles of an image lie before them."""

    tile: Tile
    place: Pair
    counts: Pair
    before: int


class Tiling(NamedTuple):
    """All tiles of a batch of ``n`` images: their kinds, how many an image has, and the ``ranges`` of each point, or
    None if all tiles have all points."""

    tile: Tile
    n: int
    kinds: tuple[Kind, ...]
    per_image: int
    ranges: Any

    @property
    def key(self) -> Any:
        """What distinguishes it from the others on the same images."""
        return self.tile, self.n, self.per_image, len(self.kinds)


def tiles_of(tile: Tile, n: int, out_size: Pair, channels: int, filters: int, groups: int, array: Any) -> Tiling:
    """The tiles for a convolution; ``array`` is x or dout. Small ones need tensor cores: only these know ranges."""
    small = has_small_tiles(tile, "cuda", n, out_size)
    if small:
        sizes = channels * tile.points, filters * tile.points, (1, 1), groups * tile.points
        small = gemm.uses_tensor_cores(array.dtype, *sizes)
    return _tiling(tile, n, out_size, groups, small)


@functools.cache  # for good: a captured graph reads the ranges
def _tiling(tile: Tile, n: int, out_size: Pair, groups: int, has_small: bool) -> Tiling:
    tiles = tile.counts(out_size)
    count = math.prod(tiles)
    if not has_small:
        return Tiling(tile, n, (Kind(tile, (0, 0), tiles, 0),), count, None)
    large = tile.large_counts(out_size)
    kinds, before = [], 0
    for large_h, large_w in ((False, True), (True, True), (True, False), (False, False)):
        sides = [
            (axis, 0, many) if is_large else (cook_toom(axis.m - 1, axis.r), many * axis.m, all_tiles - many)
            for is_large, axis, many, all_tiles in zip(
                (large_h, large_w), (tile.height, tile.width), large, tiles, strict=True
            )
        ]
        (height, top, down), (width, left, across) = sides
        if down and across:
            kinds.append(Kind(Tile(height, width), (top, left), (down, across), before))
            before += down * across
    ranges = _ranges(tile, tiles, large, n)
    return Tiling(tile, n, tuple(kinds), count, to_device(np.repeat(ranges, groups, axis=0).ravel()))


def _ranges(tile: Tile, tiles: Pair, large: Pair, n: int) -> np.ndarray:
    """Begin and end of the rows of each point, in the order of the kinds: (points, 2)."""
    small_large, both, large_small = (
        (tiles[0] - large[0]) * large[1],
        large[0] * large[1],
        large[0] * (tiles[1] - large[1]),
    )
    i, j = np.divmod(np.arange(tile.points), tile.n[1])
    in_large_rows, in_large_columns = i == tile.n[0] - 1, j == tile.n[1] - 1
    begin = np.where(in_large_rows, small_large, 0)
    end = np.where(
        in_large_columns,
        small_large + both,
        np.where(in_large_rows, small_large + both + large_small, tiles[0] * tiles[1]),
    )
    return (n * np.stack([begin, end], 1)).astype(np.int32)
