"""The terms of an element add up to it, for every layer and pass: exactly on integers, else within the bound."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyalexnet import (
    AvgPool2d,
    Conv2d,
    CrossEntropyLoss,
    Dense,
    Dropout,
    Flatten,
    L2Loss,
    Layer,
    LocalResponseNorm,
    MaxPool2d,
    OneOutput,
    ReLU,
    Sequential,
    alexnet,
    explain,
    l2_loss,
    trace,
)
from tinyalexnet.alexnet import VARIANTS, Conv, Norm, Pool, Relu
from tinyalexnet.strategies import geometries, integer_arrays
from tinyalexnet.tracing.explanation import GIVEN


def given_gradient(dout):
    """A loss whose gradient is ``dout``."""
    return lambda out: (0.0, dout.reshape(out.shape).astype(out.dtype))


def with_integers(layer, draw):
    for value in layer.params.values():
        value[...] = draw(integer_arrays(value.shape))
    return layer


def passed(layer, x, draw):
    """A trace of one layer with a random integer ``dout``."""
    dout = draw(integer_arrays(layer.output_shape(x.shape)))
    return trace(Sequential([("layer", layer)]), x, given_gradient(dout))


def elements(found, draw, layer="layer", arrays=("out", "dx", "dw", "db")):
    """One random element of each array."""
    for array in arrays:
        stored = found.steps[layer].arrays.get(array)
        if stored is not None and stored.size:
            index = tuple(draw(st.integers(0, size - 1)) for size in stored.shape)
            yield stored[index], explain(found, layer, array, index)


def is_sum_of_its_terms(explanation):
    return math.fsum(term.value for term in explanation.terms) == explanation.value


@given(geometries(), st.data())
def test_convolutions_are_exact_on_integers(geometry, data):
    x = data.draw(integer_arrays(geometry.x_shape))
    window = geometry.window
    sizes = geometry.x_shape[3], geometry.filters, window.kernel, window.stride, window.padding, geometry.groups
    layer = with_integers(Conv2d(*sizes, backend="reference", algorithm="gemm"), data.draw)
    for stored, explanation in elements(passed(layer, x, data.draw), data.draw):
        assert explanation.is_exact
        assert explanation.value == stored
        assert is_sum_of_its_terms(explanation)


@given(geometries(pooling=True), st.sampled_from([MaxPool2d, AvgPool2d]), st.data())
def test_pools(geometry, kind, data):
    x, window = data.draw(integer_arrays(geometry.x_shape)), geometry.window
    layer = kind(window.kernel, window.stride, window.padding, backend="reference")
    for _, explanation in elements(passed(layer, x, data.draw), data.draw):
        assert explanation.is_right
        assert explanation.is_exact or kind is AvgPool2d  # a share of a third rounds


@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.data())
def test_dense_layers_are_exact_on_integers(n, inputs, outputs, data):
    layer = with_integers(Dense(inputs, outputs, backend="reference"), data.draw)
    for _, explanation in elements(passed(layer, data.draw(integer_arrays((n, inputs))), data.draw), data.draw):
        assert explanation.is_exact
        assert is_sum_of_its_terms(explanation)


@pytest.mark.parametrize("inplace", [False, True])
@given(data=st.data())
def test_relu_and_flatten_are_exact(inplace, data):
    """Also if the ReLU overwrites what was before it."""
    x = data.draw(integer_arrays((2, 3, 4, 2)))
    layers = [("first", ReLU(backend="reference")), ("layer", ReLU(inplace, "reference")), ("flat", Flatten())]
    net = Sequential([("conv", with_integers(Conv2d(2, 3, 1, backend="reference"), data.draw)), *layers[1:]])
    found = trace(net, x, given_gradient(data.draw(integer_arrays((2, 36)))))
    for name in ("conv", "layer", "flat"):
        for stored, explanation in elements(found, data.draw, name):
            assert explanation.is_exact
            assert explanation.value == stored


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(channels=st.integers(1, 9), radius=st.integers(0, 3), beta=st.sampled_from([0.5, 0.75, 1.3]), data=st.data())
def test_lrn_is_within_the_bound(dtype, channels, radius, beta, data):
    shape = 2, 2, 3, channels
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    layer = LocalResponseNorm(radius, bias=2.0, alpha=0.3, beta=beta, backend="reference")
    found = trace(
        Sequential([("layer", layer)]),
        rng.normal(0, 3, shape).astype(dtype),
        lambda out: (0.0, rng.standard_normal(shape).astype(dtype)),
    )
    for stored, explanation in elements(found, data.draw, arrays=("scale", "out", "dx")):
        assert explanation.is_right
        assert explanation.bound < 1e-4 * max(1, abs(stored))


@pytest.mark.parametrize("train", [False, True])
@given(data=st.data())
def test_dropout(train, data):
    layer = Dropout(0.4, train, rng=3, backend="reference")
    for _, explanation in elements(passed(layer, data.draw(integer_arrays((3, 7))), data.draw), data.draw):
        assert explanation.is_right
        assert explanation.is_exact or train


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@given(n=st.integers(1, 4), classes=st.integers(1, 9), spread=st.sampled_from([0.1, 3, 40]), data=st.data())
def test_softmax_and_cross_entropy_are_within_the_bound(backend, n, classes, spread, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    logits = rng.normal(0, spread, (n, classes)).astype(np.float32)
    labels = rng.integers(0, classes, n)
    found = trace(Sequential([("layer", Flatten())]), logits, CrossEntropyLoss(labels, backend))
    for _, explanation in elements(found, data.draw, "loss", ("p", "loss", "dx")):
        assert explanation.is_right
    assert found.loss == pytest.approx(explain(found, "loss", "loss").value, abs=1e-5)


def test_the_other_losses(rng):
    x = rng.integers(-4, 5, (2, 3)).astype(np.float32)
    net = Sequential([("flat", Flatten())])
    for loss in (l2_loss, L2Loss("reference")):
        found = trace(net, x, loss)
        assert explain(found, "loss", "loss").value == (x**2).sum() / 2 == found.loss
        assert explain(found, "loss", "dx", (1, 2)).value == x[1, 2]
    found = trace(net, x, OneOutput((1, 2)))
    assert explain(found, "loss", "loss").value == x[1, 2]
    assert [explain(found, "loss", "dx", index).value for index in ((1, 2), (1, 1))] == [1, 0]
    loss, dout = OneOutput((0, 1), "reference")(np.array([[2, 5.5, 7]], np.float32))
    assert (loss, dout.tolist(), dout.dtype) == (5.5, [[0, 1, 0]], np.float32)
    assert list(map(repr, (L2Loss(), CrossEntropyLoss([3]), OneOutput((1, 2))))) == [
        "L2Loss()",
        "CrossEntropyLoss([3])",
        "OneOutput((1, 2))",
    ]


# --- a whole network --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    """A classifier with a group, a nested network and dropout, in training."""
    rng = np.random.default_rng(8)
    norm, pool = LocalResponseNorm(2, backend="reference"), MaxPool2d(3, 2, "SAME", "reference")
    layers = [
        ("conv1", Conv2d(3, 4, 3, 2, "SAME", backend="reference", rng=rng, needs_dx=False, algorithm="gemm")),
        ("relu1", ReLU(inplace=True, backend="reference")),
        ("block", Sequential([("norm", norm), ("pool", pool)])),
        ("conv2", Conv2d(4, 6, 3, 1, 1, groups=2, backend="reference", rng=rng, algorithm="gemm")),
        ("avg", AvgPool2d(2, 1, backend="reference")),
        ("flatten", Flatten()),
        ("drop", Dropout(0.3, rng=2, backend="reference")),
        ("fc", Dense(24, 5, "reference", rng=rng)),
    ]
    x = rng.standard_normal((2, 9, 11, 3)).astype(np.float32)
    return trace(Sequential(layers), x, CrossEntropyLoss([1, 4], "reference"))


def computed(found):
    """The arrays of a trace that are computed, each by its maker's name."""
    return [
        (name, array)
        for name, step in found.steps.items()
        for array in step.arrays
        if found.maker(name, array) == (name, array)
        and array not in GIVEN
        and array not in getattr(step.computes, "params", {})
    ]


def test_every_operand_is_an_element_of_the_trace_that_can_be_explained(small):
    """Of a random element of every array: the way forward and back does not end before the input and the parameters."""
    rng = np.random.default_rng(1)
    assert len(computed(small)) == 8 * 2 + 3 * 2 + 2 + 1 + 3 - 1 + 1
    for layer, array in computed(small):
        stored = small.array(layer, array)
        explanation = explain(small, layer, array, tuple(rng.integers(size) for size in stored.shape))
        assert explanation.is_right
        assert explanation.terms
        for term in explanation.largest(5):
            product = math.prod(operand.value for operand in term.operands)
            assert product == pytest.approx(term.value, rel=1e-15)
            for operand in term.operands:
                if operand.element is not None:
                    of = small.array(operand.element.layer, operand.element.array)[operand.element.index]
                    assert operand.dtype is None or operand.value == of
                    assert explain(small, *vars(operand.element).values()).stored == of


@pytest.mark.parametrize("variant", ["tf2017", "caffe", "digits"])
def test_networks_of_the_table(variant):
    """At their real sizes, without large dense layers: LRN, groups; three elements of every array."""
    table = VARIANTS[variant]
    if variant == "caffe":
        rows = tuple(row for row in table.layers if isinstance(row, (Conv, Norm, Pool, Relu)) and row.name < "relu6")
        table = replace(table, layers=rows, num_classes=None)
    net = alexnet(table, "reference", algorithm="gemm")
    rng = np.random.default_rng(4)
    x = rng.standard_normal((1, *net.x_shape[1:])).astype(np.float32)
    found = trace(net, x, l2_loss)
    for layer, array in computed(found):
        for _ in range(3):
            stored = found.array(layer, array)
            explanation = explain(found, layer, array, tuple(rng.integers(size) for size in stored.shape))
            assert explanation.is_right, explanation
            assert explanation.bound <= 1e-30 + 1e-3 * sum(abs(term.value) for term in explanation.terms)


def test_winograd_is_told_and_has_no_bound(rng):
    layer = Conv2d(4, 8, 3, 1, 1, backend="reference", algorithm="winograd", rng=1)
    found = trace(layer, rng.standard_normal((1, 8, 8, 4)).astype(np.float32), l2_loss)
    for array, index in (("out", (0, 1, 2, 3)), ("dx", (0, 1, 2, 3)), ("dw", (0, 1, 2, 3))):
        explanation = explain(found, "layer", array, index)
        assert explanation.bound is None
        assert explanation.is_right
        assert explanation.difference < 1e-4
        assert "Winograd's algorithm rounds otherwise" in str(explanation)
    assert explain(found, "layer", "db", (3,)).bound is not None


@pytest.mark.parametrize("layer", [Conv2d(1, 1, 1, algorithm="gemm"), Dense(1, 1)])
def test_rounded_factors_are_told_and_have_no_bound(layer):
    """Precision tf32 is a GPU's; here the layer only says that it has it."""
    layer.precision = "tf32"
    shape = (1, 1, 1, 1)[: 4 if isinstance(layer, Conv2d) else 2]
    one = np.ones(shape, np.float32)
    arrays = {"x": one, "dout": one, **layer.params}
    index = (0,) * len(shape)
    terms = layer.terms("out", index, arrays)
    assert not terms.bounded
    assert "tf32" in terms.notes[-1]
    assert layer.terms("db", (0,), arrays).bounded


# --- what it says -----------------------------------------------------------------------------------------------------


def test_what_is_given_has_no_terms(small):
    for layer, array, index, text in (
        ("conv1", "x", (0, 1, 2, 0), "the network's input"),
        ("conv2", "w", (0, 1, 1, 0), "a parameter of the layer; dw is its gradient"),
        ("loss", "labels", (0,), "a label that was given"),
        ("drop", "kept", (0, 3), "drawn at random: if the element is kept"),
        (
            "block.pool",
            "argmax",
            (0, 1, 1, 1),
            "the kernel position of the largest element of the window, kh * KW + kw",
        ),
    ):
        explanation = explain(small, layer, array, index)
        assert (explanation.filled, explanation.terms, explanation.largest(3), explanation.folds) == (text, [], [], [])
        assert (explanation.is_exact, explanation.is_right, explanation.bound) == (True, True, 0)
        assert str(explanation).splitlines()[1] == f"  {text}"
        assert text.replace("'", "&#x27;") in explanation._repr_html_()


@pytest.mark.parametrize(
    ("layer", "array", "index", "message"),
    [
        ("conv9", "out", (0,), "layer is 'conv9', but must be one of conv1, relu1, block.norm, block.pool, conv2, avg"),
        ("conv1", "y", (0,), "array is 'y', but must be one of x, w, b, out, dout, dx, dw, db of 'conv1'"),
        ("fc", "out", (0, 5), r"index is \(0, 5\), but must be 2 ints, each from 0 to below \(2, 5\)"),
        ("fc", "out", (0, -1), r"index is \(0, -1\), but must be 2 ints"),
        ("fc", "out", (0,), r"index is \(0,\), but must be 2 ints"),
        ("fc", "out", 3, "index is 3, but must be 2 ints"),
        ("fc", "out", (0, 1.0), "but must be 2 ints"),
        ("loss", "loss", (0,), r"index is \(0,\), but must be empty: it is one number"),
    ],
)
def test_what_there_is_not_is_refused(small, layer, array, index, message):
    with pytest.raises(ValueError, match=message):
        explain(small, layer, array, index)


def test_layers_and_losses_that_do_not_tell_their_terms():
    class Twice(Layer):
        def forward(self, x):
            return 2 * x

        def backward(self, dout):
            return 2 * dout

    found = trace(Sequential([("twice", Twice())]), np.ones((1, 2)), lambda out: (0.5, out))
    with pytest.raises(ValueError, match="array is 'out', but this layer does not tell its terms"):
        explain(found, "twice", "out", (0, 1))
    with pytest.raises(ValueError, match=r"array is 'dx' of the loss, which .* L2Loss\(\), CrossEntropyLoss"):
        explain(found, "loss", "dx", (0, 1))
    with pytest.raises(ValueError, match="array is 'scale', but must be one of out, dx"):
        ReLU().terms("scale", (0,), {})


def test_infinities_and_nan(rng):
    """As floats add them; what is equal, or NaN on both sides, is exact."""
    layer = Conv2d(1, 1, 3, backend="reference", algorithm="gemm")
    layer.params["w"][...] = 1
    x = rng.standard_normal((1, 4, 5, 1)).astype(np.float32)
    x[0, 0, 0, 0], x[0, 0, 4, 0], x[0, 0, 3, 0] = np.inf, np.nan, np.inf
    found = trace(layer, x)
    infinite, nan = explain(found, "layer", "out", (0, 0, 0, 0)), explain(found, "layer", "out", (0, 0, 2, 0))
    assert infinite.stored == infinite.value == math.inf
    assert infinite.is_exact
    assert nan.is_exact
    assert math.isnan(nan.value)
    assert [term.value for term in infinite.largest(1)] == [math.inf]
    huge = Dense(2, 1, backend="reference", dtype=np.float64)
    huge.params["w"][...] = 1.5e308
    with np.errstate(over="ignore"):
        found = trace(huge, np.ones((1, 2)))
    overflown = explain(found, "layer", "out", (0, 0))
    assert overflown.stored == overflown.value == math.inf


def test_a_bound_that_cannot_be_is_infinite():
    logits = np.array([[0, 1e9]], np.float32)
    found = trace(Flatten(), logits, CrossEntropyLoss([0], "reference"))
    assert explain(found, "loss", "dx", (0, 0)).bound == math.inf
