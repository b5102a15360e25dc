"""The loss of a classifier: the formula, its slope, huge logits and NaN."""

from __future__ import annotations

import numpy as np
import pytest
from backends import scalar
from hypothesis import given
from hypothesis import strategies as st

from tinyalexnet.ops.softmax_cross_entropy import softmax_cross_entropy
from tinyalexnet.strategies import labels as labels_of
from tinyalexnet.strategies import separated_arrays


@given(n=st.integers(1, 5), classes=st.integers(1, 7), data=st.data())
def test_it_is_the_formula(run, n, classes, data):
    logits, labels = data.draw(separated_arrays((n, classes), gap=0.3)), data.draw(labels_of(n, classes))
    loss, dlogits = run(softmax_cross_entropy, logits, labels)
    probabilities = [[np.exp(z) / sum(np.exp(y) for y in row) for z in row] for row in logits]
    expected = -sum(np.log(row[label]) for row, label in zip(probabilities, labels, strict=True)) / n
    np.testing.assert_allclose(scalar(loss), expected, rtol=1e-13, atol=1e-14)
    for row in range(n):
        for k in range(classes):
            gradient = (probabilities[row][k] - (k == labels[row])) / n
            np.testing.assert_allclose(dlogits[row, k], gradient, rtol=1e-12, atol=1e-15)


@given(seed=st.integers(0, 100))
def test_the_gradient_is_the_slope_of_the_loss(run, seed):
    rng = np.random.default_rng(seed)
    logits, labels, v = rng.standard_normal((4, 6)), rng.integers(0, 6, 4), rng.standard_normal((4, 6))
    _, dlogits = run(softmax_cross_entropy, logits, labels)
    up, down = (scalar(run(softmax_cross_entropy, logits + step * v, labels)[0]) for step in (6e-6, -6e-6))
    np.testing.assert_allclose((up - down) / 1.2e-5, np.sum(dlogits * v), rtol=0, atol=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e4, 1e30])
def test_huge_logits(run, dtype, size):
    """By the formula exp would overflow; here the wrong class costs the distance and the right one nothing."""
    logits = np.array([[size, -size, 0], [-size, size, 0]], dtype)
    loss, dlogits = run(softmax_cross_entropy, logits, np.array([0, 0]))
    # The size itself, rounded to the dtype.
    assert scalar(loss) == float(dtype(size))
    np.testing.assert_array_equal(dlogits, np.array([[0, 0, 0], [-0.5, 0.5, 0]], dtype), strict=True)


def test_nan_is_nan(run):
    logits = np.zeros((2, 3), np.float32)
    logits[1, 2] = np.nan
    loss, dlogits = run(softmax_cross_entropy, logits, np.array([0, 1], np.uint8))
    assert np.isnan(scalar(loss))
    assert np.isnan(dlogits[1]).all()
    assert np.isfinite(dlogits[0]).all()


@pytest.mark.parametrize("rows", [1, 6, 32, 257])
def test_float32_is_near_float64(run, rng, rows):
    """Sums of seven terms of one sign, an exponential and a division: 64 units in the last place."""
    logits, labels = 100 * rng.standard_normal((rows, 7)).astype(np.float32), rng.integers(0, 7, rows)
    loss, dlogits = run(softmax_cross_entropy, logits, labels)
    expected, expected_gradient = softmax_cross_entropy(logits.astype(float), labels, backend="reference")
    np.testing.assert_allclose(scalar(loss), expected, rtol=64 * 2**-23)
    np.testing.assert_allclose(dlogits, expected_gradient, rtol=0, atol=64 * 2**-23)
    assert dlogits.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parts_of_a_batch_have_its_gradient_and_add_up_to_its_loss(run, rng, dtype):
    logits, labels = rng.standard_normal((7, 5)).astype(dtype), rng.integers(0, 5, 7)
    loss, dlogits = run(softmax_cross_entropy, logits, labels)
    parts = [run(softmax_cross_entropy, logits[rows], labels[rows], batch=7) for rows in (slice(0, 3), slice(3, 7))]
    np.testing.assert_array_equal(np.concatenate([gradient for _, gradient in parts]), dlogits)
    assert sum(scalar(part) for part, _ in parts) == pytest.approx(scalar(loss), rel=1e-15)


def test_a_batch_has_at_least_one_row(run):
    logits, labels = np.array([[1.0, 2.0]]), np.array([0])
    assert scalar(run(softmax_cross_entropy, logits, labels, batch=1)[0]) == pytest.approx(np.log1p(np.e), rel=1e-14)
    with pytest.raises(ValueError, match=r"^batch is 0, but must be an int >= 1$"):
        run(softmax_cross_entropy, logits, labels, batch=0)


def test_strided_logits(run, rng):
    run.skip_without_views()
    logits, labels = rng.standard_normal((3, 8))[:, ::2].astype(np.float32), np.array([0, 3, 1])
    loss, dlogits = run(softmax_cross_entropy, logits, labels)
    expected, expected_gradient = softmax_cross_entropy(logits.astype(float), labels, backend="reference")
    np.testing.assert_allclose(scalar(loss), expected, rtol=1e-6)
    np.testing.assert_allclose(dlogits, expected_gradient, rtol=0, atol=1e-7)
    assert dlogits.dtype == np.float32
