"""The variants: shapes, parameters, conventions; every one runs, forward and back, alike in both backends."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinyalexnet import Conv2d, Dense, Dropout, LocalResponseNorm, alexnet, softmax_cross_entropy
from tinyalexnet.alexnet import VARIANTS, Variant
from tinyalexnet.alexnet.comparison import comparison
from tinyalexnet.alexnet.variants import Conv, Drop, Flat, Full, Norm, Pool, Relu, check_variant
from tinyalexnet.devices import device
from tinyalexnet.gradcheck import assert_gradients

ROOT = Path(__file__).parent.parent
SMALL = ["cifar", "mnist", "digits"]


def of_zeros(variant):
    """The network of a variant with weights of 0, which take no time and no memory."""
    return alexnet(replace(VARIANTS[variant], weight_std=0.0), backend="reference")


def shapes_of(variant):
    return of_zeros(variant).output_shapes((1, *VARIANTS[variant].image_shape))


def parameters_of(layer):
    return sum(value.size for value in layer.params.values())


def test_tf2015_is_the_page():
    net = alexnet("tf2015", backend="reference")
    shapes = net.output_shapes((128, 227, 227, 3))
    assert {name: shape[1:] for name, shape in shapes.items() if "relu" not in name} == {
        "conv1": (55, 55, 64),
        "pool1": (27, 27, 64),
        "conv2": (27, 27, 192),
        "pool2": (13, 13, 192),
        "conv3": (13, 13, 384),
        "conv4": (13, 13, 256),
        "conv5": (13, 13, 256),
        "pool5": (6, 6, 256),
    }
    assert len(net.params) == 10
    assert all((value == 0).all() for name, value in net.params.items() if name.endswith(".b"))
    assert sum(value.size for value in net.params.values()) == (
        11 * 11 * 3 * 64 + 5 * 5 * 64 * 192 + 9 * 192 * 384 + 9 * 384 * 256 + 9 * 256 * 256 + 64 + 192 + 384 + 512
    )


def test_tf2017_is_its_page():
    """56, 27, 13, 6, with conv1 padded by 3 and 4."""
    shapes = {name: shape[1:] for name, shape in shapes_of("tf2017").items()}
    names = ["conv1", "pool1", "conv2", "pool2", "pool5"]
    assert [shapes[name][0] for name in names] == [56, 27, 27, 13, 6]
    net = alexnet("tf2017", backend="reference")
    assert net["conv1"].window.pads((224, 224)) == ((3, 4), (3, 4))
    norm = net["norm2"]
    assert (norm.radius, norm.bias, norm.alpha, norm.beta) == (2, 2.0, 1e-4, 0.75)


# The first two are known of their systems: torchvision prints 61,100,840, Caffe's model has 60,965,224.
PARAMETERS = {
    "torchvision": 61_100_840,
    "caffe": 60_965_224,
    "krizhevsky2012": 60_965_224,
    "owt": 61_100_840,
    "cifar": 5 * 5 * 3 * 64 + 5 * 5 * 64 * 64 + 2304 * 384 + 384 * 192 + 192 * 10 + 64 + 64 + 384 + 192 + 10,
    "digits": 9 * 16 + 9 * 16 * 32 + 128 * 64 + 64 * 10 + 16 + 32 + 64 + 10,
    "mnist": 5 * 5 * 32 + 5 * 5 * 32 * 64 + 3136 * 1024 + 1024 * 10 + 32 + 64 + 1024 + 10,
}


@pytest.mark.parametrize(("variant", "parameters"), PARAMETERS.items(), ids=PARAMETERS)
def test_parameters(variant, parameters):
    assert parameters_of(of_zeros(variant)) == parameters


def test_the_images_and_the_classes():
    """The other layers do not tell: conv1 has the same output for 227 pixels as for 228."""
    tables = {name: check_variant(name) for name in VARIANTS}
    assert {name: (table.image_shape, table.num_classes) for name, table in tables.items()} == {
        "tf2015": ((227, 227, 3), None),
        "tf2017": ((224, 224, 3), None),
        "owt": ((224, 224, 3), 1000),
        "torchvision": ((224, 224, 3), 1000),
        "caffe": ((227, 227, 3), 1000),
        "krizhevsky2012": ((227, 227, 3), 1000),
        "cifar": ((24, 24, 3), 10),
        "mnist": ((28, 28, 1), 10),
        "digits": ((8, 8, 1), 10),
    }


@pytest.mark.parametrize("variant", ["owt", "torchvision", "caffe", "krizhevsky2012"])
def test_the_large_variants_have_the_maps_of_2012(variant):
    net = of_zeros(variant)
    found = [shape[1:3] for name, shape in shapes_of(variant).items() if net[name].kind in ("conv", "pool")]
    assert found == [(55, 55), (27, 27), (27, 27), (13, 13), (13, 13), (13, 13), (13, 13), (6, 6)]


def test_the_conventions_of_normalisation():
    found = {
        name: [(n.radius, n.bias, round(n.alpha, 9), n.beta) for n in norms]
        for name, table in VARIANTS.items()
        if (norms := [layer for _, layer in alexnet(replace(table, weight_std=0.0)) if layer.kind == "lrn"])
    }
    assert found == {
        "tf2017": [(2, 2.0, 1e-4, 0.75)] * 2,
        "owt": [(2, 2.0, 2e-5, 0.75)] * 2,
        "caffe": [(2, 1.0, 2e-5, 0.75)] * 2,
        "krizhevsky2012": [(2, 2.0, 1e-4, 0.75)] * 2,
        "cifar": [(4, 1.0, round(0.001 / 9, 9), 0.75)] * 2,
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_network_of_zeros_has_the_layers_and_costs_of_the_table(variant):
    """Every row is a layer of its name; each weight is used once for each output pixel."""
    net, shapes = of_zeros(variant), shapes_of(variant)
    assert [row.name for row in VARIANTS[variant].layers] == [name for name, _ in net]
    assert not any(value.any() for value in net.params.values())
    x_shape, total = (1, *VARIANTS[variant].image_shape), 0
    for name, layer in net:
        pixels = math.prod(shapes[name][1:-1])
        expected = pixels * layer.params["w"].size if layer.params else 0
        assert layer.cost(x_shape).multiply_adds == expected
        total, x_shape = total + expected, shapes[name]
    assert net.cost((1, *VARIANTS[variant].image_shape)).multiply_adds == total
    row, c = VARIANTS[variant].layers[0], VARIANTS[variant].image_shape[2]
    conv1 = net["conv1"].cost((1, *VARIANTS[variant].image_shape))
    assert conv1.multiply_adds == row.kernel**2 * c * math.prod(shapes["conv1"])
    if variant in ("tf2015", "tf2017", *SMALL):
        assert {name: value.shape for name, value in alexnet(variant, "reference").params.items()} == {
            name: value.shape for name, value in net.params.items()
        }


@pytest.mark.parametrize("variant", VARIANTS)
def test_relus_overwrite_what_is_before_them(variant):
    """So a pass keeps one array for each of them, and not two."""
    relus = [layer for name, layer in of_zeros(variant) if name.startswith("relu")]
    assert relus
    for layer in relus:
        x = np.array([-1, 2], np.float32)
        layer.forward(x)
        assert x.tolist() == [0, 2]


@pytest.mark.parametrize("variant", SMALL)
def test_backends_agree_on_the_small_variants(variant):
    """In float64: the two differ by the order of some thousand additions, 1e-11."""
    nets = [alexnet(variant, backend=backend, dtype=np.float64) for backend in ("reference", "cpu")]
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((2, *VARIANTS[variant].image_shape)), rng.integers(0, 10, 2)
    results = []
    for net in nets:
        logits = net.forward(x.copy())
        assert logits.shape == (2, 10)
        loss, dlogits = softmax_cross_entropy(logits, labels, backend="reference")
        assert net.backward(dlogits) is None
        results.append((loss, net.grads))
    assert np.isclose(results[0][0], results[1][0], rtol=1e-11)
    assert set(results[0][1]) == set(nets[0].params)
    for name, grad in results[0][1].items():
        assert np.count_nonzero(grad) > grad.size / 20, name
        np.testing.assert_allclose(results[1][1][name], grad, rtol=0, atol=1e-11 * np.abs(grad).max())


EVERYTHING = Variant(
    image_shape=(12, 11, 4),
    layers=(
        Conv("conv1", 6, 3, 2, ((0, 1), (1, 0)), groups=2),
        Norm(
            "norm1", LocalResponseNorm.from_cuda_convnet, {"size": 3, "scale": 0.9, "power": 0.75, "min_divisor": 2.0}
        ),
        Pool("pool1", 2, 1),
        Relu("relu1"),
        Conv("conv2", 4, 3),
        Relu("relu2"),
        Norm("norm2", LocalResponseNorm.from_caffe, {"local_size": 3, "alpha": 0.6}),
        Flat(),
        Drop("drop3", 0.25),
        Full("fc3", 9),
        Relu("relu3"),
        Full("fc4"),
    ),
    num_classes=5,
)


def test_every_kind_of_row_and_its_gradients(monkeypatch, backend, rng):
    """ReLUs in place, by reference and through a view: the gradients of all parameters against their slopes."""
    monkeypatch.setitem(VARIANTS, "everything", EVERYTHING)
    net = alexnet("everything", backend=backend, dtype=np.float64, num_classes=3)
    net.train = False
    for name, value in net.params.items():
        if name.endswith(".b"):
            value[...] = rng.standard_normal(value.shape)
    x = rng.standard_normal((2, 12, 11, 4))
    assert net.forward(x.copy()).shape == (2, 3)
    # The inputs are random and the kinks of ReLU and pool no closer than the step: this seed crosses none.
    assert_gradients(net, x, step=1e-7, tolerance=1e-5, needs_dx=False)


def test_dropout_is_drawn_by_its_own_generator():
    nets = [alexnet("mnist", backend="reference", seed=3) for _ in range(2)]
    x = np.random.default_rng(0).standard_normal((2, 28, 28, 1), dtype=np.float32)
    outs = [net.forward(x.copy()) for net in nets]
    np.testing.assert_array_equal(outs[0], outs[1])
    assert (nets[0].forward(x.copy()) != outs[0]).any()
    assert isinstance(nets[0]["drop3"], Dropout)


@pytest.mark.parametrize("variant", [*SMALL, Variant((8, 8, 64), (Conv("conv", 64, 3, groups=4),))])
def test_the_scale_of_new_weights_keeps_the_scale_of_the_signal(variant):
    net = alexnet(variant, backend="reference")
    for _, layer in net:
        if isinstance(layer, (Conv2d, Dense)):
            w = layer.params["w"]
            # Cutting the tails at two standard deviations leaves 0.88 of it.
            np.testing.assert_allclose(w.std(), 0.88 * np.sqrt(2 / np.prod(w.shape[:-1])), rtol=0.05)


@pytest.mark.compiled
@pytest.mark.skipif(device("cpu").most_threads() < 2, reason="needs two threads")
@pytest.mark.parametrize("variant", SMALL)
def test_the_number_of_threads_changes_no_bit(variant):
    x = np.random.default_rng(0).standard_normal((21, *VARIANTS[variant].image_shape), dtype=np.float32)
    results = []
    for threads in (1, device("cpu").most_threads()):
        net = alexnet(variant)
        with device("cpu").limit_threads(threads):
            loss, dlogits = softmax_cross_entropy(net.forward(x.copy()), np.arange(21) % 10)
            net.backward(dlogits)
        results.append((loss, net.grads))
    assert results[0][0] == results[1][0]
    for name, grad in results[0][1].items():
        np.testing.assert_array_equal(results[1][1][name], grad)


@pytest.mark.compiled
def test_float32_with_normalisation_is_near_float64():
    """tf2017 on one image, compiled, with Winograd: pool5 within 5e-5 of the reference in float64."""
    x = np.random.default_rng(0).standard_normal((1, 224, 224, 3)) * 0.1
    exact = alexnet("tf2017", backend="reference", dtype=np.float64).forward(x)
    found = alexnet("tf2017").forward(x.astype(np.float32))
    assert np.linalg.norm(found - exact) < 5e-5 * np.linalg.norm(exact)
    assert isinstance(alexnet("tf2017")["norm1"], LocalResponseNorm)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "vgg"}, "variant is 'vgg', but must be one of 'tf2015', 'tf2017', 'owt', 'torchvision', 'caffe'"),
        ({"variant": "mnist", "num_classes": 0}, "num_classes is 0, but must be an int >= 1"),
        ({"num_classes": 10}, "num_classes is 10, but must be left out for 'tf2015': it does not classify"),
    ],
)
def test_what_alexnet_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        alexnet(**arguments)


def test_the_comparison_names_what_differs():
    lines = comparison()
    assert max(map(len, lines)) <= 140
    rows = [line for line in lines if line.startswith("parameters")]
    numbers = [int(word.replace(",", "")) for row in rows for word in row.split()[1:]]
    assert numbers == [parameters_of(of_zeros(variant)) for variant in VARIANTS]
    names = [word for line in lines if not line.strip() or line.startswith(" ") for word in line.split()]
    assert names == list(VARIANTS)
    last = [line.removeprefix("last image").split("  ") for line in lines if line.startswith("last image")]
    images = [cell.strip() for row in last for cell in row if cell.strip()]
    for variant, cell in zip(VARIANTS, images, strict=True):
        net = of_zeros(variant)
        shape = [net.output_shapes((1, *VARIANTS[variant].image_shape))[n] for n, layer in net if layer.kind == "pool"][
            -1
        ]
        assert cell == " x ".join(map(str, shape[1:]))
    assert "\n".join(lines[: lines.index("")]) in (ROOT / "docs" / "benchmark.md").read_text(encoding="utf-8")
    assert any("3 4, 3 4" in line for line in lines)
    assert any("conv2 conv4 conv5" in line for line in lines)
