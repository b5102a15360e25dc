"""Products of a matrix and a few vectors: as LLVM runs their functions, as kernels call them, and as plain Python."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llvmlite import ir
from numba.core import types

from tests.compiled_ir import compiled
from tests.narrow import printed
from tinyalexnet.devices.cpu import rows as module_of_rows
from tinyalexnet.devices.cpu.compiler import inner
from tinyalexnet.devices.cpu.panels import add_panel_product
from tinyalexnet.devices.cpu.rows import OUTER, ROWS, add_scaled_rows, dot_rows, stream_outer_products

ELEMENTS = {types.float32: np.float32, types.float64: np.float64}
TILES = {"add_scaled_rows": module_of_rows._scaled_tile, "dot_rows": module_of_rows._dot_tile}
MOST_VECTORS = 4
SIZES = (0, 1, 7, 8, 16, 17, 31, 48)


@pytest.fixture(scope="module")
def functions():
    """That of each kind, type, number of rows and number of vectors."""
    cases = list(itertools.product(TILES, ELEMENTS, (ROWS, 1), range(1, MOST_VECTORS + 1)))
    module = ir.Module()
    for kind, *case in cases:
        TILES[kind](module, *case).linkage = "external"
    with compiled(module, [ir.IntType(64)] * 7) as function:
        yield {(kind, *case): function("_".join(map(str, (kind, *case)))) for kind, *case in cases}


def integers(rng, shape, dtype):
    """For which nothing rounds."""
    return rng.integers(-9, 10, shape).astype(dtype)


def part(array):
    """A larger array of NaN, and a view of it that has these elements."""
    whole = np.full((array.shape[0] + 2, array.shape[1] + 3), np.nan, array.dtype)
    whole[1:-1, 1:-2] = array
    return whole, whole[1:-1, 1:-2]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("vectors", range(1, MOST_VECTORS + 1))
@pytest.mark.parametrize("rows", [ROWS, 1])
@pytest.mark.parametrize("element", ELEMENTS, ids=str)
def test_the_functions_write_the_products_and_nothing_else(functions, rng, element, rows, vectors, size):
    """Also to rows that begin anywhere, and have others around them."""
    dtype = ELEMENTS[element]
    w = part(integers(rng, (rows, size), dtype))[1]
    scales, dots = part(integers(rng, (vectors, rows), dtype))[1], part(integers(rng, (vectors, size), dtype))[1]
    before = integers(rng, (vectors, size), dtype)
    for kind, x, old, new in (
        ("add_scaled_rows", scales, before, before + scales @ w),
        ("dot_rows", dots, np.zeros((vectors, rows), dtype), dots @ w.T),
    ):
        whole, out = part(old)
        places = (number for array in (w, x, out) for number in (array.ctypes.data, array.strides[0]))
        functions[kind, element, rows, vectors](*places, size)
        np.testing.assert_array_equal(whole, part(new)[0])


@pytest.mark.parametrize("tile", TILES.values(), ids=TILES)
def test_rows_may_begin_anywhere(tile):
    for line in str(tile(ir.Module(), types.float32, ROWS, 3)).splitlines():
        if " load <" in line or "store " in line:
            assert "align 1" in line
        if '@"llvm.masked' in line:
            assert "i32 1" in line


@pytest.mark.parametrize("tile", TILES.values(), ids=TILES)
def test_a_function_is_written_once(tile):
    module = ir.Module()
    one = tile(module, types.float32, 1, 2)
    assert tile(module, types.float32, 1, 2) is one
    assert str(module).count("define internal") == 1


@pytest.mark.parametrize("together", [4, 1])
@pytest.mark.parametrize("dots", [True, False])
@given(rows=st.integers(0, 13), vectors=st.integers(0, 9))
def test_each_row_meets_each_vector_once(dots, together, rows, vectors):
    """At its address: those of w, x and out begin at a million times 1, 2 and 3."""
    w, x, out = (1_000_000, 100), (2_000_000, 1000, 0 if dots else 4), (3_000_000, 5000, 4 if dots else 0)
    met = []

    def tile(zero, kind, some_w, some_x, some_out, sizes):
        number, vectors_here, size = sizes
        assert (zero, kind, size) == (0.0, dots, 17)
        assert number in (ROWS, 1)
        assert 1 <= vectors_here <= together
        row, vector = (some_w[0] - w[0]) // w[1], (some_out[0] - out[0]) // out[1]
        for whole, found in ((x, some_x), (out, some_out)):
            assert found == (whole[0] + vector * whole[1] + row * whole[2], whole[1])
        assert some_w == (w[0] + row * w[1], w[1])
        met.extend((row + i, vector + n) for i in range(number) for n in range(vectors_here))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module_of_rows, "TOGETHER", together)
        patch.setattr(module_of_rows, "_multiply_rows", tile)
        run = module_of_rows._along_rows
        getattr(run, "py_func", run)(0.0, dots, w, x, out, (rows, vectors, 17))
    assert sorted(met) == list(itertools.product(range(rows), range(vectors)))


@pytest.mark.parametrize("vectors", [1, 8])
@given(rows=st.integers(0, 5), size=st.integers(0, 9))
def test_each_part_of_each_row_is_written_once(vectors, rows, size):
    """At its address, with what belongs to it: d, x and out begin at a million times 1, 2 and 3. The fence is last."""
    width, of_d, of_x, of_out = 4, (1_000_000, 500), (2_000_000, 1000, 4), (3_000_000, 700)
    written, fences = [], []

    def write(zero, some_d, some_x, some_out, number, columns):
        assert (zero, number, some_d[1], some_x[1], some_out[1], fences) == (0.0, vectors, 500, 1000, 700, [])
        (row, byte), left = divmod(some_out[0] - of_out[0], 700), (some_d[0] - of_d[0]) // width
        assert some_x[0] == of_x[0] + row * width
        assert byte == left * width
        written.extend((row, column) for column in range(left, left + columns))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module_of_rows, "OUTER_COLUMNS", 4)
        patch.setattr(module_of_rows, "_write_row", write)
        patch.setattr(module_of_rows, "fence", lambda: fences.append(1))
        run = module_of_rows._row_by_row
        getattr(run, "py_func", run)(0.0, of_d, of_x, of_out, (rows, vectors, size))
    assert sorted(written) == list(itertools.product(range(rows), range(size)))
    assert fences == [1]


def aligned(shape, dtype):
    """An array of NaN whose rows begin at multiples of 64 bytes, if they have so many."""
    whole = np.full(np.prod(shape) + 64, np.nan, dtype)
    start = -whole.ctypes.data % 64 // whole.itemsize
    return whole[start : start + np.prod(shape)].reshape(shape)


@pytest.mark.parametrize("vectors", range(1, OUTER + 1))
@pytest.mark.parametrize(("element", "lanes"), [(types.float32, 16), (types.float64, 8)], ids=str)
def test_a_row_of_outer_products_is_written_past_the_caches(rng, element, lanes, vectors):
    dtype, module = ELEMENTS[element], ir.Module()
    module_of_rows._outer_tile(module, element, 1, vectors).linkage = "external"
    assert str(module).count("!nontemporal") == 1
    x, d = part(integers(rng, (vectors, 5), dtype))[1], part(integers(rng, (vectors, 3 * lanes), dtype))[1]
    out = aligned((4, 3 * lanes), dtype)
    expected = out.copy()
    expected[1] = x[:, 2] @ d
    with compiled(module, [ir.IntType(64)] * 7) as function:
        places = (d.ctypes.data, d.strides[0], x[:, 2:].ctypes.data, x.strides[0], out[1].ctypes.data, out.strides[0])
        function(f"stream_outer_products_{element}_1_{vectors}")(*places, 3 * lanes)
    np.testing.assert_array_equal(out, expected)


@inner
def streamed(x, d, out):
    stream_outer_products(x, d, out)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "c", "f"), [(1, 5, 16), (8, 3, 2048), (3, 40, 1040), (2, 1, 32)])
def test_streamed_outer_products_have_the_bits_of_a_product_with_panels(rng, dtype, n, c, f):
    x, d = rng.standard_normal((n, c)).astype(dtype), rng.standard_normal((n, f)).astype(dtype)
    out, expected = aligned((c, f), dtype), np.empty((c, f), dtype)
    streamed(x, d, out)
    panels(x.T, d, expected)
    np.testing.assert_array_equal(out, expected)


@inner
def scaled(x, w, out):
    add_scaled_rows(x, w, out)


@inner
def dots(x, w, out):
    dot_rows(x, w, out)


@inner
def panels(x, w, out):
    add_panel_product(x, w, False, out)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(n=st.integers(0, 11), c=st.integers(0, 13), f=st.integers(0, 50))
def test_a_kernel_multiplies_any_number_of_vectors_and_rows(dtype, n, c, f):
    """Parts of larger arrays, of which the rest stays as it is."""
    rng = np.random.default_rng(n + 100 * c)
    w = part(integers(rng, (c, f), dtype))[1]
    for product, shape, expected in ((scaled, (n, c), lambda x: x @ w), (dots, (n, f), lambda x: x @ w.T)):
        x = part(integers(rng, shape, dtype))[1]
        whole, out = part(np.full(expected(x).shape, np.nan, dtype))
        product(x, w, out)
        np.testing.assert_array_equal(whole, part(expected(x))[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("c", "f"), [(5, 100), (9, 16), (40, 77)])
def test_sums_of_scaled_rows_have_the_bits_of_a_product_with_panels(rng, dtype, c, f):
    x, w = rng.standard_normal((7, c)).astype(dtype), rng.standard_normal((c, f)).astype(dtype)
    found, expected = np.empty((2, 7, f), dtype)
    scaled(x, w, found)
    panels(x, w, expected)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_dot_product_has_the_same_bits_among_any_others(rng, dtype):
    """Of other vectors, and of other rows: in a tile of several rows, and in one of those that are left."""
    x, w = rng.standard_normal((9, 77)).astype(dtype), rng.standard_normal((11, 77)).astype(dtype)
    every = np.empty((9, 11), dtype)
    dots(x, w, every)
    for n, c in ((1, 1), (1, 11), (9, 1), (3, 6), (7, 10)):
        some = np.empty((n, c), dtype)
        dots(x[-n:], w[-c:], some)
        np.testing.assert_array_equal(some, every[-n:, -c:])


@pytest.mark.compiled
@pytest.mark.parametrize(("dtype", "lanes"), [(np.float32, 16), (np.float64, 8)])
@pytest.mark.parametrize("size", [5, 16, 77, 640])
def test_a_dot_product_is_the_sum_of_as_many_sums_as_64_bytes_have_elements(rng, dtype, lanes, size):
    """On any processor: of products that are exact, so that it does not matter if they are added fused."""
    x, w = (rng.integers(-999, 1000, (1, size)).astype(dtype) for _ in range(2))
    w *= dtype(2) ** rng.integers(0, 20, size)
    sums = np.zeros(lanes, dtype)
    for f in range(size):
        sums[f % lanes] += x[0, f] * w[0, f]
    while sums.size > 1:
        sums = sums[: sums.size // 2] + sums[sums.size // 2 :]
    out = np.empty((1, 1), dtype)
    dots(x, w, out)
    assert out[0, 0] == sums[0]


def random_dots(dtype):
    rng = np.random.default_rng(5)
    x, w = rng.standard_normal((5, 133)).astype(dtype), rng.standard_normal((9, 133)).astype(dtype)
    out = np.empty((5, 9), dtype)
    dots(x, w, out)
    return out.tobytes().hex()


@pytest.mark.compiled
def test_no_bit_depends_on_how_wide_the_registers_are(tmp_path):
    code = (
        "import numpy as np; from tests.devices.test_rows import random_dots; "
        "from tinyalexnet.devices.cpu.rows import TOGETHER; "
        "print(TOGETHER, *map(random_dots, (np.float32, np.float64)))"
    )
    assert printed(code, tmp_path) == ["1", *map(random_dots, (np.float32, np.float64))]
