"""Networks: names, order, nested networks, copies, errors with the layer's name, and the losses behind them."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from tinyalexnet import Conv2d, Dense, Dropout, Flatten, MaxPool2d, ReLU, Sequential, alexnet, softmax_cross_entropy
from tinyalexnet.gradcheck import assert_gradients
from tinyalexnet.layers.base import Cost


def small_net(backend="reference", inplace=True, dtype=np.float64, needs_dx=True):
    rng = np.random.default_rng(3)
    return Sequential(
        [
            ("conv1", Conv2d(3, 4, 3, 2, "SAME", backend=backend, dtype=dtype, rng=rng, needs_dx=needs_dx)),
            ("relu1", ReLU(inplace, backend)),
            ("pool1", MaxPool2d(3, 2, backend=backend)),
            ("conv2", Conv2d(4, 6, (3, 2), 1, 1, groups=2, backend=backend, dtype=dtype, rng=rng)),
            ("relu2", ReLU(inplace, backend)),
        ]
    )


def classifier(backend):
    """Networks in a network, and a layer of every kind of state."""
    rng = np.random.default_rng(5)
    features = [("conv", Conv2d(3, 4, 3, backend=backend, rng=rng)), ("relu", ReLU(inplace=True, backend=backend))]
    head = [("drop", Dropout(0.5, rng=7, backend=backend)), ("fc", Dense(36, 5, backend, rng=rng))]
    return Sequential([("features", Sequential(features)), ("flat", Flatten()), ("head", Sequential(head))])


def step(run, net, x, labels):
    """The loss, the output and the gradients of a step."""
    out = net.forward(run.to_device(x))
    loss, dout = softmax_cross_entropy(out, run.to_device(labels), run.name)
    net.backward(dout)
    return [run.to_host(value) for value in (loss, out, *net.grads.values())]


# --- gradients --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inplace", [False, True])
def test_network_gradients(backend, inplace, rng):
    net = small_net(backend, inplace)
    assert_gradients(net, rng.standard_normal((2, 11, 9, 3)))


def test_in_place_makes_no_difference_to_the_result(backend, rng):
    x, results = rng.standard_normal((2, 11, 9, 3)), []
    for inplace in (False, True):
        net = small_net(backend, inplace)
        out = net.forward(x)
        dx = net.backward(np.ones_like(out))
        results.append([out, dx, *net.grads.values()])
    for plain, in_place in zip(*results, strict=True):
        np.testing.assert_array_equal(plain, in_place)


def test_needs_dx_false_gives_the_same_grads_and_no_dx(backend, rng):
    x = rng.standard_normal((2, 11, 9, 3))
    with_dx, without = small_net(backend), small_net(backend, needs_dx=False)
    dout = rng.standard_normal(with_dx.forward(x).shape)
    without.forward(x)
    assert with_dx.backward(dout.copy()).shape == x.shape
    assert without.backward(dout.copy()) is None
    for name, grad in with_dx.grads.items():
        np.testing.assert_array_equal(without.grads[name], grad)


def test_a_dx_left_out_in_the_middle_is_refused(rng):
    net = Sequential([("a", ReLU(backend="reference")), ("b", Conv2d(1, 1, 1, backend="reference", needs_dx=False))])
    out = net.forward(np.ones((1, 2, 2, 1), np.float32))
    with pytest.raises(ValueError, match="needs_dx is False in a layer after 'a', but must be True"):
        net.backward(out)


def test_alexnet_backends_agree_and_the_images_get_no_gradient(rng):
    """67x67 is the smallest image that leaves pool5 one pixel."""
    x = rng.standard_normal((1, 67, 67, 3))
    nets = [alexnet(backend=backend, dtype=np.float64) for backend in ("reference", "cpu")]
    outs = [net.forward(x.copy()) for net in nets]
    assert outs[0].shape == (1, 1, 1, 256)
    np.testing.assert_allclose(outs[0], outs[1], rtol=1e-11)
    assert nets[0].backward(outs[0].copy()) is None
    assert nets[1].backward(outs[0].copy()) is None
    for name, grad in nets[0].grads.items():
        np.testing.assert_allclose(nets[1].grads[name], grad, rtol=0, atol=1e-11 * np.abs(grad).max())


# --- names, nested networks, copies -----------------------------------------------------------------------------------


def test_sequential_is_a_dict_of_layers_and_nests(backend, rng):
    inner = small_net(backend)
    net = Sequential([("block", inner), ("relu", ReLU(backend=backend))])
    assert len(net) == 2
    assert [name for name, _ in inner] == ["conv1", "relu1", "pool1", "conv2", "relu2"]
    assert net["block"] is inner
    assert [name for name, _ in net.leaves()] == [*(f"block.{name}" for name, _ in inner), "relu"]
    assert set(net.params) == {"block.conv1.w", "block.conv1.b", "block.conv2.w", "block.conv2.b"}
    assert net.grads == {}
    assert net.cache == ()
    x = rng.standard_normal((2, 11, 9, 3))
    out = net.forward(x)
    assert net.output_shape(x.shape) == out.shape
    assert len(net.cache) == 6
    net.backward(np.ones_like(out))
    assert set(net.grads) == set(net.params)
    net.params["block.conv1.w"][...] = 0
    assert (inner["conv1"].params["w"] == 0).all()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["copy", "pickle"])
def test_a_copy_computes_the_same_bits_with_parameters_of_its_own(run, copied, rng):
    """Also of dropout: its generator is copied where it is."""
    net, x, labels = classifier(run.name), rng.standard_normal((2, 5, 5, 3)).astype(np.float32), np.array([1, 4])
    step(run, net, x, labels)
    again = copied(net)
    assert repr(again) == repr(net)
    assert again.cache == ()
    for one, other in zip(step(run, net, x, labels), step(run, again, x, labels), strict=True):
        np.testing.assert_array_equal(one, other, strict=True)
    before = {name: run.to_host(value).copy() for name, value in net.params.items()}
    for value in again.params.values():
        run.device.write(value, np.zeros(value.shape, np.float32))
    for name, value in net.params.items():
        np.testing.assert_array_equal(run.to_host(value), before[name])
    # Its parameters are those of its layers, which compute with them.
    again.train = False
    assert not run.to_host(again.forward(run.to_device(x))).any()


def test_a_network_as_text():
    assert repr(classifier("reference")) == (
        "Sequential([\n"
        "    ('features', Sequential([\n"
        "        ('conv', Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1), padding='VALID')),\n"
        "        ('relu', ReLU(inplace=True)),\n"
        "    ])),\n"
        "    ('flat', Flatten()),\n"
        "    ('head', Sequential([\n"
        "        ('drop', Dropout(rate=0.5)),\n"
        "        ('fc', Dense(36, 5)),\n"
        "    ])),\n"
        "])"
    )


def test_a_network_switches_its_dropout(rng):
    net = Sequential([("flat", Flatten()), ("drop", Sequential([("inner", Dropout(0.5, rng=0))])), ("fc", Dense(8, 2))])
    assert net.train
    x = rng.standard_normal((3, 2, 2, 2)).astype(np.float32)
    net.train = False
    assert not net.train
    np.testing.assert_array_equal(net.forward(x), net.forward(x))
    net.train = True
    assert (net.forward(x) != net.forward(x)).any()


def test_the_cost_is_the_sum_of_the_layers():
    net, shape = classifier("reference"), (2, 5, 5, 3)
    conv, dense = 2 * 3 * 3 * 4 * 27, 2 * 36 * 5
    assert net.cost(shape) == Cost(conv + dense, conv + dense, "")
    assert net["features"].cost(shape) == Cost(conv, conv, "")
    assert net.output_shapes(shape) == {"features": (2, 3, 3, 4), "flat": (2, 36), "head": (2, 5)}


# --- refused ----------------------------------------------------------------------------------------------------------

RELU = ReLU(backend="reference")


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "layers is empty, but must hold at least one"),
        ([("a", ReLU()), ("a", ReLU())], "layers has a layer named 'a', but names"),
        ([("a.b", ReLU())], "layers has a layer named 'a.b', but names"),
        ([("", ReLU())], "layers has a layer named '', but names"),
        ([(1, ReLU())], "layers has a layer named 1, but names"),
        ([("a", RELU), ("b", RELU)], "layers has one object as 'a' and 'b', but must have a layer for each name"),
        ([("a", RELU), ("in", Sequential([("b", RELU)]))], r"layers has one object as 'a' and 'in\.b', but must"),
        ([("in", Sequential([("a", RELU)])), ("on", Sequential([("b", RELU)]))], r"as 'in\.a' and 'on\.b', but must"),
    ],
)
def test_constructors_refuse(layers, message):
    with pytest.raises(ValueError, match=message):
        Sequential(layers)


def test_one_network_twice_is_refused():
    block = Sequential([("relu", RELU)])
    with pytest.raises(ValueError, match=r"layers has one object as 'first\.relu' and 'second\.relu', but must"):
        Sequential([("first", block), ("second", block)])


def test_an_error_begins_with_the_name_of_the_layer(backend):
    net = classifier(backend)
    with pytest.raises(TypeError, match=r"^features: conv: x has dtype float64, but must have the dtype of w, float32"):
        net.forward(np.ones((2, 5, 5, 3)))
    with pytest.raises(ValueError, match=r"^features: conv: x has 5 channels, but must have 3 \(N, H, W, C\)"):
        net.forward(np.ones((2, 3, 5, 5), np.float32))
    with pytest.raises(ValueError, match=r"^head: fc: x has 64 channels, but must have 36 \(N, C\)"):
        net.forward(np.ones((2, 6, 6, 3), np.float32))
    for shapes in (net.output_shape, net.output_shapes):
        with pytest.raises(ValueError, match=r"^head: fc: x has 64 channels, but must have 36 \(N, C\)"):
            shapes((2, 6, 6, 3))
    with pytest.raises(ValueError, match=r"^features: conv: x has 1 x 1 pixels.*fits nowhere"):
        net.forward(np.ones((2, 1, 1, 3), np.float32))


def test_an_error_of_a_backward_begins_with_the_name_too(backend):
    net = classifier(backend)
    with pytest.raises(ValueError, match=r"^head: fc: dout was given to backward before any forward"):
        net.backward(np.ones((2, 5), np.float32))
    net.forward(np.ones((2, 5, 5, 3), np.float32))
    with pytest.raises(ValueError, match=r"^head: fc: dout has shape \(3, 5\), but must have the .*, \(2, 5\)"):
        net.backward(np.ones((3, 5), np.float32))


# --- the table of the layers ------------------------------------------------------------------------------------------


def test_summary_is_a_table_with_sums():
    lines = alexnet("mnist", "reference").summary().splitlines()
    assert lines[0].split() == ["name", "layer", "output", "parameters", "multiply-adds"]
    assert lines[1].split() == [
        *("conv1", "Conv2d(1,", "32,", "kernel_size=(5,", "5),", "stride=(1,", "1),", "padding='SAME')"),
        *("1", "x", "28", "x", "28", "x", "32", "832", "627,200"),
    ]
    assert lines[-1].split() == ["sum", "3,274,634", "13,883,904"]
    assert len({len(line) for line in (lines[0], lines[1], lines[-1])}) == 1


def test_summary_without_and_with_a_shape():
    net = classifier("reference")
    assert [line.split()[0] for line in net.summary().splitlines()[1:-1]] == [
        *("features.conv", "features.relu", "flat", "head.drop", "head.fc")
    ]
    assert net.summary().splitlines()[-1].split() == ["sum", "297"]
    assert "2 x 3 x 3 x 4" in net.summary((2, 5, 5, 3))
    cost = net.cost((2, 5, 5, 3)).multiply_adds
    assert net.summary((2, 5, 5, 3)).splitlines()[-1].split() == ["sum", "297", f"{cost:,}"]
    with pytest.raises(ValueError, match=r"features\.conv: "):
        net.summary((2, 5, 5, 4))


def test_notebooks_get_the_table_and_no_markup_of_names():
    net = Sequential([("<b>", Flatten()), ("fc", Dense(4, 2, "reference"))])
    html = net._repr_html_()
    assert html.count("<tr>") == 4
    assert "<td>&lt;b&gt;</td><td>Flatten()</td>" in html
    assert net["fc"]._repr_html_() == "<code>Dense(4, 2)</code>"
