"""What a layer must keep to: one sentence for each breach, and none for the layers of the package."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tinyalexnet import AvgPool2d, Conv2d, Dense, Dropout, Flatten, LocalResponseNorm, MaxPool2d, ReLU, Sequential
from tinyalexnet.gradcheck import diagnose, frozen


class Linear:
    """out = x w + b; each breach below changes one thing of it."""

    def __init__(self):
        rng = np.random.default_rng(3)
        self.params = {"w": rng.standard_normal((3, 2)), "b": rng.standard_normal(2)}
        self.grads = {}

    def forward(self, x):
        self.x = x
        return x @ self.params["w"] + self.params["b"]

    def backward(self, dout):
        self.grads = {"w": self.x.T @ dout, "b": dout.sum(axis=0)}
        return dout @ self.params["w"].T


X = np.random.default_rng(4).standard_normal((4, 3))


def breach(forward=None, backward=None, **attributes):
    """A Linear whose methods are wrapped: each gets the old method and its argument."""

    class Breach(Linear):
        pass

    if forward:
        Breach.forward = lambda self, x: forward(self, x, super(Breach, self).forward)
    if backward:
        Breach.backward = lambda self, dout: backward(self, dout, super(Breach, self).backward)
    layer = Breach()
    vars(layer).update(attributes)
    return layer


def after(change):
    """A method that runs the old one, and then changes the layer or the result."""

    def method(layer, argument, old):
        result = old(argument)
        changed = change(layer, argument, result)
        return result if changed is None else changed

    return method


def set_grad(value):
    def change(layer, dout, dx):
        layer.grads["w"] = value(layer.grads["w"])

    return after(change)


def increase(name):
    def change(layer, argument, result):
        layer.params[name][0] += 1

    return after(change)


def in_place(layer, array, result):
    array[0, 1] += 1


def accumulate(layer, dout, dx):
    layer.total = getattr(layer, "total", 0) + layer.grads["w"]
    layer.grads["w"] = layer.total


def count(layer, dout, dx):
    layer.calls = getattr(layer, "calls", 0) + 1
    layer.grads["b"] = layer.grads["b"] + layer.calls


def grow(layer, dout, dx):
    """Small numbers: 0.25, then 1."""
    layer.calls = getattr(layer, "calls", 0) + 1
    layer.grads["b"] = np.full(2, 0.25 * layer.calls**2)


def noise(layer, x, out):
    return out + np.random.default_rng().standard_normal(out.shape)


def copied(layer, x, old):
    if not hasattr(layer, "copy"):
        layer.copy = layer.params["w"].copy()
    layer.x = x
    return x @ layer.copy + layer.params["b"]


class NewArrays(Linear):
    @property
    def params(self):
        return self.kept | {"w": self.kept["w"].copy()}

    @params.setter
    def params(self, value):
        self.kept = value


class NoBackward:
    def __init__(self):
        self.params = {}

    def forward(self, x):
        return x


class NoParams(Linear):
    def __init__(self):
        pass


BREACHES = {
    "no backward": (NoBackward(), "backward: wrong. The layer has no backward(): it must have forward(x) and backward"),
    "no params": (NoParams(), "params: wrong. The layer has no dict params: it must have one, which is empty without"),
    "params a list": (breach(params=[1]), "params: wrong. The layer has no dict params"),
    "grads a list": (breach(grads=[1]), "grads: wrong. The layer has no dict grads"),
    "a param a list": (breach(params={"w": [1.0]}), "w: wrong. params['w'] is a list, but must be a NumPy array."),
    "new arrays": (NewArrays(), "w: wrong. params['w'] is another array each time that it is asked for: it must be"),
    "params infinite": (
        breach(params={"w": np.full((3, 2), np.inf), "b": np.zeros(2)}),
        "w: wrong. params['w'] is not finite: params['w'][0,0] is inf.",
    ),
    "x in place": (
        breach(after(in_place)),
        "forward: wrong. forward changes x in place, first at x[0,1]: it must work",
    ),
    "forward changes b": (breach(increase("b")), "forward: wrong. forward changes params['b']: only an optimizer may"),
    "out a list": (breach(after(lambda s, x, out: out.tolist())), "forward: wrong. forward returns a list, but must"),
    "out float32": (
        breach(after(lambda s, x, out: out.astype(np.float32))),
        "forward: wrong. out has dtype float32, but must have float64: a check needs its digits from end to end.",
    ),
    "out complex": (breach(after(lambda s, x, out: out + 0j)), "forward: wrong. out is complex (complex128), but must"),
    "out nan": (breach(after(lambda s, x, out: out * np.nan)), "forward: wrong. out is not finite: out[0,0] is nan."),
    "random": (
        breach(after(noise)),
        "forward: wrong. forward gives another result for the same x: it draws random num",
    ),
    "dout in place": (
        breach(backward=after(in_place)),
        "backward: wrong. backward changes dout in place, first at dout[0,1].",
    ),
    "backward changes w": (
        breach(backward=increase("w")),
        "backward: wrong. backward changes params['w']: only an optimizer may do so.",
    ),
    "no dw": (breach(backward=set_grad(lambda dw: None)), "w: wrong. dw is missing: backward must write grads['w']."),
    "dw a list": (breach(backward=set_grad(np.ndarray.tolist)), "w: wrong. dw is a list, but must be a NumPy array."),
    "dw shape": (
        breach(backward=set_grad(np.transpose)),
        "w: wrong. dw has shape (2, 3), but must have the shape of w, (3, 2).",
    ),
    "dw float32": (breach(backward=set_grad(np.float32)), "w: wrong. dw has dtype float32, but must have float64"),
    "dw nan": (breach(backward=set_grad(lambda dw: dw / 0 * 0)), "w: wrong. dw is not finite: dw[0,0] is nan."),
    "no dx": (
        breach(backward=lambda layer, dout, old: (old(dout), None)[1]),
        "x: wrong. dx is missing: backward must return it, or check with needs_dx=False.",
    ),
    "accumulates": (
        breach(backward=after(accumulate)),
        "w: wrong. dw doubles with a second backward: it adds to the old gradient, but must replace it.",
    ),
    "differs": (
        breach(backward=after(count)),
        "b: wrong. db differs after a second forward and backward of the same x and dout: if it draws random numbers,",
    ),
    "differs a little": (
        breach(backward=after(grow)),
        "b: wrong. db differs after a second forward and backward of the same x and dout: if it draws random numbers,",
    ),
    "a copy": (
        breach(copied),
        "w: wrong. forward does not see a change of params['w']: it leaves it out, or uses a copy that it took before",
    ),
}


@pytest.mark.parametrize(("layer", "sentence"), BREACHES.values(), ids=BREACHES.keys())
def test_a_breach_is_one_sentence(layer, sentence):
    with np.errstate(all="ignore"):
        report = diagnose(layer, X)
    lines = str(report).splitlines()
    assert [line for line in lines if line.startswith(sentence)], lines
    assert len(lines) == 2
    assert not report.passed


def test_what_breaches_nothing_has_no_such_sentence():
    assert diagnose(Linear(), X).passed
    # As a scale of 1 that a layer begins with: the change that is tried must not lead back to it.
    for value in (1, 0, -1):
        assert diagnose(breach(params={"w": np.full((3, 2), 1.0 * value), "b": np.full(2, 1.0 * value)}), X).passed


def test_an_x_that_is_not_a_number_is_not_taken_for_chance():
    x = X.copy()
    x[0, 0] = np.nan
    assert "forward" not in str(diagnose(Linear(), x))


@pytest.mark.parametrize("name", ["forward", "backward"])
def test_parameters_are_as_before_even_if_the_layer_changes_them(name):
    layer = breach(**{name: increase("w")})
    before = layer.params["w"].copy()
    diagnose(layer, X)
    # The backward of the second run changes them once more, after they were put back.
    assert np.abs(layer.params["w"] - before).max() <= 1


@pytest.mark.parametrize(
    "layer",
    [
        Conv2d(4, 2, 3, 2, "SAME", groups=2, backend="reference", dtype=np.float64),
        MaxPool2d(2, 1, backend="reference"),
        AvgPool2d(2, 1, backend="reference"),
        LocalResponseNorm(1, 1.0, 0.5, 0.75, backend="reference"),
        ReLU(backend="reference"),
        ReLU(inplace=True, backend="reference"),
        Sequential(
            [("conv", Conv2d(4, 4, 1, backend="reference", dtype=np.float64)), ("relu", ReLU(True, "reference"))]
        ),
        Flatten(),
        frozen(Dropout(0.5, backend="reference")),
    ],
    ids=repr,
)
def test_the_layers_of_the_package_keep_to_it(layer, rng):
    report = diagnose(layer, rng.standard_normal((2, 5, 4, 4)))
    assert report.passed, str(report)


def test_a_dense_layer_with_float32_parameters_is_refused(rng):
    with pytest.raises(TypeError, match="w has dtype float32, but must have dtype float64"):
        diagnose(Dense(3, 2, "reference"), rng.standard_normal((2, 3)))
    message = re.escape("x has dtype float32, but must have dtype float64")
    with pytest.raises(TypeError, match=message):
        diagnose(Dense(3, 2, "reference", np.float64), np.zeros((2, 3), np.float32))
