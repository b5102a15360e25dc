"""Products with a panel, compiled and as plain Python; and the tiles that they are made of."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.narrow import printed
from tinyalexnet.devices.cpu import panels
from tinyalexnet.devices.cpu.compiler import inner
from tinyalexnet.devices.cpu.panels import add_panel_product


@inner
def product(a, b, keep, out):
    add_panel_product(a, b, keep, out)


SIZES = {"m": st.integers(0, 20), "k": st.integers(0, 250), "n": st.integers(0, 150)}
"""Tiles of fewer rows and columns than the largest, several of them, and several slices of k; and none."""


def parts(rng, dtype, shape, transposed=False):
    """A part of a matrix that is NaN around it, with small integers, whose products are exact."""
    if transposed:
        return parts(rng, dtype, shape[::-1]).T
    whole = np.full((shape[0] + 2, shape[1] + 3), np.nan, dtype)
    whole[1:-1, 1:-2] = rng.integers(-4, 5, shape)
    return whole[1:-1, 1:-2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(**SIZES, transposed=st.booleans(), keep=st.booleans(), seed=st.integers(0, 99))
def test_it_is_the_product_of_the_parts(dtype, m, k, n, transposed, keep, seed):
    rng = np.random.default_rng(seed)
    a, b, out = parts(rng, dtype, (m, k), transposed), parts(rng, dtype, (k, n)), parts(rng, dtype, (m, n))
    whole = out.base.copy()
    whole[1:-1, 1:-2] = a @ b + keep * out
    product(a, b, keep, out)
    np.testing.assert_array_equal(out.base, whole)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [0, 1, 200])
def test_what_is_not_kept_may_be_anything(dtype, k):
    out = np.full((7, 70), np.nan, dtype)
    product(np.ones((7, k), dtype), np.ones((k, 70), dtype), False, out)
    np.testing.assert_array_equal(out, np.full((7, 70), k, dtype))


@pytest.mark.parametrize("shape", [(1, 5), (5, 1)])
def test_the_distance_of_a_single_row_or_column_is_not_asked_for(shape):
    """NumPy may set it to anything."""
    a = np.lib.stride_tricks.as_strided(np.arange(1.0, 6.0), shape, [0 if size == 1 else 8 for size in shape])
    out = np.empty((shape[0], 2))
    product(a, np.ones((shape[1], 2)), False, out)
    np.testing.assert_array_equal(out, np.arange(1.0, 6.0).reshape(shape) @ np.ones((shape[1], 2)))


def matrix_at(dtype, address, shape, steps):
    """The matrix that begins at an address, with so many bytes from one row and from one column to the next."""
    size = 1 + sum((count - 1) * step for count, step in zip(shape, steps, strict=True)) // np.dtype(dtype).itemsize
    elements = (ctypes.c_char * (size * np.dtype(dtype).itemsize)).from_address(address)
    return np.lib.stride_tricks.as_strided(np.frombuffer(elements, dtype), shape, steps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("vectors", [(4, 2, 1), (1,)])
@given(**{name: st.integers(1, most) for name, most in (("m", 20), ("k", 250), ("n", 150))}, keep=st.booleans())
def test_the_tiles_are_all_parts_of_the_product(dtype, vectors, m, k, n, keep):
    """Each is as wide as it may be, of up to six rows and 96 k. Together they fetch what follows."""
    lanes = 64 // np.dtype(dtype).itemsize
    rng, fetched = np.random.default_rng(0), []
    a, b, out = parts(rng, dtype, (m, k), True), parts(rng, dtype, (k, n)), parts(rng, dtype, (m, n))
    whole = out.base.copy()
    whole[1:-1, 1:-2] = a @ b + keep * out
    apart = k <= 96 and b.strides[0] > 64 * vectors[0]

    def tile(zero, of_a, of_b, of_out, ahead, sizes, keep):
        depth, rows, columns = sizes
        assert type(zero) is dtype
        assert 1 <= depth <= 96
        assert 1 <= rows <= 6
        width = next((count * lanes for count in vectors if columns >= count * lanes), columns)
        factors = matrix_at(dtype, of_b[0], (depth, width), (of_b[1], b.itemsize))
        sums = matrix_at(dtype, of_out[0], (rows, width), (of_out[1], b.itemsize))
        product = matrix_at(dtype, of_a[0], (rows, depth), of_a[1:]) @ factors
        sums[...] = sums + product if keep else product
        widest = next((count for count in vectors if columns >= count * lanes), 1)
        fetched.append(ahead - (2 * 64 * widest if apart else 96 * of_b[1]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(panels, "multiply_tile", tile)
        patch.setattr(panels, "VECTORS", vectors)
        getattr(panels._product, "py_func", panels._product)(
            *(dtype(0), lanes, (a.ctypes.data, *a.strides), (b.ctypes.data, b.strides[0])),
            *((out.ctypes.data, out.strides[0]), (m, k, n), keep),
        )
    np.testing.assert_array_equal(out.base, whole)
    # The first and third line of each row, or the second and fourth: of rows that are apart two tiles to the right.
    assert set(fetched) == {64 * line for line in range(min(2, -(-m // 6)))}


def random_product(dtype):
    """Factors, and their product: rounded, with a tile for each part of its rows and columns."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((23, 230)).astype(dtype), rng.standard_normal((230, 150)).astype(dtype)
    out = np.empty((23, 150), dtype)
    product(a, b, False, out)
    return a, b, out


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(row=st.integers(1, 22), step=st.integers(1, 229), column=st.integers(1, 149))
def test_no_bit_depends_on_how_a_product_is_cut(dtype, row, step, column):
    """Each element adds its products in the order of k: in a tile of any size, of any part, and over several calls."""
    a, b, expected = random_product(dtype)
    out = np.empty_like(expected)
    for rows in (slice(0, row), slice(row, None)):
        for columns in (slice(0, column), slice(column, None)):
            product(a[rows, :step], b[:step, columns], False, out[rows, columns])
            product(a[rows, step:], b[step:, columns], True, out[rows, columns])
    np.testing.assert_array_equal(out, expected)


@pytest.mark.compiled
def test_no_bit_depends_on_how_wide_the_registers_are(tmp_path):
    code = (
        "import numpy as np; from tests.devices.test_panels import random_product; "
        "from tinyalexnet.devices.cpu.microkernel import VECTORS; print(len(VECTORS), "
        "*(random_product(dtype)[2].tobytes().hex() for dtype in (np.float32, np.float64)))"
    )
    expected = [random_product(dtype)[2].tobytes().hex() for dtype in (np.float32, np.float64)]
    assert printed(code, tmp_path) == ["1", *expected]
