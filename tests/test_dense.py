"""The dense layer, dropout, the flattening between, the average-pool and the classifier's loss."""

from __future__ import annotations

import loops
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from strategies import cases
from tinyalexnet.kernels import load
from tinyalexnet.kernels.philox import philox

from tinyalexnet import AvgPool2d, Dense, Dropout, Flatten, Sequential, softmax_cross_entropy
from tinyalexnet.geometry import Window
from tinyalexnet.gradcheck import adjoint_identities, assert_gradients
from tinyalexnet.losses import softmax

BACKENDS = pytest.mark.parametrize("kernels", [load("reference"), load("cpu")], ids=["reference", "cpu"])
SIZES = st.tuples(st.integers(1, 5), st.integers(1, 40), st.integers(1, 9))


# --- dense ------------------------------------------------------------------------------------------------------------


@BACKENDS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(sizes=SIZES, seed=st.integers(0, 1000))
@example(sizes=(1, 1, 1), seed=0)
def test_dense_equals_the_loops(kernels, dtype, sizes, seed):
    rng = np.random.default_rng(seed)
    n, channels, filters = sizes
    x, w, b, dout = (
        rng.integers(-4, 5, shape).astype(dtype)
        for shape in [(n, channels), (channels, filters), filters, (n, filters)]
    )
    out, dx, dw, db = loops.dense(x, w, b, dout)
    np.testing.assert_array_equal(kernels.dense_forward(x, w, b), out, strict=True)
    np.testing.assert_array_equal(kernels.dense_backward_input(dout, w), dx, strict=True)
    found_dw, found_db = kernels.dense_backward_params(dout, x)
    np.testing.assert_array_equal(found_dw, dw, strict=True)
    np.testing.assert_array_equal(found_db, db, strict=True)


@BACKENDS
@given(sizes=SIZES, seed=st.integers(0, 1000))
def test_dense_rounds_within_the_derived_bound(kernels, sizes, seed):
    """|error| <= γ Σ |x| |w| with γ = n u / (1 - n u), for sums of n = C + 1 terms in float32, u = 2**-24."""
    rng = np.random.default_rng(seed)
    n, channels, filters = sizes
    x, w, b = (rng.standard_normal(s).astype(np.float32) for s in [(n, channels), (channels, filters), filters])
    exact = x.astype(float) @ w + b
    size = np.abs(x).astype(float) @ np.abs(w) + np.abs(b)
    gamma = (channels + 1) * 2**-24 / (1 - (channels + 1) * 2**-24)
    assert (np.abs(kernels.dense_forward(x, w, b) - exact) <= gamma * size).all()


@BACKENDS
def test_dense_takes_strided_input(kernels, rng):
    x, w, b, dout = (rng.integers(-4, 5, s).astype(np.float32) for s in [(7, 3), (5, 7), (10,), (3, 10)])
    strided = x.T, w.T, b[::2], dout[:, ::2]
    plain = tuple(array.copy() for array in strided)
    np.testing.assert_array_equal(kernels.dense_forward(*strided[:3]), kernels.dense_forward(*plain[:3]))
    np.testing.assert_array_equal(
        kernels.dense_backward_input(strided[3], strided[1]), kernels.dense_backward_input(plain[3], plain[1])
    )
    for got, expected in zip(
        kernels.dense_backward_params(strided[3], strided[0]),
        kernels.dense_backward_params(plain[3], plain[0]),
        strict=True,
    ):
        np.testing.assert_array_equal(got, expected)


def test_dense_is_the_same_convolution(rng):
    """A convolution whose kernel is the whole image, flattened in the order (H, W, C)."""
    x, w, b = (rng.integers(-4, 5, s).astype(float) for s in [(2, 3, 4, 5), (3, 4, 5, 6), (6,)])
    whole = load("reference").conv2d_forward(x, w, b, Window((3, 4))).reshape(2, 6)
    np.testing.assert_array_equal(load("cpu").dense_forward(Flatten().forward(x), w.reshape(60, 6), b), whole)


def test_gradients_of_dense(backend, rng):
    dense = Dense(7, 3, backend, np.float64, rng)
    dense.params["b"][...] = rng.standard_normal(3)
    x = rng.standard_normal((4, 7))
    assert dense.cache == ()
    assert_gradients(dense, x, step=1, tolerance=1e-11)
    assert dense.output_shape(x.shape) == (4, 3)
    assert dense.cache[0].shape == x.shape
    integers = rng.integers(-4, 5, (4, 7)).astype(np.float32)
    layer = Dense(7, 3, backend, rng=rng)
    for value in layer.params.values():
        value[...] = rng.integers(-4, 5, value.shape)
    assert all(check.passed for check in adjoint_identities(layer, integers))


def test_what_dense_refuses(backend):
    with pytest.raises(ValueError, match="in_features is 0, but must be an int >= 1"):
        Dense(0, 3, backend)
    with pytest.raises(TypeError, match="dtype is int64, but must be float32 or float64"):
        Dense(1, 3, backend, dtype=int)
    dense = Dense(4, 3, backend, needs_dx=False)
    with pytest.raises(ValueError, match="before any forward"):
        dense.backward(np.ones((2, 3), np.float32))
    dense.forward(np.ones((2, 4), np.float32))
    assert dense.backward(np.ones((2, 3), np.float32)) is None
    with pytest.raises(ValueError, match=r"dout has shape \(2, 2\), but must have the output's shape, \(2, 3\)"):
        dense.backward(np.ones((2, 2), np.float32))


# --- flatten, dropout -------------------------------------------------------------------------------------------------


def test_flatten_there_and_back(rng):
    x = rng.standard_normal((2, 3, 4, 5))
    flatten = Flatten()
    with pytest.raises(ValueError, match="before any forward"):
        flatten.backward(np.ones((2, 60)))
    out = flatten.forward(x)
    assert out.shape == flatten.output_shape(x.shape) == (2, 60)
    np.testing.assert_array_equal(out[1], x[1].ravel())
    np.testing.assert_array_equal(flatten.backward(out), x)
    with pytest.raises(ValueError, match=r"dout has shape \(3, 40\), but must have the output's shape, \(2, 60\)"):
        flatten.backward(out.reshape(3, 40))


@BACKENDS
@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    rate=st.sampled_from([0.0, 0.25, 0.5]),
    seed=st.integers(0, 99),
)
def test_dropout_chooses_and_scales(kernels, shape, rate, seed):
    assume(np.prod(shape) < 300)
    rng = np.random.default_rng(seed)
    x, kept = rng.standard_normal(shape).astype(np.float32), rng.random(shape) >= 0.5
    expected = np.zeros_like(x)
    for index in np.ndindex(*shape):
        if kept[index]:
            expected[index] = x[index] * np.float32(1 / (1 - rate))
    np.testing.assert_array_equal(kernels.dropout(x, kept, rate), expected, strict=True)


@pytest.mark.parametrize(
    ("number", "seed", "bits"),
    [
        (0, 0, 0xFF1DAE59),
        (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 0x2C3F628B),
        (0x243F6A88, 0x85A308D313198A2E, 0xDD7CE038),
    ],
)
def test_random_bits_are_those_of_the_paper(number, seed, bits):
    """The known answers that its authors publish with Random123."""
    assert philox(number, seed) == bits


@BACKENDS
@pytest.mark.parametrize("rate", [0.0, 0.25, 0.9999])
def test_a_mask_is_its_numbers_places_and_the_seed(kernels, rate):
    seed = 0x7123456789ABCDEF
    mask = kernels.dropout_mask((3, 5, 67), rate, seed)
    expected = [(philox(i, seed) >> 8) / (1 << 24) >= rate for i in range(mask.size)]
    np.testing.assert_array_equal(mask, np.reshape(expected, (3, 5, 67)), strict=True)
    assert kernels.dropout_mask((0, 3), rate, 1).shape == (0, 3)


@BACKENDS
def test_what_is_dropped_cannot_leak(kernels):
    """0 times infinity is NaN: the number is chosen, not multiplied."""
    x = np.array([np.inf, np.nan, 2, np.nan], np.float32)
    out = kernels.dropout(x, np.array([False, False, True, True]), 0.5)
    np.testing.assert_array_equal(out, np.array([0, 0, 4, np.nan], np.float32))


def test_dropout_of_the_layer(backend):
    x = np.ones((100, 100), np.float32)
    layers = [Dropout(0.25, rng=seed, backend=backend) for seed in (1, 1, 2)]
    assert layers[0].cache == ()
    with pytest.raises(ValueError, match="before any forward"):
        layers[0].backward(x)
    first, again, other = (layer.forward(x) for layer in layers)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    # 10,000 numbers, each kept with probability 3/4: five standard deviations are 217.
    assert abs(np.count_nonzero(first) - 7500) < 217
    assert set(np.unique(first)) == {np.float32(0), np.float32(1 / 0.75)}
    assert (layers[0].forward(x) != first).any()
    dout = np.full_like(x, 3)
    np.testing.assert_array_equal(layers[1].backward(dout), 3 * again)
    assert layers[1].cache[0].sum() == np.count_nonzero(again)
    assert layers[0].output_shape((2, 3)) == (2, 3)
    with pytest.raises(ValueError, match=r"dout has shape \(2, 3\), but must have the output's shape"):
        layers[0].backward(np.ones((2, 3), np.float32))


def test_dropout_outside_training_is_nothing(backend):
    x, layer = np.ones((3, 4), np.float32), Dropout(0.5, train=False, rng=0, backend=backend)
    state = layer.rng.bit_generator.state
    assert layer.forward(x) is x
    assert layer.backward(x) is x
    assert layer.cache == ()
    assert layer.rng.bit_generator.state == state
    with pytest.raises(ValueError, match="rate is 1, but must be at least 0 and below 1"):
        Dropout(1)


def test_a_network_switches_its_dropout(rng):
    net = Sequential([("flat", Flatten()), ("drop", Sequential([("inner", Dropout(0.5, rng=0))])), ("fc", Dense(8, 2))])
    assert net.train
    x = rng.standard_normal((3, 2, 2, 2)).astype(np.float32)
    net.train = False
    assert not net.train
    np.testing.assert_array_equal(net.forward(x), net.forward(x))
    net.train = True
    assert (net.forward(x) != net.forward(x)).any()


# --- average-pool -----------------------------------------------------------------------------------------------------


@BACKENDS
@given(case=cases(pooling=True))
def test_avgpool_equals_the_loops(kernels, case):
    """Sums of small integers are exact, so forward differs by the rounding of one division: one unit in 2**53."""
    x, _, _, dout = case.integers(np.float64)
    out = kernels.avgpool_forward(x, case.window)
    dx = kernels.avgpool_backward(dout, x.shape, case.window)
    expected, expected_dx = loops.avgpool(x, dout, case.window.kernel, case.window.stride, case.pads)
    np.testing.assert_allclose(out, expected, rtol=2**-52, strict=True)
    np.testing.assert_allclose(dx, expected_dx, rtol=0, atol=25 * 4 * 2**-52, strict=True)


@BACKENDS
@given(case=cases(pooling=True))
def test_avgpool_backward_is_the_adjoint(kernels, case):
    x, _, _, dout = case.integers(np.float64)
    out, dx = kernels.avgpool_forward(x, case.window), kernels.avgpool_backward(dout, x.shape, case.window)
    np.testing.assert_allclose(np.sum(dout * out), np.sum(x * dx), rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(np.sum(dx), np.sum(dout), rtol=1e-12, atol=1e-10)


@BACKENDS
def test_avgpool_in_float32_of_strided_input(kernels, rng):
    x = rng.integers(-4, 5, (2, 6, 6, 8)).astype(np.float32)[..., ::2]
    out = kernels.avgpool_forward(x, Window(2, 2))
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, x.reshape(2, 3, 2, 3, 2, 4).sum(axis=(2, 4)) / 4)
    dx = kernels.avgpool_backward(out[..., ::-1], x.shape, Window(2, 2))
    np.testing.assert_array_equal(dx, np.repeat(np.repeat(out[..., ::-1], 2, axis=1), 2, axis=2) / 4)


def test_gradients_of_avgpool(backend, rng):
    pool = AvgPool2d(3, 2, "SAME", backend=backend)
    with pytest.raises(ValueError, match="before any forward"):
        pool.backward(np.ones((1, 2, 2, 3)))
    x = rng.standard_normal((2, 6, 7, 3))
    assert_gradients(pool, x, step=1, tolerance=1e-11)
    assert pool.output_shape(x.shape) == pool.forward(x).shape == (2, 3, 4, 3)
    assert pool.cache == ()


# --- the loss ---------------------------------------------------------------------------------------------------------


@BACKENDS
@given(n=st.integers(1, 5), classes=st.integers(1, 7), seed=st.integers(0, 1000))
def test_the_loss_is_the_formula(kernels, n, classes, seed):
    rng = np.random.default_rng(seed)
    logits, labels = 3 * rng.standard_normal((n, classes)), rng.integers(0, classes, n)
    loss, dlogits = kernels.softmax_cross_entropy(logits, labels)
    probabilities = [[np.exp(z) / sum(np.exp(y) for y in row) for z in row] for row in logits]
    expected = -sum(np.log(row[label]) for row, label in zip(probabilities, labels, strict=True)) / n
    np.testing.assert_allclose(loss, expected, rtol=1e-13, atol=1e-14)
    for row in range(n):
        for k in range(classes):
            gradient = (probabilities[row][k] - (k == labels[row])) / n
            np.testing.assert_allclose(dlogits[row, k], gradient, rtol=1e-12, atol=1e-15)


@BACKENDS
@given(seed=st.integers(0, 100))
def test_the_gradient_is_the_slope_of_the_loss(kernels, seed):
    rng = np.random.default_rng(seed)
    logits, labels, v = rng.standard_normal((4, 6)), rng.integers(0, 6, 4), rng.standard_normal((4, 6))
    _, dlogits = kernels.softmax_cross_entropy(logits, labels)
    up, down = (kernels.softmax_cross_entropy(logits + step * v, labels)[0] for step in (6e-6, -6e-6))
    np.testing.assert_allclose((up - down) / 1.2e-5, np.sum(dlogits * v), rtol=0, atol=1e-8)


@BACKENDS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e4, 1e30])
def test_the_loss_of_huge_logits(kernels, dtype, size):
    """By the formula exp would overflow; here the wrong class costs the distance and the right one nothing."""
    logits = np.array([[size, -size, 0], [-size, size, 0]], dtype)
    loss, dlogits = kernels.softmax_cross_entropy(logits, np.array([0, 0]))
    assert loss == size == float(np.float64(dtype(size))) or np.isclose(loss, size, rtol=1e-6)
    np.testing.assert_array_equal(dlogits, np.array([[0, 0, 0], [-0.5, 0.5, 0]], dtype), strict=True)


@BACKENDS
def test_the_loss_of_nan_is_nan(kernels):
    logits = np.zeros((2, 3), np.float32)
    logits[1, 2] = np.nan
    loss, dlogits = kernels.softmax_cross_entropy(logits, np.array([0, 1], np.uint8))
    assert np.isnan(loss)
    assert np.isnan(dlogits[1]).all()
    assert np.isfinite(dlogits[0]).all()


def test_the_loss_by_backend(backend, rng):
    logits, labels = rng.standard_normal((3, 8))[:, ::2].astype(np.float32), np.array([0, 3, 1])
    loss, dlogits = softmax_cross_entropy(logits, labels, backend)
    expected, expected_gradient = load("reference").softmax_cross_entropy(logits.astype(float), labels)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    np.testing.assert_allclose(dlogits, expected_gradient, rtol=0, atol=1e-7)
    assert dlogits.dtype == np.float32


def test_softmax_is_in_float64_and_does_not_overflow():
    logits = np.array([[2e4, 0, 2e4], [0, np.log(3), -np.inf]], np.float32)
    found = softmax(logits)
    assert found.dtype == np.float64
    # The logarithm of 3 in float32 is off by 2⁻²⁴ of itself.
    np.testing.assert_allclose(found, [[0.5, 0, 0.5], [0.25, 0.75, 0]], rtol=1e-7)
