"""Copies of a few elements: those that are told, and no others."""

from __future__ import annotations

import numpy as np
import pytest
from llvmlite import ir
from numba import TypingError
from numba.core import types

from tests.compiled_ir import compiled
from tinyalexnet.devices.cpu import copies
from tinyalexnet.devices.cpu.compiler import inner
from tinyalexnet.devices.cpu.copies import clear_elements, copy_elements, copy_rows, fetch_elements
from tinyalexnet.devices.cpu.vectors import VECTOR_BYTES, empty_in_lines


@inner
def copied(source, start, target, at, count):
    copy_elements(source, start, target, at, count)


@inner
def cleared(target, at, count):
    clear_elements(target, at, count)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 12, 16, 17, 48, 100])
@pytest.mark.parametrize(("start", "at"), [(0, 0), (5, 1), (1, 7)])
def test_a_part_of_a_row_is_copied_or_cleared(dtype, count, start, at):
    source = np.random.default_rng(0).standard_normal(120).astype(dtype)
    target = -np.ones(120, dtype)
    copied(source, start, target, at, count)
    np.testing.assert_array_equal(target[at : at + count], source[start : start + count])
    cleared(target, at + 1, max(count - 1, 0))
    np.testing.assert_array_equal(target[at + 1 : at + count], 0)
    np.testing.assert_array_equal(target[:at], -1)
    np.testing.assert_array_equal(target[at + count + (count == 0) :], -1)


@pytest.mark.compiled
def test_what_may_only_be_read_is_copied():
    source = np.arange(4.0)
    source.flags.writeable = False
    target = np.zeros(3)
    copied(source, 1, target, 0, 3)
    assert target.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (np.arange(8.0)[::2], np.zeros(4)),
        (np.arange(4.0), np.zeros(8)[::2]),
        (np.arange(4, dtype=np.float32), np.zeros(4)),
    ],
    ids=["source apart", "target apart", "other type"],
)
def test_elements_that_are_apart_or_of_another_type_are_copied_too(source, target):
    copied(source, 1, target, 0, 3)
    np.testing.assert_array_equal(target, [*source[1:], 0])
    around = target.base
    if around is not None:
        np.testing.assert_array_equal(around[1::2], 0)


@inner
def fetched(source, start, count):
    fetch_elements(source, start, count)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("start", "count"), [(0, 0), (3, 1), (0, 40), (39, 10**6)])
def test_what_is_fetched_stays_as_it_was(dtype, start, count):
    """Even past the end of the array: nothing is read, and no address is wrong."""
    source = np.random.default_rng(0).standard_normal(40).astype(dtype)
    before = source.copy()
    fetched(source, start, count)
    np.testing.assert_array_equal(source, before)


@pytest.mark.compiled
def test_zeros_are_for_neighbours():
    with pytest.raises(TypingError):
        cleared(np.zeros(8)[::2], 0, 4)


ELEMENTS = {types.float32: np.float32, types.float64: np.float64}
ROWS = [(0, 5), (1, 0), (1, 1), (3, 12), (2, 16), (4, 17), (1, 48)]


@inner
def rows_copied(source, read, target, written, rows, ahead):
    copy_rows(source, read, target, written, rows, ahead)


@pytest.fixture(scope="module")
def functions():
    """The function of each type, as LLVM compiles it."""
    module = ir.Module()
    for element in ELEMENTS:
        copies._copied_rows(module, element).linkage = "external"
    with compiled(module, [ir.IntType(64)] * 7) as function:
        yield {element: function(f"copy_rows_{element}") for element in ELEMENTS}


def copied_by_the_formula(source, target, rows):
    expected, (count, size) = target.copy(), rows
    for r in range(count):
        expected[7 + 50 * r : 7 + 50 * r + size] = source[5 + 31 * r : 5 + 31 * r + size]
    return expected


@pytest.mark.parametrize("ahead", [0, 64, 10**6])
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("element", ELEMENTS, ids=str)
def test_rows_are_copied_and_nothing_else(functions, rng, element, rows, ahead):
    source, target = rng.standard_normal(200).astype(ELEMENTS[element]), np.full(250, np.nan, ELEMENTS[element])
    expected = copied_by_the_formula(source, target, rows)
    of_kernel = target.copy()
    functions[element](source[5:].ctypes.data, 31, target[7:].ctypes.data, 50, *rows, ahead)
    np.testing.assert_array_equal(target, expected)
    rows_copied(source, (5, 31), of_kernel, (7, 50), rows, ahead)
    np.testing.assert_array_equal(of_kernel, expected)


def test_the_same_function_serves_several_calls():
    module = ir.Module()
    assert copies._copied_rows(module, types.float32) is copies._copied_rows(module, types.float32)


@inner
def own_array(size, like):
    return empty_in_lines(size, like.dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 16, 17, 1000, 20000])
def test_an_array_in_lines_begins_at_a_line(dtype, size):
    arrays = [own_array(size, np.empty(0, dtype)) for _ in range(5)]
    for array in arrays:
        assert array.shape == (size,)
        assert array.dtype == dtype
        assert array.ctypes.data % VECTOR_BYTES == 0
        assert array.flags.c_contiguous
