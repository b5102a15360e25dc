"""Tiles of several sizes on a GPU: an output of 13 pixels is covered by 5 + 4 + 4."""

from __future__ import annotations

import math

import numpy as np
import pytest
from backends import Backend

from tinyalexnet import to_device
from tinyalexnet.geometry import Window
from tinyalexnet.ops.conv2d import conv2d_backward_input, conv2d_backward_params, conv2d_forward
from tinyalexnet.ops.conv2d.winograd.choice import ABILITIES, SmallTiles, performed_multiply_adds
from tinyalexnet.ops.conv2d.winograd.matrices import Tile, cook_toom

pytestmark = pytest.mark.cuda

LARGE_AND_SMALL = {
    "both axes": ((2, 13, 13, 8), 12, 3, 1),
    "rows alone": ((2, 13, 10, 4), 8, (3, 3), 1),
    "groups": ((2, 13, 13, 16), 8, 3, 2),
    "columns of another kernel": ((1, 7, 13, 4), 4, (3, 5), 1),
    "a tile of columns": ((3, 13, 13, 72), 68, 3, 1),
}


@pytest.fixture
def small_tiles(monkeypatch):
    """Used for any number of tiles."""
    from tinyalexnet.ops.conv2d.winograd.cuda import tiling

    monkeypatch.setitem(ABILITIES, "cuda", ABILITIES["cuda"]._replace(small_tiles=SmallTiles(0, 1.0)))
    return tiling


@pytest.mark.parametrize(("m_h", "r_h", "m_w", "r_w"), [(5, 3, 5, 3), (4, 5, 5, 3), (2, 2, 6, 3)])
@pytest.mark.parametrize("size", [(13, 13), (7, 13), (5, 12), (11, 4), (1, 1), (27, 6)])
def test_the_tiles_of_each_point_are_neighbours(small_tiles, m_h, r_h, m_w, r_w, size):
    """Counted one by one: the tiles, in their order, that have a point are those of its range."""
    tile, n = Tile(cook_toom(m_h, r_h), cook_toom(m_w, r_w)), 3
    kinds = small_tiles._tiling(tile, n, size, 1, True).kinds
    of_each = [kind for kind in kinds for _ in range(math.prod(kind.counts))]
    assert len(of_each) == math.prod(tile.counts(size))
    assert sum(kind.tile.points for kind in of_each) == tile.points_of(size)
    ranges = small_tiles._ranges(tile, tile.counts(size), tile.large_counts(size), n)
    for (i, j), (begin, end) in zip(np.ndindex(*tile.n), ranges, strict=True):
        having = [at for at, kind in enumerate(of_each) if i < kind.tile.n[0] and j < kind.tile.n[1]]
        assert list(range(begin // n, end // n)) == having, (i, j)
    # Every output pixel belongs to one tile.
    covered = np.zeros((size[0] + m_h, size[1] + m_w), int)
    for kind in kinds:
        for y, x in np.ndindex(*kind.counts):
            top, left = kind.place[0] + y * kind.tile.m[0], kind.place[1] + x * kind.tile.m[1]
            covered[top : top + kind.tile.m[0], left : left + kind.tile.m[1]] += 1
    assert (covered[: size[0], : size[1]] == 1).all()


@pytest.mark.parametrize("case", LARGE_AND_SMALL.values(), ids=LARGE_AND_SMALL)
def test_large_and_small_tiles_are_the_convolution(small_tiles, rng, case):
    """The bound of the L2 error is that of ``test_winograd``."""
    x_shape, filters, kernel, groups = case
    window = Window(kernel, 1, "SAME")
    w_shape = *window.kernel, x_shape[3] // groups, filters
    x, w, b, dout = (
        rng.standard_normal(shape).astype(np.float32) for shape in (x_shape, w_shape, filters, (*x_shape[:3], filters))
    )
    found = {}
    for backend, algorithm in (("cuda", "winograd"), ("reference", "gemm")):
        run = Backend(backend)
        arrays = (x, w, b, dout) if backend == "cuda" else [array.astype(np.float64) for array in (x, w, b, dout)]
        images, weights, bias, gradient = arrays
        found[backend] = [
            run(conv2d_forward, images, weights, bias, window, groups, algorithm),
            run(conv2d_backward_input, gradient, weights, x_shape, window, groups, algorithm),
            *run(conv2d_backward_params, gradient, images, window, groups, algorithm),
        ]
    for got, expected in zip(found["cuda"], found["reference"], strict=True):
        assert np.linalg.norm(got - expected) <= 2e-5 * np.linalg.norm(expected)


def test_small_tiles_are_used_where_they_save_enough():
    """In conv3 to conv5 of AlexNet from 57 images on; in conv2 they would save 3 %."""
    from tinyalexnet.ops.conv2d.winograd.cuda.tiling import tiles_of

    array = to_device(np.zeros(4, np.float32))
    of_13, of_27 = Tile(cook_toom(5, 3), cook_toom(5, 3)), Tile(cook_toom(4, 5), cook_toom(4, 5))

    def kinds(tile, n, size, channels=192):
        return len(tiles_of(tile, n, (size, size), channels, 384, 1, array).kinds)

    assert kinds(of_13, 128, 13) == kinds(of_13, 57, 13) == 4
    assert kinds(of_13, 56, 13) == kinds(of_13, 128, 15) == kinds(of_27, 128, 27) == 1
    window = Window(3, 1, "SAME")
    for n, points in ((128, 19 * 19), (56, 21 * 21)):
        found = performed_multiply_adds(of_13, "cuda", (n, 13, 13, 192), 384, window, 1)
        assert found == n * points * 192 * 384
    # Three channels a group are not for tensor cores, and only these can leave rows out.
    assert kinds(of_13, 128, 13, channels=3) == 1
