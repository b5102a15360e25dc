"""Layers, networks and losses: state, names, shapes and what is refused."""

from __future__ import annotations

import types

import numpy as np
import pytest

from tinyalexnet import Conv2d, Dense, MaxPool2d, ReLU, Sequential, alexnet, kernels, l2_loss, to_device, to_host
from tinyalexnet.gradcheck import adjoint_identities, assert_gradients, separated_values
from tinyalexnet.layers import truncated_normal


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


@pytest.mark.parametrize("padding", ["SAME", "VALID", 1, ((0, 2), (1, 0))])
@pytest.mark.parametrize("groups", [1, 2])
def test_convolution_gradients(backend, padding, groups, rng):
    conv = Conv2d(4, 6, (3, 2), (2, 1), padding, groups, backend, np.float64, rng)
    conv.params["b"][...] = rng.standard_normal(6)
    # Linear in each argument, so any step is exact: 1 leaves nothing but rounding.
    assert_gradients(conv, rng.standard_normal((2, 6, 5, 4)), step=1, tolerance=1e-11)


def test_convolution_is_adjoint_on_integers(backend, rng):
    conv = Conv2d(2, 3, 3, 2, "SAME", backend=backend, rng=rng)
    for name, value in conv.params.items():
        conv.params[name] = rng.integers(-4, 5, value.shape).astype(np.float32)
    checks = adjoint_identities(conv, rng.integers(-4, 5, (2, 7, 6, 2)).astype(np.float32))
    assert [check.argument for check in checks] == ["w", "b", "x"]
    assert all(check.passed for check in checks), checks


@pytest.mark.parametrize("inplace", [False, True])
def test_pool_and_relu_gradients(backend, inplace):
    x = separated_values((2, 7, 6, 3))
    assert_gradients(MaxPool2d(3, 2, "SAME", backend), x)
    assert_gradients(ReLU(inplace, backend), x)


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


def test_backward_overwrites_grads(rng):
    conv = Conv2d(1, 1, 2, backend="reference", dtype=np.float64, rng=0)
    assert conv.grads == {}
    x = rng.standard_normal((1, 3, 3, 1))
    dout = np.ones_like(conv.forward(x))
    conv.backward(dout)
    first = conv.grads["w"].copy()
    conv.backward(dout)
    np.testing.assert_array_equal(conv.grads["w"], first)
    conv.backward(2 * dout)
    np.testing.assert_array_equal(conv.grads["w"], 2 * first)


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


@pytest.mark.parametrize(
    "layer", [Conv2d(3, 2, 3, backend="reference"), MaxPool2d(3, 2, backend="reference"), ReLU(backend="reference")]
)
def test_backward_before_forward_is_refused(layer):
    with pytest.raises(ValueError, match="dout was given to backward before any forward; call forward"):
        layer.backward(np.ones((1, 2, 2, 3), np.float32))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Conv2d(0, 1, 3), ValueError, "in_channels is 0, but must be an int >= 1"),
        (lambda: Conv2d(1, 2.5, 3), ValueError, r"out_channels is 2\.5, but must be an int >= 1"),
        (lambda: Conv2d(4, 6, 3, groups=4), ValueError, "out_channels is 6, but must be a multiple of groups = 4"),
        (lambda: Conv2d(3, 6, 3, groups=2), ValueError, "in_channels is 3, but must be a multiple of groups = 2"),
        (lambda: Conv2d(1, 1, 3, dtype=np.float16), TypeError, "dtype is float16, but must be float32 or float64"),
        (lambda: Conv2d(1, 1, 3, backend="gpu"), ValueError, "backend is 'gpu', but must be one of"),
        (lambda: MaxPool2d(3, 0), ValueError, "stride is 0, but must"),
        (lambda: ReLU(backend=""), ValueError, "backend is '', but must be one of"),
        (lambda: Sequential([]), ValueError, "layers is empty, but must hold at least one"),
        (lambda: Sequential([("a", ReLU()), ("a", ReLU())]), ValueError, "layers has a layer named 'a', but names"),
        (lambda: Sequential([("a.b", ReLU())]), ValueError, "layers has a layer named 'a.b', but names"),
        (lambda: alexnet("vgg"), ValueError, "variant is 'vgg', but must be one of 'tf2015', 'tf2017'"),
    ],
)
def test_constructors_refuse(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_wrong_dtype_and_channels_are_refused_by_the_layer():
    conv = Conv2d(3, 2, 3, backend="reference")
    with pytest.raises(TypeError, match="w has dtype float32, but must have the dtype of x, float64"):
        conv.forward(np.ones((1, 4, 4, 3)))
    with pytest.raises(ValueError, match=r"w has shape \(3, 3, 3, 2\), but must have shape"):
        conv.forward(np.ones((1, 4, 4, 1), np.float32))


def test_truncated_normal_redraws_the_tails():
    values = truncated_normal(np.random.default_rng(0), (200, 1000), 0.1, np.dtype(np.float32))
    assert values.dtype == np.float32
    assert np.abs(values).max() <= np.float32(0.2)
    # The variance of a normal cut at ±2: 1 - 2 * 2φ(2) / (2Φ(2) - 1) = 0.7737; the error of 200,000 draws is 0.001.
    np.testing.assert_allclose(values.std(), 0.1 * np.sqrt(0.7737), rtol=5e-3)
    np.testing.assert_allclose(values.mean(), 0, atol=1e-3)


def test_weights_follow_the_seed():
    a, b, c = (Conv2d(2, 3, 3, backend="reference", rng=seed).params["w"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_sequential_is_a_dict_of_layers_and_nests(backend, rng):
    inner = small_net(backend)
    net = Sequential([("block", inner), ("relu", ReLU(backend=backend))])
    assert len(net) == 2
    assert [name for name, _ in inner] == ["conv1", "relu1", "pool1", "conv2", "relu2"]
    assert net["block"] is inner
    assert set(net.params) == {"block.conv1.w", "block.conv1.b", "block.conv2.w", "block.conv2.b"}
    assert net.grads == {}
    x = rng.standard_normal((2, 11, 9, 3))
    out = net.forward(x)
    assert net.output_shape(x.shape) == out.shape
    net.backward(np.ones_like(out))
    assert set(net.grads) == set(net.params)
    net.params["block.conv1.w"][...] = 0
    assert (inner["conv1"].params["w"] == 0).all()


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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1,), (3, 2, 5, 7), (1000,)])
def test_l2_loss_is_exact_on_integers(backend, rng, shape, dtype):
    y = rng.integers(-9, 10, shape).astype(dtype)
    loss, dout = l2_loss(y, backend)
    assert 2 * loss == sum(int(value) ** 2 for value in y.ravel())
    np.testing.assert_array_equal(dout, y, strict=True)
    assert not np.shares_memory(dout, y)


def test_l2_loss_takes_views_and_is_summed_in_float64(backend):
    y = np.full((3, 2000), 1e4, np.float32)
    y[1] = 1
    loss, dout = l2_loss(y[:, ::2], backend)
    assert 2 * loss == 2000 * 1e8 + 1000  # float32 would lose the 1000
    np.testing.assert_array_equal(dout, y[:, ::2])
    with pytest.raises(TypeError, match="y is a list"):
        l2_loss([1, 2], backend)


def test_l2_loss_gradient(backend, rng):
    y, v = rng.standard_normal((2, 5, 3))
    _, dout = l2_loss(y, backend)
    # Quadratic, so the central difference is exact for any step.
    difference = (l2_loss(y + v, backend)[0] - l2_loss(y - v, backend)[0]) / 2
    np.testing.assert_allclose(difference, np.sum(dout * v), rtol=1e-13)


def test_without_a_gpu_it_is_one_sentence(monkeypatch):
    monkeypatch.setattr("tinyalexnet.kernels.cuda.runtime.cuda.is_available", lambda: False)
    with pytest.raises(ImportError, match="backend is 'cuda', but Numba finds no GPU: it needs"):
        kernels.load("cuda")


def test_arrays_go_to_a_gpu_only_where_there_is_one(monkeypatch):
    """Stands in for the runtime; tests/test_cuda.py has the real one."""

    def check():
        raise ImportError("no GPU")

    def moved(array):
        return array.tolist()

    runtime = types.SimpleNamespace(check=check, to_device=moved, to_host=np.array)
    monkeypatch.setattr(kernels, "_cuda", lambda module="runtime": runtime)
    for call in (lambda: kernels.load("cuda"), lambda: to_device(np.ones(2)), lambda: Dense(2, 3, backend="cuda")):
        with pytest.raises(ImportError, match="no GPU"):
            call()
    runtime.check = lambda: None
    assert to_device(np.ones(2)) == [1, 1]
    np.testing.assert_array_equal(to_host([1, 2]), [1, 2])
    assert kernels.placed(x := np.ones(2), "cpu") is x
