"""Which im2col schedule a convolution has on "cpu", and that each of them is the convolution."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from backends import JIT, Backend, fewer
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import Case, cases

from tinyalexnet import Conv2d
from tinyalexnet.geometry import Window
from tinyalexnet.ops.conv2d import conv2d_backward_input, conv2d_backward_params, conv2d_forward, cpu, cpu_few
from tinyalexnet.ops.conv2d.winograd.choice import choose_tile, has_few_windows

examples = fewer(compiled=0.5, otherwise=0.3)
# More filters and windows than a product has, and more channels than a step; 5 images for a backward of several tasks.
SEVERAL_OF_ALL = Case(Window(3, 1, "SAME"), (5, 9, 8, 60), 70, 1, 1)
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
    """On any number of threads: of slices of the windows, of blocks of filters, and of slabs and their steps."""
    windows, depth, filters = 5 * 9 * 8, 9 * 60, 70
    assert filters > cpu_few.FILTERS
    assert windows > cpu_few.MOST_ROWS
    of_slab = cpu_few.SLAB_BYTES // (4 * cpu_few.MOST_ROWS)
    assert depth > of_slab > cpu_few.DEPTH


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
@pytest.mark.parametrize("slab_bytes", [1, 1 << 16, 1 << 30])
def test_bits_depend_neither_on_threads_nor_on_slabs(monkeypatch, threads, slab_bytes, rng):
    """On integers in plain Python, whose products have other sums; compiled, on any numbers."""
    number = rng.standard_normal if JIT else lambda shape: rng.integers(-3, 4, shape)
    x, w, dout = (number(shape).astype(np.float32) for shape in ((5, 9, 8, 60), (3, 3, 60, 70), (5, 9, 8, 70)))
    b = number(70).astype(np.float32)

    def results():
        placed, found = ((3, 3), (1, 1), (1, 1)), [np.empty((5, 9, 8, 70)), np.empty((540, 70)), np.empty(x.shape)]
        out, dw, dx = (array.astype(np.float32) for array in found)
        cpu_few.forward(x, w, b, placed, out)
        cpu_few.backward_params(dout, x, placed, dw)
        cpu_few.backward_input(dout, w, placed, dx)
        return [array.tobytes() for array in (out, dw, dx)]

    expected = results()
    monkeypatch.setattr(cpu_few.numba, "get_num_threads", lambda: threads)
    monkeypatch.setattr(cpu_few, "SLAB_BYTES", slab_bytes)
    assert results() == expected


@pytest.mark.parametrize(
    ("windows", "filters", "threads", "turned", "expected"),
    [
        (169, 256, 1, False, (1, 4)),
        (169, 256, 2, False, (2, 4)),
        (169, 384, 2, False, (1, 3)),
        (169, 256, 2, True, (1, 2)),
        (169, 256, 16, False, (4, 1)),
        (169, 384, 4, False, (2, 3)),
        (729, 192, 2, False, (4, 3)),
        (729, 192, 1, False, (4, 3)),
        (16, 32, 2, False, (2, 1)),
        (1, 600, 2, False, (1, 5)),
    ],
)
def test_windows_and_filters_are_cut_so_that_the_threads_are_done_first(windows, filters, threads, turned, expected):
    assert cpu_few.cut(windows, filters, threads, turned) == expected


@given(st.integers(1, 1600), st.integers(1, 700), st.integers(1, 64), st.booleans())
def test_every_cut_has_work_for_each_task_and_slices_that_fit_the_cache(windows, filters, threads, turned):
    slices, blocks = cpu_few.cut(windows, filters, threads, turned)
    assert 1 <= slices <= windows
    assert -(-windows // slices) <= cpu_few.MOST_ROWS
    assert 1 <= blocks <= -(-filters // cpu_few.FILTERS)


@pytest.mark.parametrize(
    ("windows", "rows", "threads", "slabs"), [(169, 3456, 2, 8), (169, 3456, 5, 10), (196, 800, 2, 2), (16, 9, 64, 9)]
)
def test_dw_has_as_many_slabs_for_each_thread(windows, rows, threads, slabs):
    assert cpu_few.slabs(windows, rows, threads) == slabs


def test_few_windows_are_at_most_800():
    assert has_few_windows((2, 20, 20, 64), 512)
    assert not has_few_windows((1, 801, 1, 64), 512)


def test_few_windows_have_128_kb_of_weights():
    assert has_few_windows((2, 3, 4, 64), 512)
    assert not has_few_windows((2, 3, 4, 64), 511)


CONV3 = (13, 13, 192), 384, Window(3, 1, "SAME"), 1, np.dtype(np.float32)
FEWER_FILTERS = (13, 13, 192), 192, Window(3, 1, "SAME"), 1, np.dtype(np.float32)
MNIST = (14, 14, 32), 64, Window(5, 1, "SAME"), 1, np.dtype(np.float32)


@pytest.mark.parametrize(
    ("layer", "batch", "results"),
    [
        *(
            (CONV3, 1, set()),
            (FEWER_FILTERS, 1, {"out", "dw", "dx"}),
            (FEWER_FILTERS, 2, {"out"}),
            (FEWER_FILTERS, 3, set()),
        ),
        *((MNIST, 2, {"out", "dw", "dx"}), (MNIST, 3, {"out", "dw"}), (MNIST, 4, set())),
    ],
)
def test_auto_takes_im2col_for_the_passes_of_few_images_where_it_was_faster(layer, batch, results):
    (size, *rest), float64 = layer, (*layer[1:-1], np.dtype(np.float64))
    names = "out", "dw", "dx"
    assert {name for name in names if choose_tile("auto", "cpu", (batch, *size), *rest, result=name) is None} == results
    assert all(choose_tile("auto", "cuda", (batch, *size), *rest, result=name) for name in names)
    assert choose_tile("auto", "cpu", (batch, *size), *float64) is None


def test_the_layer_knows_which_algorithm_computes_each_array(rng):
    """conv2 of three digits: its output is a plain sum, dx comes from tiles."""
    conv = Conv2d(32, 64, 5, 1, "SAME", rng=rng)
    assert conv.cost((3, 14, 14, 32)).algorithm == "gemm"
    assert conv._tile((3, 14, 14, 32), "dx").m == (4, 4)
    x = rng.standard_normal((3, 14, 14, 32), dtype=np.float32)
    dout = rng.standard_normal((3, 14, 14, 64), dtype=np.float32)
    conv.forward(x)
    arrays = {"x": x, "dout": dout, "dx": conv.backward(dout), "w": conv.params["w"], "b": conv.params["b"]}
    assert conv.terms("out", (0, 1, 2, 3), {**arrays, "out": conv.forward(x)}).bounded
    assert not conv.terms("dx", (0, 1, 2, 3), arrays).bounded
