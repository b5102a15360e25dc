"""Products of parts of matrices, compiled and as plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyalexnet.devices.cpu.compiler import inner
from tinyalexnet.devices.cpu.gemm import add_product


@inner
def product(a, b, keep, out):
    add_product(a, b, keep, out)


SIZE = st.integers(1, 40)
PART = st.tuples(st.integers(0, 3), st.integers(0, 3))
"""Rows and columns before and behind a part of a matrix."""


@st.composite
def parts(draw, rows, columns, transposed, dtype):
    """A part of a matrix of small integers, whose products are exact; the transpose of one, if ``transposed``."""
    if transposed:
        return draw(parts(columns, rows, False, dtype)).T
    (top, left), (bottom, right) = draw(PART), draw(PART)
    whole = np.random.default_rng(draw(st.integers(0, 99))).integers(
        -4, 5, (top + rows + bottom, left + columns + right)
    )
    return whole.astype(dtype)[top : top + rows, left : left + columns]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(m=SIZE, k=SIZE, n=SIZE, turned=st.tuples(st.booleans(), st.booleans()), keep=st.booleans(), data=st.data())
def test_it_is_the_product_of_the_parts(dtype, m, k, n, turned, keep, data):
    a, b = data.draw(parts(m, k, turned[0], dtype)), data.draw(parts(k, n, turned[1], dtype))
    whole = data.draw(parts(m + 2, n + 2, False, dtype)).copy()
    expected = whole.copy()
    expected[1:-1, 1:-1] = a @ b + keep * expected[1:-1, 1:-1]
    product(a, b, keep, whole[1:-1, 1:-1])
    np.testing.assert_array_equal(whole, expected)


@pytest.mark.parametrize(("m", "k", "n"), [(2, 4, 3), (120, 130, 110)], ids=["in place", "copied first"])
def test_what_is_not_kept_may_be_anything(m, k, n):
    """Also in a product that OpenBLAS computes otherwise: of more than SMALL_PRODUCT multiply-adds."""
    out = np.full((m, n), np.nan)
    product(np.ones((m, k)), np.ones((k, n)), False, out)
    np.testing.assert_array_equal(out, np.full((m, n), float(k)))


@pytest.mark.parametrize("shape", [(1, 5), (5, 1)])
def test_the_distance_of_a_single_row_or_column_is_not_asked_for(shape):
    """NumPy may set it to anything, and BLAS refuses one that is too small."""
    m, k = shape
    a = np.lib.stride_tricks.as_strided(np.arange(1.0, 6.0), shape, [0 if size == 1 else 8 for size in shape])
    out = np.empty((m, 2))
    product(a, np.ones((k, 2)), False, out)
    np.testing.assert_array_equal(out, np.arange(1.0, 6.0).reshape(shape) @ np.ones((k, 2)))
