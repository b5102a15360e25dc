"""Functions that kernels call by a name: compiled once, before a kernel is, and found by its code."""

from __future__ import annotations

import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from numba import types

from tinyalexnet.devices.cpu import ahead, compiler
from tinyalexnet.devices.cpu.by_name import by_name, integers
from tinyalexnet.devices.cpu.compiler import inner, names_in, parallel
from tinyalexnet.ops.conv2d import cpu_few as few
from tinyalexnet.ops.conv2d.winograd.cpu import filters, schedules, transforms
from tinyalexnet.ops.conv2d.winograd.cpu.plan import Filters, Images, TileGrid, image_view
from tinyalexnet.ops.conv2d.winograd.cpu.sides import sides
from tinyalexnet.ops.dense import cpu as dense

ROW = types.Array(types.float32, 1, "C")


@by_name(lambda real: (types.Array(real, 1, "C"), real, types.intp))
def add_times(total, term, times):
    for i in range(total.size):
        total[i] += term * times


@inner
def twice(total, term):
    add_times(total, term, 2)


@inner
def of_both(total, other, term):
    twice(total, term)
    add_times(other, term, 3)


def named(function):
    return [one.compiled.py_func.__name__ for one in names_in(function)]


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_kernel_calls_it_and_so_does_python(dtype):
    total, other = np.zeros(5, dtype), np.ones(3, dtype)
    of_both(total, other, dtype(0.5))
    np.testing.assert_array_equal(total, np.ones(5))
    np.testing.assert_array_equal(other, np.full(3, 2.5))
    add_times(total, dtype(1), 4)
    np.testing.assert_array_equal(total, np.full(5, 5.0))


@by_name(lambda real: (types.Array(real, 1, "C"), types.intp))
def add_up_to(total, most):
    if total.size > most:
        raise ValueError("too long")
    for i in range(total.size):
        total[i] += 1


@inner
def add_up_to_three(total):
    add_up_to(total, 3)
    total[0] += 1


@pytest.mark.compiled
def test_its_errors_are_those_of_the_kernel():
    total = np.zeros(4, np.float32)
    with pytest.raises(ValueError, match="too long"):
        add_up_to_three(total)
    np.testing.assert_array_equal(total, np.zeros(4))
    add_up_to_three(total[:3])
    np.testing.assert_array_equal(total, [2, 1, 1, 0])


@pytest.mark.compiled
def test_arguments_of_other_types_are_those_of_an_ordinary_call():
    """Here a part of an array, whose elements are apart, and an integer."""
    total, other = np.zeros(6, np.float32), np.ones(3, np.float32)
    of_both(total[::2], other, np.float32(0.5))
    np.testing.assert_array_equal(total, [1, 0, 1, 0, 1, 0])
    np.testing.assert_array_equal(other, np.full(3, 2.5))
    whole = np.zeros(3, np.int64)
    twice(whole, 2)
    np.testing.assert_array_equal(whole, [4, 4, 4])


@pytest.mark.compiled
def test_the_code_of_a_kernel_has_the_name_alone():
    fresh = numba.njit(of_both.py_func)  # Numba shows no code that comes from its cache
    fresh.compile((ROW, ROW, types.float32))
    (code,) = fresh.inspect_asm().values()
    assert f"{__name__}.add_times.float32" in code
    assert "add_times" in named(of_both.py_func)


@pytest.mark.compiled
def test_what_a_kernel_calls_is_found_in_the_functions_that_it_calls():
    assert named(of_both.py_func) == named(twice.py_func) == ["add_times"]
    assert sorted(named(dense._forward.compiled.py_func)) == ["_along_rows", "_product"]
    assert named(dense._backward_input.compiled.py_func) == ["_along_rows"]
    assert sorted(named(dense._backward_params.compiled.py_func)) == ["_product", "_row_by_row"]
    assert named(schedules.convolve_fused.compiled.py_func) == ["_product", "transform_strip", "restore_strip"]
    assert named(schedules.convolve_by_filters.compiled.py_func) == [
        *("_product", "transform_strip", "restore_strip", "_transform_rows", "transform_filters")
    ]
    assert named(schedules.accumulate_split.compiled.py_func) == ["_product", "transform_strip"]
    assert named(few._forward.compiled.py_func) == ["_product", "im2col"]
    assert named(filters.filters_to_points.compiled.py_func) == ["_transform_rows", "transform_filters"]
    assert named(compiler.slice_bounds.py_func) == []


@pytest.mark.compiled
def test_it_is_compiled_before_the_kernel_and_once(monkeypatch):
    job = ahead.Job(__name__, "kernel", (ROW, ROW))
    jobs = [job, job, job._replace(types=(ROW,))]
    monkeypatch.setattr(ahead, "_is_cached", lambda job: False)
    assert ahead.names_of(jobs) == [ahead.Job(__name__, "add_times", (ROW, types.float32, types.intp))]
    monkeypatch.setattr(ahead, "_is_cached", lambda job: True)
    assert ahead.names_of(jobs) == []
    assert ahead.Job(__name__, "add_times", ()).dispatcher() is add_times.compiled


@parallel
def kernel(total, other):
    twice(total, other[0])


SCRIPT = """
import sys
import numpy as np
from numba.core import event
from tinyalexnet.devices.cpu.compiler import CompilationListener
from tinyalexnet.ops.dense import dense_forward

x, w = np.ones((2, 50), np.float32), np.ones((50, 70), np.float32)
listener = CompilationListener(lambda name: None, lambda seconds: None)
with event.install_listener("numba:compile", listener):
    assert (dense_forward(x, w, w[0]) == 51).all()
print(*listener.names)
"""


@pytest.mark.compiled
def test_another_process_finds_it_on_disk(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    said = [
        subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    names = ["cpu.panels._product", "cpu.rows._along_rows", "dense.cpu._forward"]
    assert [one.stdout.split() for one in said] == [names, []]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_types_are_those_of_what_is_given(dtype):
    real, matrices = numba.typeof(dtype(0)), (np.ones((4, 3), dtype), np.ones((5, 3), dtype))
    view = image_view(Images(np.zeros((2, 5, 6, 3), dtype), (1, 1), (1, 1)), slice(0, 3))
    assert transforms._image(real) == numba.typeof(view)
    assert filters._filters(real) == numba.typeof(Filters(np.zeros((3, 3, 4, 5), dtype), False, 2))
    assert transforms.sides_of(real) == numba.typeof(sides(matrices, matrices))
    assert numba.typeof(TileGrid(*range(11))) == transforms._GRID
    assert integers(3) == numba.typeof((1, 2, 3))
