"""Sums of scaled rows: as LLVM runs their functions, as kernels call them, and as plain Python."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from llvmlite import ir
from numba.core import types

from tests.compiled_ir import compiled
from tinyalexnet.devices.cpu.compiler import inner
from tinyalexnet.devices.cpu.vectors import fence
from tinyalexnet.ops.conv2d.winograd.cpu import combine as module_of_combine
from tinyalexnet.ops.conv2d.winograd.cpu.combine import FEWEST_TERMS, combine, stream_combined
from tinyalexnet.ops.conv2d.winograd.matrices import MOST_POINTS

ELEMENTS = {types.float32: np.float32, types.float64: np.float64}
OFFSETS = np.array([3, 50, 0, 91, 17, 120, 64, 33], np.intp)
KIND = [ir.IntType(64)] * 8
WAYS = {"combine": combine, "stream": stream_combined}


@pytest.fixture(scope="module")
def functions():
    """That of each type and number of terms, which writes in the one way and in the other."""
    module, cases = ir.Module(), list(itertools.product(ELEMENTS, range(1, MOST_POINTS + 1), WAYS))
    for element, terms, way in cases:
        module_of_combine._sums(module, element, terms, way == "stream").linkage = "external"
    with compiled(module, KIND) as function:
        yield {case: function("{2}_{0}_{1}".format(*case)) for case in cases}


def integers(rng, shape, dtype):
    """For which nothing rounds."""
    return rng.integers(-9, 10, shape).astype(dtype)


def sums(coefficients, terms, source, read, target, written, rows):
    """What the target has then, by the formula."""
    expected, (count, size) = target.copy(), rows
    for r, k in itertools.product(range(count), range(size)):
        found = [coefficients[i] * source[read[0] + r * read[1] + OFFSETS[i] + k] for i in range(terms)]
        expected[written[0] + r * written[1] + k] = sum(found)
    return expected


ROWS = [(0, 5), (1, 0), (1, 1), (1, 8), (1, 16), (3, 17), (2, 31), (1, 48)]


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("terms", range(1, MOST_POINTS + 1))
@pytest.mark.parametrize("element", ELEMENTS, ids=str)
def test_the_functions_write_the_sums_and_nothing_else(functions, rng, element, terms, rows):
    dtype = ELEMENTS[element]
    coefficients, source = integers(rng, MOST_POINTS, dtype), integers(rng, 400, dtype)
    target = np.full(300, np.nan, dtype)
    expected = sums(coefficients, terms, source, (5, 41), target, (2, 60), rows)
    places = (array.ctypes.data for array in (coefficients, OFFSETS, source[5:], target[2:]))
    coefficients_at, offsets_at, source_at, target_at = places
    functions[element, terms, "combine"](coefficients_at, offsets_at, source_at, 41, target_at, 60, *rows)
    np.testing.assert_array_equal(target, expected)


@pytest.mark.parametrize("rows", [(1, 0), (1, 9), (1, 16), (3, 17), (2, 48)])
@pytest.mark.parametrize("element", ELEMENTS, ids=str)
def test_what_is_written_past_the_caches_is_the_same(functions, rng, element, rows):
    """From multiples of 64 bytes on. The last elements, which fill no vector, are written as usual."""
    dtype = ELEMENTS[element]
    coefficients, source = rng.standard_normal(MOST_POINTS).astype(dtype), rng.standard_normal(400).astype(dtype)
    found = []
    for way in WAYS:
        memory = np.full(400, np.nan, dtype)
        target = memory[-memory.ctypes.data % 64 // memory.itemsize :][:304]
        places = (array.ctypes.data for array in (coefficients, OFFSETS, source, target[64:]))
        coefficients_at, offsets_at, source_at, target_at = places
        functions[element, 8, way](coefficients_at, offsets_at, source_at, 41, target_at, 80, *rows)
        found.append(target)
    np.testing.assert_array_equal(*found)


def test_rows_may_begin_anywhere():
    for line in str(module_of_combine._sums(ir.Module(), types.float32, 8, False)).splitlines():
        if " load <" in line or "store <" in line:
            assert "align 1" in line
        if '@"llvm.masked' in line:
            assert "i32 1" in line


def test_a_function_is_written_once():
    module = ir.Module()
    one, other = (module_of_combine._sums(module, types.float32, 5, streams) for streams in (False, True))
    assert module_of_combine._sums(module, types.float32, 5, False) is one
    assert module_of_combine._sums(module, types.float32, 5, True) is other
    assert str(module).count("define internal") == 2
    assert (str(one).count("!nontemporal"), str(other).count("!nontemporal")) == (0, 1)


@inner
def combined(matrices, row, terms, offsets, source, read, target, written, rows):
    combine(matrices, row, terms, offsets, source, read, target, written, rows)


@inner
def streamed(matrices, row, terms, offsets, source, read, target, written, rows):
    stream_combined(matrices, row, terms, offsets, source, read, target, written, rows)
    fence()


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("terms", [1, FEWEST_TERMS - 1, FEWEST_TERMS, MOST_POINTS - 1, MOST_POINTS])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kernel", [combined, streamed])
def test_a_kernel_combines_rows_by_a_row_of_its_matrices(rng, kernel, dtype, terms, rows):
    """Past the terms there are zeros: in the matrices and in the offsets."""
    matrices, source = integers(rng, (2, MOST_POINTS, MOST_POINTS), dtype), integers(rng, 400, dtype)
    matrices[:, :, terms:] = 0
    offsets = OFFSETS.copy()
    offsets[terms:] = 0
    memory = np.full(400, np.nan, dtype)
    target = memory[-memory.ctypes.data % 64 // memory.itemsize :][:304]
    expected = sums(matrices[1, 3], terms, source, (5, 41), target, (64, 80), rows)
    kernel(matrices, MOST_POINTS + 3, terms, offsets, source, (5, 41), target, (64, 80), rows)
    np.testing.assert_array_equal(target, expected)


@pytest.mark.compiled
def test_an_element_has_the_same_bits_wherever_it_is(rng):
    """In a vector, and among the last ones that fill none."""
    matrices = rng.standard_normal((1, MOST_POINTS, MOST_POINTS)).astype(np.float32)
    source = rng.standard_normal(400).astype(np.float32)
    found = []
    for shift in range(17):
        target = np.zeros(40, np.float32)
        combined(matrices, 2, MOST_POINTS, OFFSETS, source, (shift, 0), target, (0, 0), (1, 40 - shift))
        found.append(target[16 - shift])
    assert len({value.tobytes() for value in found}) == 1
