"""Sums on a GPU: exact on integers, for any number of rows and columns, and the same bits every time."""

from __future__ import annotations

import numpy as np
import pytest

from tinyalexnet import to_device, to_host

pytestmark = pytest.mark.cuda

SIZES = [
    *((1, 1), (1, 7), (2, 4), (5, 1), (3, 5000), (16, 1000), (33, 64), (700, 130), (40, 129)),
    *((1025, 96), (1500, 10), (4097, 3), (9000, 12), (3000, 1), (0, 3)),
]
"""One row to several stages, columns that are a multiple of four and not, idle threads, split-K's few rows."""


def column_sums(x, shape=None):
    from tinyalexnet.devices.cuda import memory, reduction

    out = memory.empty(shape or x.shape[1:], x.dtype)
    reduction.column_sums(to_device(x), out)
    return to_host(out)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_sums_of_columns_are_exact_on_integers(rng, rows, columns, dtype):
    x = rng.integers(-4, 5, (rows, columns)).astype(dtype)
    np.testing.assert_array_equal(column_sums(x), x.sum(0), strict=True)


def test_the_sums_have_any_shape(rng):
    x = rng.integers(-4, 5, (3, 2, 2, 2, 5)).astype(np.float32)
    np.testing.assert_array_equal(column_sums(x, (4, 1, 10)), x.sum(0).reshape(4, 1, 10), strict=True)


def test_sums_of_columns_round_alike_each_time(rng):
    """And by at most γ Σ |x|: a thread adds 16 rows or more in order; the depth of the sum is far below 100."""
    x = rng.standard_normal((5000, 68)).astype(np.float32)
    found = column_sums(x)
    assert found.tobytes() == column_sums(x).tobytes()
    gamma = 100 * 2**-24 / (1 - 100 * 2**-24)
    assert (np.abs(found - x.astype(float).sum(0)) <= gamma * np.abs(x).astype(float).sum(0)).all()


def test_nan_and_infinity_stay_in_their_column(rng):
    x = rng.integers(-4, 5, (1100, 9)).astype(np.float32)
    x[7, 2], x[1099, 5] = np.nan, np.inf
    found = column_sums(x)
    assert np.isnan(found[2])
    assert found[5] == np.inf
    assert np.isfinite(np.delete(found, [2, 5])).all()


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 5000])
def test_a_sum_of_terms_is_exact_on_integers(rng, count):
    from tinyalexnet.devices.cuda import reduction

    x = rng.integers(-4, 5, count).astype(np.float64)
    assert to_host(reduction.sum_of(to_device(x), 0.5)).tolist() == [x.sum() / 2]
