"""The functions of the tiles, as LLVM runs them."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from llvmlite import ir
from numba.core import cgutils, types

from tests.compiled_ir import compiled
from tinyalexnet.devices.cpu import microkernel
from tinyalexnet.devices.cpu.microkernel import ROWS, TYPES, vectors_of

ELEMENTS = {types.float32: np.float32, types.float64: np.float64}
SHAPES = [(rows, vectors) for rows in range(1, ROWS + 1) for vectors in (4, 2, 1)]


@pytest.fixture(scope="module")
def tiles():
    """The function of each tile, by type, rows and vectors."""
    module = ir.Module()
    for element in ELEMENTS:
        for shape in SHAPES:
            microkernel._tile(module, element, *shape).linkage = "external"
    with compiled(module, TYPES) as function:
        yield {
            (element, *shape): function(f"tile_{element}_{shape[0]}_{shape[1]}")
            for element in ELEMENTS
            for shape in SHAPES
        }


def addresses(a, b, out):
    return a.ctypes.data, *a.strides, b.ctypes.data, b.strides[0], out.ctypes.data, out.strides[0]


def multiplied(tile, a, b, out, columns, keep):
    """What a tile leaves in a copy of ``out``, which it writes in place."""
    whole = out.copy()
    tile(*addresses(a, b, whole[1 : 1 + len(a), 2:]), 64, b.shape[0], columns, keep)
    return whole


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 7])
@pytest.mark.parametrize(("rows", "vectors"), SHAPES)
@pytest.mark.parametrize("element", ELEMENTS, ids=str)
def test_a_tile_is_the_product_of_its_parts(tiles, rng, element, rows, vectors, depth, keep):
    """Of matrices with NaN around the parts; with one vector, of any number of columns that it may have."""
    dtype = ELEMENTS[element]
    lanes = 64 // np.dtype(dtype).itemsize
    tile = tiles[element, rows, vectors]
    a = np.full((rows, depth + 3), np.nan, dtype)[:, 1:-2]
    a[...] = rng.integers(-4, 5, a.shape)
    for columns in range(1, lanes + 1) if vectors == 1 else [vectors * lanes]:
        b = np.full((depth, columns + 5), np.nan, dtype)[:, :columns]
        b[...] = rng.integers(-4, 5, b.shape)
        out = np.full((rows + 2, columns + 9), np.nan, dtype)
        out[1:-1, 2 : 2 + columns] = rng.integers(-4, 5, (rows, columns)) if keep else np.nan
        expected = out.copy()
        expected[1:-1, 2 : 2 + columns] = a @ b + (out[1:-1, 2 : 2 + columns] if keep else 0)
        for factor in (a, np.asfortranarray(a)):
            np.testing.assert_array_equal(multiplied(tile, factor, b, out, columns, keep), expected)


@pytest.mark.parametrize("vectors", [(4, 2, 1), (1,)])
@pytest.mark.parametrize("element", ELEMENTS, ids=str)
def test_the_tile_is_the_widest_that_the_columns_fill(monkeypatch, rng, element, vectors):
    """Called as a kernel does, for each number of rows; what is behind it stays."""
    monkeypatch.setattr(microkernel, "VECTORS", vectors)
    module, size = ir.Module(), ir.IntType(64)
    kind = [size] * 11 + [ir.IntType(1)]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kind), "multiply")
    builder = ir.IRBuilder(function.append_basic_block())
    given = function.args
    tuples = [cgutils.pack_array(builder, given[part], size) for part in (slice(3), slice(3, 5), slice(5, 7))]
    sizes = cgutils.pack_array(builder, given[8:11], size)
    _, code = microkernel.multiply_tile._defn(None, element, None, None, None, None, None, None)
    code(SimpleNamespace(get_dummy_value=lambda: None), builder, None, [None, *tuples, given[7], sizes, given[11]])
    builder.ret_void()
    dtype = ELEMENTS[element]
    lanes = 64 // np.dtype(dtype).itemsize
    with compiled(module, kind) as found:
        for rows, columns in itertools.product(range(1, ROWS + 1), (1, lanes, 2 * lanes, 3 * lanes + 1, 4 * lanes + 1)):
            a, b = rng.integers(-4, 5, (rows, 3)).astype(dtype), rng.integers(-4, 5, (3, columns)).astype(dtype)
            out = np.full((rows, columns), np.nan, dtype)
            width = next((count * lanes for count in vectors if columns >= count * lanes), columns)
            found("multiply")(*addresses(a, b, out), 64, 3, rows, columns, False)
            np.testing.assert_array_equal(out[:, :width], (a @ b)[:, :width])
            assert np.isnan(out[:, width:]).all()


def test_arrays_may_begin_anywhere():
    module = ir.Module()
    for vectors in (4, 1):
        for line in str(microkernel._tile(module, types.float32, 6, vectors)).splitlines():
            if " load " in line or "store " in line:
                assert "align 1" in line or "llvm.masked" in line
            if '@"llvm.masked' in line:
                assert "i32 1" in line


def test_a_tile_is_written_once():
    module = ir.Module()
    tile = microkernel._tile(module, types.float32, 6, 4)
    assert microkernel._tile(module, types.float32, 6, 4) is tile
    assert str(module).count("define internal") == 1
    assert str(tile).count('call <16 x float> @"llvm.fmuladd') == 24


def test_only_long_registers_are_enough_for_four_vectors():
    assert vectors_of("+avx,+avx2,+avx512f,-avx512er") == (4, 2, 1)
    assert vectors_of("+avx,+avx2,-avx512f") == (1,)
    assert vectors_of("") == (1,)
