"""A trace keeps copies of all arrays of a pass, and leaves the network as it was."""

from __future__ import annotations

import numpy as np
import pytest

from tinyalexnet import Conv2d, CrossEntropyLoss, Dense, Dropout, Flatten, Layer, ReLU, Sequential, l2_loss, trace


def network(inplace=True):
    rng = np.random.default_rng(3)
    layers = [
        ("conv", Conv2d(2, 3, 3, backend="reference", rng=rng, needs_dx=False)),
        ("relu", ReLU(inplace, backend="reference")),
        ("flatten", Flatten()),
        ("fc", Dense(12, 4, "reference", rng=rng)),
    ]
    return Sequential(layers)


def test_it_has_the_arrays_of_the_pass_by_layer(rng):
    x = rng.standard_normal((2, 4, 4, 2)).astype(np.float32)
    net = network(inplace=False)
    found = trace(net, x, CrossEntropyLoss([1, 3], "reference"))
    assert {name: sorted(step.arrays) for name, step in found.steps.items()} == {
        "conv": ["b", "db", "dout", "dw", "dx", "out", "w", "x"],
        "relu": ["dout", "dx", "out", "x"],
        "flatten": ["dout", "dx", "out", "x"],
        "fc": ["b", "db", "dout", "dw", "dx", "out", "w", "x"],
        "loss": ["dx", "labels", "loss", "p", "x"],
    }
    out = net.forward(x)
    loss, dout = CrossEntropyLoss([1, 3], "reference")(out)
    net["conv"].needs_dx = True
    dx = net.backward(dout)
    np.testing.assert_array_equal(found.array("fc", "out"), out)
    np.testing.assert_array_equal(found.array("conv", "dx"), dx)
    for name, gradient in net.grads.items():
        layer, _, parameter = name.rpartition(".")
        np.testing.assert_array_equal(found.array(layer, f"d{parameter}"), gradient)
    assert found.loss == loss
    assert repr(found).startswith("<Trace of conv, relu, flatten, fc, loss: 0.0 MB>")


def test_the_x_of_a_layer_is_stored_once_and_made_by_the_one_before(rng):
    found = trace(network(), rng.standard_normal((1, 4, 4, 2)).astype(np.float32), l2_loss)
    assert found.array("relu", "x") is found.array("conv", "out")
    assert found.array("conv", "dout") is found.array("relu", "dx")
    assert found.maker("relu", "x") == ("conv", "out")
    assert found.maker("fc", "dout") == ("loss", "dx")
    assert found.maker("conv", "x") == ("conv", "x")
    assert found.maker("loss", "x") == ("fc", "out")


def test_a_relu_in_place_overwrites_nothing_of_it(rng):
    x = rng.standard_normal((1, 4, 4, 2)).astype(np.float32)
    inplace, beside = trace(network(True), x, l2_loss), trace(network(False), x, l2_loss)
    assert (inplace.array("conv", "out") < 0).any()
    for name, step in beside.steps.items():
        for array, value in step.arrays.items():
            np.testing.assert_array_equal(inplace.array(name, array), value, err_msg=f"{name} {array}")


def test_later_changes_do_not_reach_it(rng):
    x = rng.standard_normal((1, 4, 4, 2)).astype(np.float32)
    net = network()
    found = trace(net, x, l2_loss)
    before = {(name, key): value.copy() for name, step in found.steps.items() for key, value in step.arrays.items()}
    x[...] = 0
    for value in net.params.values():
        value[...] = 1
    net.backward(net.forward(x))
    for (name, key), value in before.items():
        np.testing.assert_array_equal(found.array(name, key), value)


def test_the_first_layer_leaves_out_dx_again(rng):
    net = network()
    with pytest.raises(ValueError, match="conv: "):
        trace(net, np.ones((1, 4, 4, 5), np.float32), l2_loss)
    trace(net, np.ones((1, 4, 4, 2), np.float32), l2_loss)
    assert not net["conv"].needs_dx
    with pytest.raises(ValueError, match="fc: dout"):
        trace(net, np.ones((1, 4, 4, 2), np.float32), lambda out: (0.0, out[:, :2]))
    assert not net["conv"].needs_dx


def test_without_a_loss_there_is_no_backward(rng):
    found = trace(network(), rng.standard_normal((1, 4, 4, 2)).astype(np.float32))
    assert found.loss is None
    assert "loss" not in found.steps
    assert sorted(found.steps["fc"].arrays) == ["b", "out", "w", "x"]
    with pytest.raises(ValueError, match="array is 'dx', but must be one of x, w, b, out of 'conv'"):
        found.array("conv", "dx")


def test_a_layer_alone_and_dropout(rng):
    drop = Dropout(0.5, rng=3, backend="reference")
    found = trace(drop, np.ones((1, 20), np.float32), l2_loss)
    np.testing.assert_array_equal(found.array("layer", "out"), 2 * found.array("layer", "kept"))
    drop.train = False
    assert "kept" not in trace(drop, np.ones((1, 20), np.float32)).steps["layer"].arrays


def test_a_layer_called_loss_is_refused():
    with pytest.raises(ValueError, match="a layer is called 'loss'"):
        trace(Sequential([("loss", Flatten())]), np.ones((1, 2)), l2_loss)
    assert list(trace(Sequential([("loss", Flatten())]), np.ones((1, 2))).steps) == ["loss"]


def test_layers_of_ones_own(rng):
    class Scaled(Layer):
        def __init__(self):
            super().__init__("reference")
            self.params = {"factor": np.full(1, 3.0)}

        def forward(self, x):
            return self.params["factor"] * x

        def backward(self, dout):
            self.grads = {"factor": np.full(1, 7.0)}
            return self.params["factor"] * dout

    found = trace(Scaled(), rng.standard_normal((2, 3)), l2_loss)
    assert sorted(found.steps["layer"].arrays) == ["dfactor", "dout", "dx", "factor", "out", "x"]
