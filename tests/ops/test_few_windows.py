"""Which im2col schedule a convolution has on "cpu", and that each of them is the convolution."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from backends import Backend, fewer
from hypothesis import example, given
from strategies import Case, cases

from tinyalexnet import Conv2d
from tinyalexnet.geometry import Window
from tinyalexnet.ops.conv2d import conv2d_backward_input, conv2d_backward_params, conv2d_forward, cpu, cpu_few
from tinyalexnet.ops.conv2d.winograd.choice import FEW_BYTES, choose_tile, has_few_windows

examples = fewer(compiled=0.5, otherwise=0.3)
# More filters and windows than a product has, and more channels than a step; 5 images for a backward of several tasks.
SEVERAL_OF_ALL = Case(Window(3, 1, "SAME"), (5, 9, 8, 20), 70, 1, 1)
SEVERAL_BLOCKS = Case(Window((3, 2), 1, ((2, 0), (1, 1))), (2, 23, 23, 4), 6, 2, 2)
STRIDES = Case(Window(3, (2, 1), 1), (3, 11, 7, 3), 5, 1, 3)


def passes(case, arrays, name="cpu"):
    run, last = Backend(name), (case.window, case.groups, "gemm")
    x, w, b, dout = arrays
    out, dx = run(conv2d_forward, x, w, b, *last), run(conv2d_backward_input, dout, w, x.shape, *last)
    return out, dx, *run(conv2d_backward_params, dout, x, *last)


@pytest.mark.parametrize("few", [False, True], ids=["blocks", "few"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@examples
@given(case=cases())
@example(case=SEVERAL_OF_ALL)
@example(case=SEVERAL_BLOCKS)
@example(case=STRIDES)
def test_each_schedule_is_the_convolution_to_the_last_bit_on_integers(dtype, few, case):
    arrays = case.integers(dtype)
    with mock.patch.object(cpu, "has_few_windows", return_value=few):
        found = passes(case, arrays)
    for got, exact in zip(found, passes(case, arrays, "reference"), strict=True):
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, exact)


@pytest.mark.parametrize(("stride", "results"), [(1, 3), ((1, 2), 2), ((2, 1), 2)])
def test_each_group_asks_with_its_own_sizes(stride, results):
    """Rows and columns of an im2col matrix: of the images for out and dw; at stride 1 of dout, for dx."""
    case = Case(Window((2, 3), stride, "SAME"), (2, 5, 8, 4), 6, 2, 1)
    out, dx, depth = (2, *case.out_size, 3), ((2, 5, 8, 2), 2 * 3 * 3), 2 * 3 * 2
    with mock.patch.object(cpu, "has_few_windows", return_value=False) as asked:
        passes(case, case.integers())
    asked_for = [(out, depth)] * 2 + [dx] * 2 * (results - 2) + [(out, depth)] * 2
    assert [call.args for call in asked.call_args_list] == asked_for


def test_an_example_has_several_of_all():
    windows, depth = 5 * 9 * 8, 9 * 20
    assert SEVERAL_OF_ALL.filters > cpu_few.FILTERS
    assert depth > cpu_few.DEPTH
    assert SEVERAL_OF_ALL.x_shape[3] > cpu_few.LANES
    assert windows > 2 * cpu_few.MOST_ROWS
    assert cpu_few.slices_of_windows(windows, 70) == 4 > windows / cpu_few.MOST_ROWS  # 8 tasks with 2 blocks of filters


@pytest.mark.parametrize(
    ("windows", "filters", "slices"),
    [(169, 384, 2), (169, 512, 2), (169, 64, 3), (16, 32, 1), (960, 600, 6), (961, 600, 7), (100, 64, 2), (95, 64, 1)],
)
def test_windows_are_cut_for_eight_tasks_but_no_finer_than_48(windows, filters, slices):
    assert cpu_few.slices_of_windows(windows, filters) == slices


@pytest.mark.parametrize(("rows", "slices"), [(9, 9), (16, 16), (25, 16), (2560, 16), (2561, 17), (3456, 22)])
def test_dw_is_cut_for_sixteen_tasks_of_at_most_160_rows(rows, slices):
    assert cpu_few.slices_of_dw(rows) == slices


def test_few_windows_are_at_most_800_of_an_im2col_matrix_of_5_mb():
    assert has_few_windows((2, 20, 16, 64), FEW_BYTES // (4 * 640))
    assert not has_few_windows((2, 20, 16, 64), FEW_BYTES // (4 * 640) + 1)
    assert has_few_windows((2, 20, 20, 64), 512)
    assert not has_few_windows((1, 801, 1, 64), 512)


def test_few_windows_have_128_kb_of_weights():
    assert has_few_windows((2, 3, 4, 64), 512)
    assert not has_few_windows((2, 3, 4, 64), 511)


CONV3 = (13, 13, 192), 384, Window(3, 1, "SAME"), 1, np.dtype(np.float32)
MNIST = (14, 14, 32), 64, Window(5, 1, "SAME"), 1, np.dtype(np.float32)


@pytest.mark.parametrize(
    ("layer", "batch", "results"),
    [(CONV3, 1, {"out", "dw"}), (CONV3, 2, set()), (MNIST, 1, {"out", "dw", "dx"}), (MNIST, 2, {"out", "dw"})],
)
def test_auto_takes_im2col_for_the_passes_of_few_images_where_it_was_faster(layer, batch, results):
    (size, *rest), float64 = layer, (*layer[1:-1], np.dtype(np.float64))
    names = "out", "dw", "dx"
    assert {name for name in names if choose_tile("auto", "cpu", (batch, *size), *rest, result=name) is None} == results
    assert all(choose_tile("auto", "cuda", (batch, *size), *rest, result=name) for name in names)
    assert choose_tile("auto", "cpu", (batch, *size), *float64) is None


def test_the_layer_knows_which_algorithm_computes_each_array(rng):
    """conv3 of one image: its output is a plain sum, dx comes from tiles."""
    conv = Conv2d(192, 384, 3, 1, "SAME", rng=rng)
    assert conv.cost((1, 13, 13, 192)).algorithm == "gemm"
    assert conv._tile((1, 13, 13, 192), "dx").m == (2, 2)
    x = rng.standard_normal((1, 13, 13, 192), dtype=np.float32)
    dout = rng.standard_normal((1, 13, 13, 384), dtype=np.float32)
    conv.forward(x)
    arrays = {"x": x, "dout": dout, "dx": conv.backward(dout), "w": conv.params["w"], "b": conv.params["b"]}
    assert conv.terms("out", (0, 1, 2, 3), {**arrays, "out": conv.forward(x)}).bounded
    assert not conv.terms("dx", (0, 1, 2, 3), arrays).bounded
