"""Layers made of functions and of losses, and random layers held still."""

from __future__ import annotations

import numpy as np
import pytest

from tinyalexnet import Dropout, ReLU, Sequential, softmax_cross_entropy
from tinyalexnet.gradcheck import as_layer, as_loss, assert_gradients, diagnose, frozen

W, B = np.arange(6.0).reshape(3, 2) - 2.5, np.array([1.0, -2.0])
PARAMS = {"w": W, "b": B}


def plain_forward(x, w, b, scale=1):
    return scale * (x @ w + b)


def plain_backward(dout, x, w, b, scale=1):
    return scale * (dout @ w.T), scale * (x.T @ dout), scale * dout.sum(axis=0)


def cached_forward(x, w, b, scale=1):
    return plain_forward(x, w, b, scale), (x, w, b, scale)


def cached_backward(dout, cache):
    return plain_backward(dout, *cache)


@pytest.mark.parametrize("pair", [(plain_forward, plain_backward), (cached_forward, cached_backward)])
def test_two_functions_are_a_layer(pair, rng):
    layer = as_layer(*pair, {name: value.copy() for name, value in PARAMS.items()}, scale=3)
    x = rng.standard_normal((4, 3))
    np.testing.assert_array_equal(layer.forward(x), 3 * (x @ W + B))
    report = diagnose(layer, x)
    assert report.passed
    assert [finding.argument for finding in report.findings] == ["x", "w", "b"]
    assert report.layer == pair[0].__name__


def test_a_dict_of_gradients_and_a_single_dx_will_do(rng):
    x = rng.standard_normal((4, 3))

    def backward(dout, x, w, b):
        dx, dw, db = plain_backward(dout, x, w, b)
        return dx, {"b": db, "w": dw}

    assert_gradients(as_layer(plain_forward, backward, dict(PARAMS)), x)
    assert_gradients(as_layer(np.sin, lambda dout, x: dout * np.cos(x)), x)
    with pytest.raises(AssertionError, match="Each element is -1 times the right one"):
        assert_gradients(as_layer(np.sin, lambda dout, x: -dout * np.cos(x)), x)


def test_a_wrong_number_of_results_is_refused(rng):
    x = rng.standard_normal((4, 3))
    layer = as_layer(plain_forward, lambda dout, x, w, b: dout @ w.T, dict(PARAMS))
    with pytest.raises(ValueError, match="backward returns 1 gradients, but must return dx, dw, db"):
        assert_gradients(layer, x)
    layer = as_layer(lambda x: (x, 1, 2), lambda dout, cache: dout)
    with pytest.raises(ValueError, match=r"forward returns a tuple of 3, but must return out or \(out, cache\)"):
        assert_gradients(layer, x)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, np.sin), "forward is 1, but must be a function"),
        ((np.sin, None), "backward is None, but must be a function"),
        ((np.sin, np.cos, {"w": [1.0]}), "params has a list as 'w', but must have NumPy arrays"),
    ],
)
def test_what_is_no_layer_is_refused(arguments, message):
    with pytest.raises(TypeError, match=message):
        as_layer(*arguments)


def test_a_loss_is_a_layer(rng):
    labels = np.array([0, 2, 1, 1])
    logits = rng.standard_normal((4, 3))
    loss = as_loss(softmax_cross_entropy, labels, backend="reference")
    assert_gradients(loss, logits)
    assert repr(loss) == "softmax_cross_entropy"

    def summed(logits, labels):
        value, dlogits = softmax_cross_entropy(logits, labels, "reference")
        return value, 4 * dlogits

    with pytest.raises(AssertionError, match="4 times the right one: usually a sum over the batch"):
        assert_gradients(as_loss(summed, labels), logits)


def test_what_is_no_loss_is_refused(rng):
    x = rng.standard_normal((2, 3))
    with pytest.raises(TypeError, match="loss is 3, but must be a function"):
        as_loss(3)
    for loss, what in (
        (np.sum, "a float64"),
        (lambda y: (y, y), "a tuple of 2"),
        (lambda y: (1.0, y, y), "a tuple of 3"),
    ):
        with pytest.raises(ValueError, match=f"returns {what}, but must return its value and its gradient"):
            as_loss(loss).forward(x)


class OldDropout:
    """A layer of one's own: its generator is of NumPy's old kind, in a list, in a dict."""

    def __init__(self):
        self.params = self.grads = {}
        self.state = {"generators": [np.random.RandomState(3)], "self": self}

    def forward(self, x):
        self.kept = self.state["generators"][0].standard_normal(x.shape) > 0
        return 2 * x * self.kept

    def backward(self, dout):
        return 2 * dout * self.kept


class GlobalDropout(OldDropout):
    def forward(self, x):
        self.kept = np.random.rand(*x.shape) > 0.5  # noqa: NPY002
        return 2 * x * self.kept


@pytest.mark.parametrize(
    "layer",
    [
        Dropout(0.5, backend="reference", rng=1),
        Sequential([("relu", ReLU(backend="reference")), ("drop", Dropout(0.3, backend="reference", rng=1))]),
        OldDropout(),
        GlobalDropout(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_random_layer_is_checked_when_frozen(layer, rng):
    x = rng.standard_normal((4, 6))
    report = diagnose(layer, x)
    assert not report.passed
    assert "it draws random numbers" in str(report)
    held = frozen(layer)
    np.testing.assert_array_equal(held.forward(x), held.forward(x))
    assert_gradients(held, x)
    assert held.params is layer.params or held.params == layer.params
    assert repr(held).startswith("frozen(")


def test_a_frozen_layer_starts_from_the_state_it_was_frozen_in(rng):
    layer = Dropout(0.5, backend="reference", rng=1)
    x = rng.standard_normal((4, 6))
    first = frozen(layer).forward(x)
    assert not np.array_equal(first, frozen(layer).forward(x))


def test_a_wrong_dropout_is_told_by_its_ratio(rng):
    class Unscaled(Dropout):
        def backward(self, dout):
            return super().backward(dout) * (1 - self.rate)

    with pytest.raises(AssertionError, match=r"Each element is 0\.75 times the right one"):
        assert_gradients(frozen(Unscaled(0.25, backend="reference", rng=1)), rng.standard_normal((4, 6)))
