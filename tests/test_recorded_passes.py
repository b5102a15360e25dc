"""Passes that are recorded and repeated: the bits of those that are not, whatever their arrays held before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import cases

from tests.scale import Scale
from tests.spoiled import calls_of, spoil
from tinyalexnet import (
    AvgPool2d,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
    Sequential,
    alexnet,
    l2_loss,
)
from tinyalexnet.alexnet import VARIANTS
from tinyalexnet.devices import device
from tinyalexnet.devices.cpu import memory, recording
from tinyalexnet.devices.cpu.recording import Recorder
from tinyalexnet.ops.conv2d.winograd.kept import unchanged_filters
from tinyalexnet.recorded import RECORDS, RecordedPasses


def assert_repeated_alike(make, x_shape, train=True, dtype=np.float32):
    """Steps of a network of ``make()`` and of an equal one that is not recorded, on several inputs and parameters."""
    rng = np.random.default_rng(5)
    nets = [make() for _ in range(2)]
    for net in nets:
        net.train = train
    steps = [net.captured(l2_loss, graph=graph) for net, graph in zip(nets, (False, True), strict=True)]
    for count in range(3):
        x = rng.standard_normal(x_shape).astype(dtype)
        for name, value in nets[0].params.items():
            nets[1].params[name][...] = value[...] = value + rng.standard_normal(value.shape).astype(dtype) / 10
        if count:
            spoil(steps[1]._passes, nets[1])
        expected, found = (step(x) for step in steps)
        np.testing.assert_array_equal(found.out, expected.out)
        assert found.loss == expected.loss
        for name, value in nets[0].grads.items():
            np.testing.assert_array_equal(nets[1].grads[name], value, err_msg=name)
        for (name, plain), (_, other) in zip(nets[0].leaves(), nets[1].leaves(), strict=True):
            for array, value in zip(other.cache, plain.cache, strict=True):
                np.testing.assert_array_equal(array, value, err_msg=name)
    assert list(calls_of(steps[1]._passes))
    return steps[1]


def first(channels, dtype=np.float32):
    """A layer whose gradients show the dx of the one behind it."""
    return "first", Conv2d(channels, channels, 1, rng=1, dtype=dtype)


@pytest.mark.compiled
@given(case=cases(), algorithm=st.sampled_from(["gemm", "auto"]), dtype=st.sampled_from([np.float32, np.float64]))
def test_convolutions_of_all_kinds(case, algorithm, dtype):
    how = {"padding": case.window.padding, "groups": case.groups, "rng": 2, "dtype": dtype, "algorithm": algorithm}

    def make():
        layer = Conv2d(case.x_shape[3], case.filters, case.window.kernel, case.window.stride, **how)
        return Sequential([first(case.x_shape[3], dtype), ("conv", layer)])

    assert_repeated_alike(make, case.x_shape, dtype=dtype)


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("x_shape", "filters", "kernel", "stride", "groups", "schedules"),
    [
        ((64, 48, 48, 8), 16, 3, 1, 1, {"convolve_fused", "accumulate_split"}),
        ((1, 13, 13, 64), 64, 3, 1, 2, {"convolve_staged", "accumulate_staged"}),
        ((1, 13, 13, 256), 384, 3, 1, 2, {"convolve_by_filters", "accumulate_by_filters"}),
        # Over blocks of pixels:
        ((2, 59, 59, 3), 16, 11, 4, 1, {"convolve_staged", "accumulate_staged"}),
        ((2, 59, 59, 4), 16, 5, 2, 2, {"convolve_staged", "accumulate_staged"}),
    ],
)
def test_winograd_in_all_its_schedules(x_shape, filters, kernel, stride, groups, schedules):
    def make():
        layer = Conv2d(x_shape[3], filters, kernel, stride, "SAME", groups, rng=2, algorithm="winograd")
        return Sequential([first(x_shape[3]), ("conv", layer)])

    step = assert_repeated_alike(make, x_shape)
    kernels = {getattr(getattr(call, "__self__", None), "__name__", "") for call, _ in calls_of(step._passes)}
    assert {name for name in kernels if name.startswith(("convolve", "accumulate"))} == schedules


@pytest.mark.compiled
@pytest.mark.parametrize("vectors", [1, 3, 8, 20, 130])
@pytest.mark.parametrize(("inputs", "outputs"), [(40, 3), (700, 200), (70, 1)])
def test_dense_layers_of_few_and_of_many_vectors(vectors, inputs, outputs):
    def make():
        return Sequential([("first", Dense(inputs, inputs, rng=1)), ("fc", Dense(inputs, outputs, rng=2))])

    assert_repeated_alike(make, (vectors, inputs))


OTHERS = {
    "max-pool": lambda: MaxPool2d(3, 2),
    "max-pool of a large kernel": lambda: MaxPool2d(17, 1, "SAME"),
    "average-pool": lambda: AvgPool2d(3, 2, "SAME"),
    "LRN": LocalResponseNorm.from_paper,
    "ReLU": ReLU,
    "ReLU in place": lambda: ReLU(inplace=True),
    "dropout": lambda: Dropout(0.3, rng=7),
    "flatten": Flatten,
}


@pytest.mark.compiled
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("n", [1, 40])
@pytest.mark.parametrize("kind", OTHERS)
def test_the_other_layers(kind, n, train):
    """Of few elements in one thread, and of many."""
    assert_repeated_alike(lambda: Sequential([first(8), ("layer", OTHERS[kind]())]), (n, 19, 19, 8), train)


@pytest.mark.compiled
@pytest.mark.parametrize("batch", [1, 2, 9])
@pytest.mark.parametrize("variant", ["tf2015", "tf2017", "cifar", "mnist", "digits"])
def test_whole_networks(variant, batch):
    assert_repeated_alike(lambda: alexnet(variant), (batch, *VARIANTS[variant].image_shape))


def test_what_only_seems_to_be_a_layer_of_the_package_is_not_recorded(rng, monkeypatch):
    """Its NumPy would not be repeated. The same for networks that change how their layers are called."""
    monkeypatch.setattr(type(device("cpu")), "can_record", True)

    class Doubled(ReLU):
        def forward(self, x):
            return 2 * super().forward(x)

    class Turned(Flatten):
        def forward(self, x):
            return super().forward(x[::-1])

    class Residual(Sequential):
        def forward(self, x):
            return x + super().forward(x)

    conv = lambda: ("conv", Conv2d(2, 2, 3, 1, "SAME", rng=1))  # noqa: E731
    nets = [
        Sequential([conv(), ("relu", Doubled())]),
        Sequential([conv(), ("flat", Turned())]),
        Sequential([conv(), ("relu", ReLU(backend="reference"))]),
        Residual([conv()]),
        Sequential([("inside", Residual([conv()]))]),
    ]
    for net in nets:
        step = net.captured()
        assert step._passes is net
        for x in rng.standard_normal((2, 1, 4, 4, 2)).astype(np.float32):
            np.testing.assert_array_equal(step(x).out, net.forward(x))
    assert isinstance(Sequential([conv(), ("inside", Sequential([conv()]))]).captured()._passes, RecordedPasses)


@pytest.mark.compiled
def test_where_transformed_filters_are_kept_nothing_is_recorded(rng):
    """The next step may have other filters, or none that are kept."""
    net = Sequential([("conv", Conv2d(16, 16, 3, 1, "SAME", rng=1, algorithm="winograd"))])
    step = net.captured()
    for x in rng.standard_normal((3, 2, 12, 12, 16)).astype(np.float32):
        with unchanged_filters():
            found = step(x).out
        np.testing.assert_array_equal(found, net.forward(x))
        net["conv"].params["w"] += np.float32(0.1)
    assert not list(calls_of(step._passes))


class Hardware:
    """A device that records; ``recorders`` are those that it has made."""

    def __init__(self):
        self.recorders = []

    def recorder(self):
        self.recorders.append(Recorder())
        return self.recorders[-1]


@pytest.fixture
def passes():
    """Makes passes of Scale layers, and of equal ones that run."""

    def make(*layers):
        nets = [Sequential([(f"scale{k}", Scale(*layer)) for k, layer in enumerate(layers)]) for _ in range(2)]
        leaves = [layer for _, layer in nets[0]]
        return RecordedPasses(nets[0], leaves, Hardware()), *nets

    return make


def test_passes_are_those_of_the_formula_and_draw_as_the_network_does(passes, rng):
    recorded, net, plain = passes((2.0, 5), (3.0, 6))
    for shape in ((4, 3), (4, 3), (2, 3), (4, 3), (2, 3)):
        x, dout = rng.standard_normal((2, *shape))
        np.testing.assert_array_equal(recorded.forward(x), plain.forward(x))
        recorded.backward(dout)
        plain.backward(dout)
        for name, value in plain.grads.items():
            np.testing.assert_array_equal(net.grads[name], value)
        for array, value in zip(net.cache, plain.cache, strict=True):
            np.testing.assert_array_equal(array, value)
    # What the caller has drawn is taken, and a forward that is not recorded draws anew.
    for one in (net, plain):
        for _, layer in one:
            layer.draw()
    np.testing.assert_array_equal(recorded.forward(x), plain.forward(x))
    np.testing.assert_array_equal(net.forward(x), plain.forward(x))
    assert len(recorded._hardware.recorders) == 2


def test_results_are_in_the_same_arrays_and_arguments_are_left_alone(passes, rng):
    recorded, net, _ = passes((2.0,))
    x, dout = rng.standard_normal((2, 4, 3))
    before = x.copy(), dout.copy()
    outs, grads = [], []
    for _ in range(3):
        outs.append(recorded.forward(x))
        recorded.backward(dout)
        grads.append(net.grads["scale0.w"])
    assert outs[0] is outs[1] is outs[2]
    assert grads[0] is grads[1] is grads[2]
    np.testing.assert_array_equal((x, dout), before)
    assert not any(np.shares_memory(x, array) for array in (*net.cache, outs[0]))


def test_parameters_are_read_where_they_are_and_others_are_seen(passes, rng):
    recorded, net, _ = passes((2.0,))
    x = rng.standard_normal((4, 3))
    recorded.forward(x)
    net["scale0"].params["w"][...] = 5
    np.testing.assert_array_equal(recorded.forward(x), 5 * x)
    net["scale0"].params = {"w": np.array([7.0])}
    np.testing.assert_array_equal(recorded.forward(x), 7 * x)
    assert len(recorded._records) == 2


def test_only_the_last_records_are_kept(passes, rng):
    recorded, _, _ = passes((2.0,))
    for rows in (*range(1, RECORDS + 3), RECORDS + 2, 1):
        x = rng.standard_normal((rows, 3))
        np.testing.assert_array_equal(recorded.forward(x), 2 * x)
    assert [key[0][0] for key in recorded._records] == [4, 5, 6, 1]
    assert len(recorded._hardware.recorders) == RECORDS + 3


def test_arguments_that_the_record_is_not_of_are_left_to_the_network(passes, rng):
    """Which says what is wrong, or takes them. Also before any forward, and after one that failed."""
    recorded, net, _ = passes((2.0,))
    with pytest.raises(ValueError, match="before any forward"):
        recorded.backward(np.zeros((4, 3)))
    with pytest.raises(AttributeError, match="shape"):
        recorded.forward([1.0])
    with pytest.raises(ValueError, match="thirteen columns"):
        recorded.forward(np.zeros((2, 13)))
    assert not recorded._records
    x = rng.standard_normal((4, 3))
    for _ in range(2):
        recorded.forward(x)
        with pytest.raises(ValueError, match="broadcast"):
            recorded.backward(np.zeros((4, 2)))
        recorded.backward(np.ones((4, 3)))
        np.testing.assert_allclose(net.grads["scale0.w"], x.sum(), rtol=1e-12)
    with pytest.raises(AttributeError, match="shape"):
        recorded.backward([1.0])
    recorded.backward(np.ones(3))
    np.testing.assert_allclose(net.grads["scale0.w"], x.sum(), rtol=1e-12)


def test_a_loss_may_call_the_network(passes, rng):
    """The backward is then that of the forward of the step, each time."""
    recorded, net, _ = passes((2.0,))
    other = np.full((5, 3), 7.0)
    for _ in range(3):
        x, dout = rng.standard_normal((2, 4, 3))
        recorded.forward(x)
        net.forward(other)
        recorded.backward(dout)
        np.testing.assert_allclose(net.grads["scale0.w"], (x * dout).sum(), rtol=1e-12)


def test_passes_of_too_many_bytes_run(passes, rng, monkeypatch):
    """The forward, and then the backward too; or the backward alone. Nothing of them is held."""
    rows = memory.LEAST_BYTES // 80
    x, dout = rng.standard_normal((2, rows, 11))
    for arrays, repeated in ((1, [False, False]), (2, [True, False]), (4, [True, True])):
        monkeypatch.setattr(recording, "MOST_BYTES", arrays * x.nbytes)
        recorded, net, _ = passes((2.0,), (3.0,))
        for factor in (1, 2):
            np.testing.assert_array_equal(recorded.forward(factor * x), 6 * factor * x)
            recorded.backward(dout)
            np.testing.assert_allclose(net.grads["scale1.w"], (2 * factor * x * dout).sum(), rtol=1e-9)
        (record,) = recorded._records.values()
        assert [record.forward.is_repeated, record._backward.is_repeated] == repeated
