"""What the memory of a kernel's own arrays held before does not matter, not even NaN."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from tinyalexnet.devices.cpu.compiler import most_threads, parallel
from tinyalexnet.geometry import Window
from tinyalexnet.ops.conv2d import conv2d_backward_input, conv2d_backward_params, conv2d_forward
from tinyalexnet.ops.conv2d.winograd import cpu
from tinyalexnet.ops.conv2d.winograd.matrices import MOST_POINTS, Tile, cook_toom
from tinyalexnet.ops.dense import dense_backward_input, dense_backward_params, dense_forward

pytestmark = pytest.mark.compiled


@parallel
def spoil(tasks, found):
    """Fills memory that each thread's next arrays will have with NaN."""
    for task in numba.prange(tasks):
        # Of the first one the C library learns that arrays of this size are not to be given back.
        for _ in range(3):
            found[task] = np.full(1 << 19, np.nan, np.float32)[0]


def assert_same_on_spoiled_memory(compute):
    expected = [array.copy() for array in compute()]
    for array in expected:
        assert np.isfinite(array).all()
    for _ in range(3):
        spoil(4 * most_threads(), np.zeros(4 * most_threads(), np.float32))
        for array, found in zip(expected, compute(), strict=True):
            assert found.tobytes() == array.tobytes()


def normals(rng, *shapes):
    return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]


@pytest.mark.parametrize("r", range(1, 6))
@pytest.mark.parametrize("m", range(1, 5))
def test_of_winograd(rng, m, r):
    """Tiles of every size, each with smaller ones beside it if it has several outputs: of one and two terms too."""
    tile = Tile(cook_toom(m, r), cook_toom(m, min(r, MOST_POINTS + 1 - m)))
    kernel, size = tile.r, (2 * m - (m > 1), 2 * m - (m > 1))
    window = Window(kernel, 1, "VALID")
    x_shape = (3, size[0] + kernel[0] - 1, size[1] + kernel[1] - 1, 5)
    x, w, b, dout = normals(rng, x_shape, (*kernel, 5, 20), 20, (3, *size, 20))

    def compute():
        out = cpu.conv2d_forward(x, w, b, window, 1, tile)
        dx = cpu.conv2d_backward_input(dout, w, x.shape, window, 1, tile)
        return out, dx, *cpu.conv2d_backward_params(dout, x, window, 1, tile)

    assert_same_on_spoiled_memory(compute)


@pytest.mark.parametrize(
    ("x_shape", "filters", "window"),
    [
        ((4, 12, 12, 3), 10, Window(5, 2, "SAME")),
        ((2, 8, 8, 40), 33, Window(3, 1, "SAME")),
        ((1, 6, 6, 128), 70, Window(3, 1, "VALID")),
        ((3, 14, 14, 1), 9, Window(5, 1, "SAME")),
    ],
    ids=["few channels", "im2col", "few windows", "grey"],
)
def test_of_matrix_products(rng, x_shape, filters, window):
    out_size = window.output_size(x_shape[1:3])
    w_shape, out_shape = (*window.kernel, x_shape[3], filters), (x_shape[0], *out_size, filters)
    x, w, b, dout = normals(rng, x_shape, w_shape, filters, out_shape)
    how = window, 1, "gemm"

    def compute():
        out = conv2d_forward(x, w, b, *how)
        return out, conv2d_backward_input(dout, w, x.shape, *how), *conv2d_backward_params(dout, x, *how)

    assert_same_on_spoiled_memory(compute)


@pytest.mark.parametrize("n", [1, 7, 20, 70])
def test_of_dense_layers(rng, n):
    x, w, b, dout = normals(rng, (n, 500), (500, 300), 300, (n, 300))

    def compute():
        return dense_forward(x, w, b), dense_backward_input(dout, w), *dense_backward_params(dout, x)

    assert_same_on_spoiled_memory(compute)
