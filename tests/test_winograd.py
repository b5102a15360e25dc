"""Winograd: exact matrices, the three passes against gemm and against each other, accuracy, and the choice."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from strategies import Case, cases
from tinyalexnet.kernels import load
from tinyalexnet.kernels.algorithm import winograd_tile
from tinyalexnet.kernels.cook_toom import MOST_POINTS, POINTS, Tile, cook_toom
from tinyalexnet.kernels.cpu import winograd as cpu_winograd

from conftest import JIT
from tinyalexnet import Conv2d, alexnet
from tinyalexnet.geometry import Window
from tinyalexnet.gradcheck import assert_gradients

BACKENDS = pytest.mark.parametrize("kernels", [load("reference"), load("cpu")], ids=["reference", "cpu"])
ALL = [(m, r) for r in range(1, MOST_POINTS + 1) for m in range(1, MOST_POINTS + 2 - r)]
# As plain Python the compiled passes take a second for a case of this size.
examples = settings(max_examples=100 if JIT else 8)


@pytest.mark.parametrize(("m", "r"), ALL)
def test_the_matrices_are_exact(m, r):
    """Of each input times each tap: the coefficient in each output, which is 1 where they belong together."""
    t = cook_toom(m, r)
    n = m + r - 1
    assert t.n == n <= MOST_POINTS
    for output in range(m):
        for i in range(n):
            for tap in range(r):
                product = sum((t.at[output][p] * t.g[p][tap] * t.bt[p][i] for p in range(n)), start=Fraction(0))
                assert product == (i == output + tap)


@pytest.mark.parametrize(("m", "r"), [(m, r) for m, r in ALL if m > 1])
def test_a_smaller_tile_has_the_first_points_and_their_rows_of_g(m, r):
    """So the same transformed filters serve tiles of both sizes; A agrees too, but for the last output."""
    large, smaller = cook_toom(m, r), cook_toom(m - 1, r)
    assert large.g[:-1] == smaller.g
    assert [row[1:-1] for row in large.at[:-1]] == [row[1:] for row in smaller.at]


def test_the_rows_of_g_are_of_size_one():
    """Powers of two keep U as large as w, within √2: multiplying by them is exact in floating point."""
    for m, r in ALL:
        for row in cook_toom(m, r).g:
            assert 1 / 2 <= sum(map(abs, row)) ** 2 <= 2


@pytest.mark.parametrize(("m", "r"), [(0, 3), (3, 0), (7, 3), (1, 9)])
def test_sizes_without_matrices_are_refused(m, r):
    with pytest.raises(ValueError, match=f"m and r are {m} and {r}, but must be at least 1"):
        cook_toom(m, r)


def test_points_are_distinct():
    assert len(set(POINTS)) == len(POINTS) == MOST_POINTS - 1


def passes(kernels, case, arrays, algorithm):
    x, w, b, dout = arrays
    assume(all(-(-k // s) <= MOST_POINTS for k, s in zip(case.window.kernel, case.window.stride, strict=True)))
    out = kernels.conv2d_forward(x, w, b, case.window, case.groups, algorithm)
    dx = kernels.conv2d_backward_input(dout, w, x.shape, case.window, case.groups, algorithm)
    return out, dx, *kernels.conv2d_backward_params(dout, x, case.window, case.groups, algorithm)


def close(found, expected, bound):
    """Relative L2 error within the bound; where the expected is 0, within it of 1."""
    size = np.linalg.norm(expected.ravel()) or 1.0
    assert np.linalg.norm((found - expected).ravel()) <= bound * size


SEVERAL_TASKS = Case(Window(3, 1, "SAME"), (5, 13, 12, 7), 70, 1, 1)
TWO_BLOCKS_EACH_WAY = Case(Window((3, 2), 1, "SAME"), (2, 9, 8, 66), 130, 1, 2)
GROUPS_OF_TWO_BLOCKS = Case(Window(3, 1, "SAME"), (2, 9, 8, 132), 140, 2, 6)
FIRST_LAYER = Case(Window(11, 4), (2, 35, 31, 3), 5, 1, 3)
STRIDED_PADDED = Case(Window((5, 4), (2, 3), ((1, 3), (2, 0))), (2, 17, 19, 30), 20, 2, 4)
UNREACHED_PIXELS = Case(Window(2, 5), (1, 9, 9, 2), 3, 1, 5)


@BACKENDS
@examples
@given(case=cases())
@example(case=SEVERAL_TASKS)
@example(case=TWO_BLOCKS_EACH_WAY)
@example(case=GROUPS_OF_TWO_BLOCKS)
@example(case=FIRST_LAYER)
@example(case=STRIDED_PADDED)
@example(case=UNREACHED_PIXELS)
def test_in_float64_it_is_the_convolution(kernels, case):
    """The transforms amplify rounding by some hundreds: 1e-12 is 2**13 units in the last place."""
    arrays = case.normals(np.float64)
    expected = passes(load("reference"), case, arrays, "gemm")
    for got, exact in zip(passes(kernels, case, arrays, "winograd"), expected, strict=True):
        assert got.shape == exact.shape
        assert got.flags.c_contiguous
        close(got, exact, 1e-12)


SCHEDULES = {
    "fused": {"LEAST_ROWS": 1},
    "fused, several chunks a task": {"LEAST_ROWS": 1, "LEAST_TASKS": 1, "CHUNK_BYTES": 2000},
    "in stages": {"LEAST_ROWS": 10**9},
    "in stages, strip by strip": {"LEAST_ROWS": 10**9, "HELD_BYTES": 1},
    "in parts": {"LEAST_TASKS": 3, "PART_CHUNKS": 1, "SMALL_PRODUCT": 1, "CHUNK_BYTES": 10**9},
}


@pytest.mark.parametrize("sizes", SCHEDULES.values(), ids=SCHEDULES)
@examples
@given(case=cases())
@example(case=SEVERAL_TASKS)
@example(case=TWO_BLOCKS_EACH_WAY)
@example(case=GROUPS_OF_TWO_BLOCKS)
def test_every_schedule_of_cpu_is_the_convolution(sizes, case):
    """Which one a case takes by itself depends on its size."""
    with pytest.MonkeyPatch.context() as patch:
        for name, size in sizes.items():
            patch.setattr(cpu_winograd, name, size)
        arrays = case.normals(np.float64)
        expected = passes(load("reference"), case, arrays, "gemm")
        for got, exact in zip(passes(load("cpu"), case, arrays, "winograd"), expected, strict=True):
            close(got, exact, 1e-12)


@BACKENDS
@examples
@given(case=cases())
@example(case=SEVERAL_TASKS)
def test_in_float32_the_error_is_within_2e_5(kernels, case):
    """oneDNN's bound for its own Winograd, against a direct convolution in float64."""
    arrays = case.normals(np.float32)
    expected = passes(load("reference"), case, [a.astype(np.float64) for a in arrays], "gemm")
    x, w, _, dout = (np.abs(a.astype(np.float64)) for a in arrays)
    # Where terms cancel no bound relative to the result can hold: it is relative to the result without cancellation.
    sizes = passes(load("reference"), case, [x, w, np.abs(arrays[2]).astype(np.float64), dout], "gemm")
    for got, exact, size in zip(passes(kernels, case, arrays, "winograd"), expected, sizes, strict=True):
        assert got.dtype == np.float32
        assert np.linalg.norm((got - exact).ravel()) <= 2e-5 * np.linalg.norm(size.ravel())


@BACKENDS
@examples
@given(case=cases())
def test_backward_is_the_adjoint_of_forward(kernels, case):
    x, w, b, dout = case.normals(np.float64)
    out, dx, dw, db = passes(kernels, case, (x, w, np.zeros_like(b), dout), "winograd")
    scale = np.linalg.norm(x.ravel()) * np.linalg.norm(w.ravel()) * np.linalg.norm(dout.ravel())
    assert abs(np.sum(dout * out) - np.sum(x * dx)) <= 1e-12 * scale
    assert abs(np.sum(dout * out) - np.sum(w * dw)) <= 1e-12 * scale
    np.testing.assert_allclose(np.sum(b * db), np.sum(dout * b), rtol=1e-11, atol=1e-11)


def test_gradients_of_the_layer(backend, rng):
    conv = Conv2d(3, 4, 3, 1, "SAME", backend=backend, dtype=np.float64, rng=rng, algorithm="winograd")
    conv.params["b"][...] = rng.standard_normal(4)
    assert_gradients(conv, rng.standard_normal((2, 7, 6, 3)), step=1, tolerance=1e-11)


@BACKENDS
def test_nan_reaches_its_tile_and_no_other_image(kernels):
    case = Case(Window(3, 1, "SAME"), (2, 9, 9, 2), 3, 1, 6)
    x, w, b, _ = case.normals(np.float32)
    x[0, 4, 4, 0] = np.nan
    out = kernels.conv2d_forward(x, w, b, case.window, 1, "winograd")
    assert np.isnan(out[0, 3:6, 3:6]).all()
    assert np.isfinite(out[1]).all()


# --- the choice ------------------------------------------------------------------------------------------------------

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
CONV3 = (128, 13, 13, 192), (3, 3, 192, 384), Window(3, 1, "SAME")


@pytest.mark.parametrize("n", [10, 128, 512])
def test_auto_takes_winograd_for_every_layer_of_alexnet(n):
    net, shape = alexnet(backend="reference"), (n, 227, 227, 3)
    tiles = {}
    for name, layer in net:
        if isinstance(layer, Conv2d):
            tile = winograd_tile("auto", shape, layer.params["w"].shape, layer.window, F32)
            tiles[name] = tile and (tile.m, tile.r)
        shape = layer.output_shape(shape)
    three = ((5, 5), (3, 3))
    assert tiles == {"conv1": three, "conv2": ((4, 4), (5, 5)), "conv3": three, "conv4": three, "conv5": three}


def test_auto_falls_back_to_gemm():
    assert winograd_tile("auto", *CONV3, F32).m == (5, 5)
    assert winograd_tile("gemm", *CONV3, F32) is None
    assert winograd_tile("auto", *CONV3, F64) is None
    assert winograd_tile("winograd", *CONV3, F64).m == (5, 5)
    # One tap leaves nothing to save, three channels leave little, and nine taps have no tile.
    assert winograd_tile("auto", (128, 13, 13, 192), (1, 1, 192, 384), Window(1), F32) is None
    assert winograd_tile("auto", (128, 13, 13, 3), (3, 3, 3, 4), Window(3), F32) is None
    assert winograd_tile("auto", (128, 33, 33, 192), (9, 9, 192, 384), Window(9), F32) is None


def test_what_the_choice_refuses():
    with pytest.raises(ValueError, match="algorithm is 'fft', but must be one of 'auto', 'gemm', 'winograd'"):
        winograd_tile("fft", *CONV3, F32)
    with pytest.raises(ValueError, match=r"algorithm is 'winograd', but .* kernel_size of at most 8 strides"):
        winograd_tile("winograd", (1, 33, 33, 1), (9, 9, 1, 1), Window(9), F32)
    with pytest.raises(ValueError, match="algorithm is 'fft', but must be one of"):
        Conv2d(1, 1, 3, algorithm="fft")


def test_a_tile_counts():
    tile = Tile(cook_toom(5, 3), cook_toom(4, 5))
    assert (tile.m, tile.r, tile.n, tile.points) == ((5, 4), (3, 5), (7, 8), 56)
    assert tile.counts((13, 13)) == (3, 4)
    assert tile.large_counts((13, 13)) == (1, 1)  # 5 + 4 + 4 and 4 + 3 + 3 + 3
    assert tile.points_of((13, 13)) == (7 + 6 + 6) * (8 + 7 + 7 + 7)
    assert tile.smaller == Tile(cook_toom(4, 3), cook_toom(3, 5))
    assert (tile.counts((10, 2)), tile.large_counts((10, 2))) == ((2, 1), (2, 0))


@pytest.mark.parametrize(("m", "r"), ALL)
def test_the_sum_point_adds_up_and_is_added(m, r):
    tile = Tile(cook_toom(m, r), cook_toom(1, 1))
    assert all(outputs[tile.sum_point] == 1 for outputs in tile.height.at)
