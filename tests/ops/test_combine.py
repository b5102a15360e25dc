"""Sums of scaled rows: as LLVM runs their functions, as kernels call them, and as plain Python."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from llvmlite import ir
from numba.core import types

from tests.compiled_ir import compiled
from tinyalexnet.devices.cpu.compiler import inner
from tinyalexnet.ops.conv2d.winograd.cpu import combine as module_of_combine
from tinyalexnet.ops.conv2d.winograd.cpu.combine import FEWEST_TERMS, combine
from tinyalexnet.ops.conv2d.winograd.matrices import MOST_POINTS

ELEMENTS = {types.float32: np.float32, types.float64: np.float64}
OFFSETS = np.array([3, 50, 0, 91, 17, 120, 64, 33], np.intp)
KIND = [ir.IntType(64)] * 8


@pytest.fixture(scope="module")
def functions():
    """That of each number of terms, by type."""
    module, cases = ir.Module(), list(itertools.product(ELEMENTS, range(1, MOST_POINTS + 1)))
    for case in cases:
        module_of_combine._sums(module, *case).linkage = "external"
    with compiled(module, KIND) as function:
        yield {(element, terms): function(f"combine_{element}_{terms}") for element, terms in cases}


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
    functions[element, terms](coefficients_at, offsets_at, source_at, 41, target_at, 60, *rows)
    np.testing.assert_array_equal(target, expected)


def test_rows_may_begin_anywhere():
    for line in str(module_of_combine._sums(ir.Module(), types.float32, 8)).splitlines():
        if " load <" in line or "store <" in line:
            assert "align 1" in line
        if '@"llvm.masked' in line:
            assert "i32 1" in line


def test_a_function_is_written_once():
    module = ir.Module()
    one = module_of_combine._sums(module, types.float32, 5)
    assert module_of_combine._sums(module, types.float32, 5) is one
    assert str(module).count("define internal") == 1


@inner
def combined(matrices, row, terms, offsets, source, read, target, written, rows):
    combine(matrices, row, terms, offsets, source, read, target, written, rows)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("terms", [1, FEWEST_TERMS - 1, FEWEST_TERMS, MOST_POINTS - 1, MOST_POINTS])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_kernel_combines_rows_by_a_row_of_its_matrices(rng, dtype, terms, rows):
    """Past the terms there are zeros: in the matrices and in the offsets."""
    matrices, source = integers(rng, (2, MOST_POINTS, MOST_POINTS), dtype), integers(rng, 400, dtype)
    matrices[:, :, terms:] = 0
    offsets = OFFSETS.copy()
    offsets[terms:] = 0
    target = np.full(300, np.nan, dtype)
    expected = sums(matrices[1, 3], terms, source, (5, 41), target, (2, 60), rows)
    combined(matrices, MOST_POINTS + 3, terms, offsets, source, (5, 41), target, (2, 60), rows)
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
