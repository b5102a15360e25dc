"""Shards that are computed together have the bits that each has alone."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    softmax_cross_entropy,
)
from tinyalexnet.devices import device
from tinyalexnet.layers.base import Layer
from tinyalexnet.ops.conv2d.winograd import kept as filters
from tinyalexnet.ops.dense import choice
from tinyalexnet.parallel import ShardedStep, runs
from tinyalexnet.parallel.runs import Run, runs_of, same_weights
from tinyalexnet.parallel.tree import spans
from tinyalexnet.strategies import geometries

HOST, CPU = SimpleNamespace(by_image=True), device("cpu")


class Kept:
    """In place of an optimizer: keeps the gradients of a step."""

    def move(self, grads, loss):
        self.found = {name: gradient.tobytes() for name, gradient in grads.items()} | {"loss": loss}


class Whole(Layer):
    """A layer of a user, which knows nothing of runs: it takes the mean of its batch away."""

    def forward(self, x):
        self._save(x.shape)
        return x - x.mean(axis=0)

    def backward(self, dout):
        return dout - dout.mean(axis=0)


def image(rng, shape):
    return rng.standard_normal(shape, dtype=np.float32)


def both(layer, x, dout, rows):
    """The layer's out and dx of some images, for which ``draw`` has drawn."""
    layer.part(rows.start)
    out = layer.forward(x[rows].copy())
    return out.copy(), layer.backward(dout[rows].copy())


def check_alike(layer, x, parts):
    """If the layer says so, shards of one batch and the batch have the same bits in out and in dx."""
    rng = np.random.default_rng(3)
    sizes = {rows.stop - rows.start for rows in parts}
    if not all(layer.rounds_alike((size, *x.shape[1:]), x.shape) for size in sizes):
        return False
    dout = image(rng, layer.output_shape(x.shape))
    layer.draw()
    together = both(layer, x, dout, slice(0, len(x)))
    apart = [both(layer, x, dout, rows) for rows in parts]
    for whole, of in zip(together, zip(*apart, strict=True), strict=True):
        np.testing.assert_array_equal(np.concatenate(of).view(np.uint32), whole.view(np.uint32))
    return True


@pytest.mark.compiled
@given(geometries(), st.integers(2, 12), st.integers(1, 12), st.sampled_from([1, 9]), st.integers(0, 99))
def test_a_convolution_rounds_alike_if_it_says_so(geometry, n, shards, times, seed):
    """Of few channels and of more."""
    layer = Conv2d(
        times * geometry.x_shape[3],
        times * geometry.filters,
        geometry.window.kernel,
        geometry.window.stride,
        geometry.window.padding,
        geometry.groups,
        rng=seed,
    )
    x = image(np.random.default_rng(seed), (n, *geometry.x_shape[1:3], times * geometry.x_shape[3]))
    check_alike(layer, x, spans(n, min(shards, n)))


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("channels", "count", "kernel", "size", "sizes", "alike"),
    [
        (3, 64, 11, (55, 51), (4, 8), True),
        (64, 192, 5, (27, 27), (4, 8), True),
        (64, 192, 5, (27, 27), (16, 32), True),
        (192, 384, 3, (13, 13), (1, 4), False),
        (192, 384, 3, (13, 13), (16, 32), True),
        (1, 32, 5, (28, 28), (4, 8), True),
        (32, 64, 5, (14, 14), (2, 8), False),
        (32, 64, 5, (14, 14), (16, 48), True),
        (48, 64, 5, (7, 7), (1, 2), True),
    ],
)
def test_convolutions_of_the_networks(channels, count, kernel, size, sizes, alike):
    """Also those whose algorithm depends on the batch, and which therefore say no."""
    small, large = sizes
    layer = Conv2d(channels, count, kernel, 1 if kernel < 9 else 4, "SAME", rng=1)
    x = image(np.random.default_rng(2), (large, *size, channels))
    found = check_alike(layer, x, spans(large, large // small))
    assert found is alike
    assert layer.rounds_alike((small, *size, channels), x.shape) is alike


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("inputs", "outputs", "sizes", "alike"),
    [
        (400, 330, (16, 64), True),
        (400, 330, (15, 60), False),
        (400, 330, (48, 96), True),
        (1024, 128, (50, 128), True),
        (1024, 127, (50, 128), True),
    ],
)
def test_dense_layers_round_alike_among_many_vectors(inputs, outputs, sizes, alike):
    small, large = sizes
    layer = Dense(inputs, outputs, rng=1)
    x = image(np.random.default_rng(2), (large, inputs))
    assert check_alike(layer, x, spans(large, large // small)) is alike


@given(st.integers(2, 9), st.integers(1, 9), st.sampled_from([(1, 1), (5, 7), (9, 4)]), st.sampled_from([1, 3, 17, 40]))
def test_layers_without_parameters_take_each_image_by_itself(n, shards, size, channels):
    x = image(np.random.default_rng(1), (n, *size, channels))
    layers = [
        MaxPool2d(3, 2, 1),
        AvgPool2d(3, 2, 1),
        LocalResponseNorm(2, 1.0, 0.1, 0.75),
        LocalResponseNorm(2, 1.0, 0.1, 0.6),
        ReLU(inplace=True),
        Dropout(0.5, rng=3),
        Flatten(),
    ]
    for layer in layers:
        assert check_alike(layer, x, spans(n, min(shards, n)))


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_layers_that_are_not_known_to_take_each_image_by_itself_do_not_say_so(backend):
    shapes = (2, 3), (4, 3)
    assert not Dense(3, 4, backend).rounds_alike(*shapes)
    assert not Whole(backend).rounds_alike(*shapes)
    assert ReLU(backend=backend).rounds_alike(*shapes) is (backend == "cpu")
    conv = Conv2d(3, 4, 1, backend=backend)
    assert conv.rounds_alike((2, 1, 1, 3), (4, 1, 1, 3)) is (backend == "cpu")


def network():
    rng = np.random.default_rng(5)
    inside = [
        ("conv", Conv2d(8, 16, 3, 1, 1, groups=2, rng=rng)),
        ("pool", MaxPool2d(3, 2)),
        ("relu", ReLU(inplace=True)),
        ("whole", Whole()),
    ]
    layers = [
        ("conv", Conv2d(2, 8, 3, 1, 1, rng=rng, needs_dx=False)),
        ("relu", ReLU(inplace=True)),
        ("norm", LocalResponseNorm()),
        ("inside", Sequential(inside)),
        ("drop2d", Dropout(0.2, rng=8)),
        ("flatten", Flatten()),
        ("fc", Dense(144, 5, rng=rng)),
        ("drop", Dropout(0.5, rng=9)),
        ("out", Dense(5, 3, rng=rng)),
    ]
    return Sequential(layers)


def loss(out, labels, batch):
    return softmax_cross_entropy(out, labels, "cpu", batch=batch)


@pytest.mark.parametrize(("batch", "shards"), [(12, 4), (11, 4), (7, 7), (9, 1)])
@pytest.mark.parametrize("overlap", [True, False])
def test_a_step_has_the_same_bits_however_many_images_are_together(monkeypatch, rng, batch, shards, overlap):
    """With layers that take them together and others that do not, of shards of one size and of two."""
    x, labels, found = image(rng, (batch, 7, 7, 2)), rng.integers(0, 3, batch), []
    for images in (0, 2, 5, 128):
        monkeypatch.setattr(runs, "RUN_IMAGES", images)
        kept = Kept()
        result = ShardedStep(network(), loss, kept, shards, overlap=overlap)(x, labels)
        found.append({"out": result.out.tobytes(), **kept.found})
    assert len(found[0]) == 2 + 2 * 4
    assert all(of == found[0] for of in found)


@pytest.mark.parametrize("size", [8, 16, 48])
def test_a_step_with_dense_layers_of_many_vectors(monkeypatch, rng, size):
    """Their forward and dx take all at once from 16 vectors a shard on."""
    monkeypatch.setattr(choice, "MANY_WEIGHTS", dict.fromkeys(choice.MANY, 1))
    batch, found, counted = 2 * size, [], []
    x, labels = image(rng, (batch, 7, 7, 2)), rng.integers(0, 3, batch)
    for images in (0, batch):
        monkeypatch.setattr(runs, "RUN_IMAGES", images)
        net, kept = network(), Kept()
        counted = [calls(net["fc"], name) for name in ("forward", "backward_params", "backward_input")]
        out = ShardedStep(net, loss, kept, 2)(x, labels).out
        found.append({"out": out.tobytes(), **kept.found})
    assert found[0] == found[1]
    together = [batch] if size >= 16 else [size] * 2
    assert counted == [together, [size] * 2, together]


def calls(layer, name):
    """Counts how many images the calls of a method have."""
    counts, method = [], getattr(layer, name)
    setattr(layer, name, lambda array: (counts.append(len(array)), method(array))[1])
    return counts


def test_what_is_together(rng):
    net = network()
    counted = [calls(net["conv"], name) for name in ("forward", "backward_params")]
    counted += [calls(net["inside"]["conv"], name) for name in ("forward", "backward_params", "backward_input")]
    counted += [calls(net["fc"], name) for name in ("forward", "backward")]
    ShardedStep(net, loss, Kept(), 3)(image(rng, (12, 7, 7, 2)), rng.integers(0, 3, 12))
    assert counted == [[12], [4, 4, 4], [12], [4, 4, 4], [12], [4, 4, 4], [4, 4, 4]]


@pytest.mark.parametrize(
    ("rows", "first", "hardware", "expected"),
    [
        (spans(12, 4), 0, HOST, [(0, 2), (2, 2)]),
        (spans(12, 4)[1:], 1, HOST, [(1, 2), (3, 1)]),
        (spans(10, 5), 0, HOST, [(0, 3), (3, 2)]),
        (spans(20, 2), 0, HOST, [(0, 1), (1, 1)]),
        (spans(2, 4), 0, HOST, [(1, 2)]),
        (spans(8, 3), 0, SimpleNamespace(by_image=False), [(0, 1), (1, 1), (2, 1)]),
        (spans(3, 3), 0, SimpleNamespace(by_image=False), [(0, 1), (1, 1), (2, 1)]),
    ],
)
def test_runs_have_the_shards_in_order(monkeypatch, rows, first, hardware, expected):
    """Up to 6 images here: each as the number of its first shard and how many it has."""
    monkeypatch.setattr(runs, "RUN_IMAGES", 6)
    found = runs_of(network(), rows, first, hardware)
    assert [(run.first, len(run.rows)) for run in found] == expected
    numbers = np.arange(100)
    expected_images = np.concatenate([numbers[one] for one in rows])
    np.testing.assert_array_equal(np.concatenate([numbers[run.images()] for run in found]), expected_images)
    start = found[0].rows[0].start
    assert [run.images(start).start for run in found] == [run.images().start - start for run in found]


@pytest.mark.parametrize(("count", "several"), [(1, False), (2, True)])
def test_transformed_filters_are_kept_for_several_runs_alone(count, several):
    with same_weights([Run(network(), at, [slice(at, at + 1)], CPU) for at in range(count)]):
        assert (filters.kept.transformed is not None) is several


def test_a_run_lets_go_of_what_its_layers_saved(rng):
    run = Run(network(), 0, spans(4, 2), CPU)
    run.forward(image(rng, (4, 7, 7, 2)))
    assert len(run._saved) == 12
    list(run.backwards(image(rng, (4, 3))))
    assert not run._saved


@pytest.mark.parametrize("together", [True, False])
def test_errors_name_the_layer(rng, together):
    shards = spans(4, 2 if together else 1)
    with pytest.raises(ValueError, match=r"inside\.conv: x has 3 channels"):
        Run(Sequential([("inside", Sequential([("conv", Conv2d(2, 3, 1))]))]), 0, shards, CPU).forward(
            image(rng, (4, 5, 5, 3))
        )
    without = [("relu", ReLU()), ("conv", Conv2d(2, 3, 1, needs_dx=False))]
    run = Run(Sequential(without), 0, shards, CPU)
    dout = image(rng, (4, 5, 5, 3))
    run.forward(image(rng, (4, 5, 5, 2)))
    with pytest.raises(ValueError, match="needs_dx is False in a layer after 'relu', but must be True"):
        list(run.backwards(dout))
