"""The layers: gradients, state, copies, names, costs, and what a network asks of them."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import tinyalexnet
from tinyalexnet import AvgPool2d, Conv2d, Dense, Dropout, Flatten, LocalResponseNorm, MaxPool2d, ReLU
from tinyalexnet.gradcheck import adjoint_identities, assert_gradients, separated_values
from tinyalexnet.layers.base import Cost, Layer, WeightedLayer, truncated_normal
from tinyalexnet.losses import softmax

IMAGES, VECTORS = (2, 6, 5, 4), (3, 7)
LAYERS = {
    "conv": (
        lambda b: Conv2d(4, 6, (3, 2), (2, 1), 1, groups=2, backend=b, rng=1),
        IMAGES,
        "Conv2d(4, 6, kernel_size=(3, 2), stride=(2, 1), padding=((1, 1), (1, 1)), groups=2)",
    ),
    "conv by winograd": (
        lambda b: Conv2d(4, 6, 3, 1, "SAME", backend=b, rng=1, algorithm="winograd"),
        IMAGES,
        "Conv2d(4, 6, kernel_size=(3, 3), stride=(1, 1), padding='SAME')",
    ),
    "max-pool": (
        lambda b: MaxPool2d(3, 2, "SAME", backend=b),
        IMAGES,
        "MaxPool2d(kernel_size=(3, 3), stride=(2, 2), padding='SAME')",
    ),
    "max-pool of large windows": (
        lambda b: MaxPool2d((17, 16), 1, ((8, 8), (8, 8)), backend=b),
        (1, 2, 2, 3),
        "MaxPool2d(kernel_size=(17, 16), stride=(1, 1), padding=((8, 8), (8, 8)))",
    ),
    "average-pool": (
        lambda b: AvgPool2d(2, 2, backend=b),
        IMAGES,
        "AvgPool2d(kernel_size=(2, 2), stride=(2, 2), padding='VALID')",
    ),
    "lrn": (
        lambda b: LocalResponseNorm(2, 1.5, 0.4, 0.75, backend=b),
        IMAGES,
        "LocalResponseNorm(radius=2, bias=1.5, alpha=0.4, beta=0.75)",
    ),
    "dense": (lambda b: Dense(7, 5, b, rng=1), VECTORS, "Dense(7, 5)"),
    "relu": (lambda b: ReLU(backend=b), IMAGES, "ReLU()"),
    "relu in place": (lambda b: ReLU(inplace=True, backend=b), IMAGES, "ReLU(inplace=True)"),
    "flatten": (lambda b: Flatten(), IMAGES, "Flatten()"),
    "dropout": (lambda b: Dropout(0.25, rng=1, backend=b), IMAGES, "Dropout(rate=0.25)"),
}
every_layer = pytest.mark.parametrize(("make", "x_shape", "text"), LAYERS.values(), ids=LAYERS)


def step(run, layer, x, seed=0):
    """out, dx and the gradients of one step, as NumPy arrays; the input is copied, because a ReLU may overwrite it."""
    out = layer.forward(run.to_device(x.copy()))
    kept = run.to_host(out).copy()
    dout = np.random.default_rng(seed).standard_normal(kept.shape).astype(kept.dtype)
    dx = layer.backward(run.to_device(dout))
    return [kept, run.to_host(dx), *(run.to_host(grad) for grad in layer.grads.values())]


# --- every layer ------------------------------------------------------------------------------------------------------


@every_layer
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))], ids=["copy", "pickle"]
)
def test_a_copy_computes_the_same_bits_with_parameters_of_its_own(run, copied, make, x_shape, text, rng):
    layer, x = make(run.name), rng.standard_normal(x_shape).astype(np.float32)
    layer.forward(run.to_device(x.copy()))
    again = copied(layer)
    assert type(again) is type(layer)
    assert repr(again) == text
    assert again.cache == ()
    with pytest.raises(ValueError, match="before any forward"):
        again.backward(run.to_device(x))
    for one, other in zip(step(run, layer, x), step(run, again, x), strict=True):
        np.testing.assert_array_equal(one, other, strict=True)
    assert set(again.params) == set(layer.params)
    for name, value in again.params.items():
        before = run.to_host(layer.params[name]).copy()
        run.device.write(value, np.full(value.shape, 7, np.float32))
        np.testing.assert_array_equal(run.to_host(layer.params[name]), before)


@every_layer
def test_a_copy_after_a_step_has_its_gradients(run, make, x_shape, text, rng):
    layer = make(run.name)
    step(run, layer, rng.standard_normal(x_shape).astype(np.float32))
    again = copy.deepcopy(layer)
    for name, grad in layer.grads.items():
        np.testing.assert_array_equal(run.to_host(again.grads[name]), run.to_host(grad), strict=True)


@every_layer
def test_the_text_is_how_to_make_it(make, x_shape, text):
    layer = make("cpu")
    assert repr(layer) == text
    assert layer.kind == layer.description(x_shape)["kind"] != ""
    assert repr(eval(text, vars(tinyalexnet))) == text


@every_layer
def test_the_saved_bytes_are_those_of_the_cache(backend, make, x_shape, text, rng):
    """Beside the input and the output, if they are saved by reference as the layer says."""
    layer, x = make(backend), rng.standard_normal(x_shape).astype(np.float32)
    assert layer.cache == ()
    out = layer.forward(x)
    assert layer.output_shape(x_shape) == out.shape
    saved = {id(array): array for array in layer.cache}
    assert layer.in_place == np.shares_memory(out, x)
    if not layer.in_place:
        assert layer.keeps_input == (id(x) in saved)
    assert layer.keeps_output == (id(out) in saved)
    own = [array for key, array in saved.items() if key not in (id(x), id(out))]
    assert sum(array.nbytes for array in own) == layer.saved_bytes(x_shape)


@every_layer
def test_backward_before_forward_is_refused(make, x_shape, text, rng):
    layer = make("reference")
    dout = np.ones(layer.output_shape(x_shape), np.float32)
    for call in (layer.backward, *(part for _, part in layer.backward_passes())):
        with pytest.raises(ValueError, match=r"dout was given to backward before any forward; call forward\(x\) first"):
            call(dout)


@every_layer
def test_a_gradient_of_another_shape_is_refused(backend, make, x_shape, text, rng):
    layer = make(backend)
    out = layer.forward(rng.standard_normal(x_shape).astype(np.float32))
    wrong = np.ones((out.shape[0] + 1, *out.shape[1:]), np.float32)
    for call in (layer.backward, *(part for _, part in layer.backward_passes())):
        with pytest.raises(ValueError, match=r"dout has shape \(\d, .*\), but must have the "):
            call(wrong)


@every_layer
def test_backward_passes_are_the_halves_of_backward(run, make, x_shape, text, rng):
    layer, x = make(run.name), rng.standard_normal(x_shape).astype(np.float32)
    expected = step(run, layer, x)
    passes = layer.backward_passes()
    assert [name for name, _ in passes] == (["dw", "dx"] if layer.params else ["dx"])
    out = layer.forward(run.to_device(x.copy()))
    if layer.kind == "dropout":
        return  # another mask
    dout = np.random.default_rng(0).standard_normal(out.shape).astype(np.float32)
    found = [call(run.to_device(dout.copy())) for _, call in passes]
    assert found[:-1] == [None] * (len(passes) - 1)
    np.testing.assert_array_equal(run.to_host(found[-1]), expected[1])
    for grad, exact in zip(layer.grads.values(), expected[2:], strict=True):
        np.testing.assert_array_equal(run.to_host(grad), exact)
    layer.needs_dx = False
    if layer.params:
        assert [name for name, _ in layer.backward_passes()] == ["dw"]


def test_what_a_new_layer_must_define():
    layer = Layer("reference")
    weighted = WeightedLayer((3, 2), "reference", np.float32, 0, 0.1, needs_dx=True)
    for call in (layer.forward, layer.backward, weighted.backward_params, weighted.backward_input):
        with pytest.raises(NotImplementedError):
            call(np.ones(3))
    assert layer.output_shape((2, 3)) == (2, 3)
    assert layer.cost((2, 3)) == Cost()
    assert layer.saved_bytes((2, 3)) == 0
    assert layer.temporary_elements((2, 3)) == 12
    assert repr(layer) == "Layer()"
    assert layer.brief() == ""
    assert [name for name, _ in layer.leaves("x")] == ["x"]


def test_the_temporaries_of_a_max_pool_in_numpy():
    """The padded input, for each output its window's nine elements, and the winner's position: eight bytes and more."""
    outputs = 2 * 4 * 4 * 5
    found = MaxPool2d(3, 2, backend="reference").temporary_elements((2, 9, 9, 5))
    assert found == 2 * 9 * 9 * 5 + (9 + 8) * outputs


# --- cost -------------------------------------------------------------------------------------------------------------


def test_the_cost_of_a_convolution_is_that_of_its_algorithm():
    shape, outputs = (10, 13, 13, 192), 10 * 13 * 13 * 384
    direct = outputs * 9 * 192

    def cost(backend, **options):
        return Conv2d(192, 384, 3, 1, "SAME", backend=backend, std=0, **options).cost(shape)

    assert cost("reference") == Cost(direct, direct, "direct")
    assert cost("cpu", algorithm="gemm") == Cost(direct, direct, "gemm")
    # 5 + 4 + 4 outputs each way: tiles of 7, 6 and 6 points.
    assert cost("cpu") == Cost(direct, 10 * (7 + 6 + 6) ** 2 * 192 * 384, "F(5x5, 3x3)")
    assert cost("reference", algorithm="winograd") == Cost(direct, 10 * (3 * 7) ** 2 * 192 * 384, "F(5x5, 3x3)")
    grouped = cost("cpu", algorithm="gemm", groups=2)
    assert grouped == Cost(direct // 2, direct // 2, "gemm")


def test_convolutions_know_what_a_gpu_makes_on_the_way():
    """V and M of 3 x 3 tiles of 7 x 7 points an image, and U; or the images with their padding."""
    shape = (10, 13, 13, 192)
    conv, plain = (Conv2d(192, 384, 3, 1, "SAME", std=0, algorithm=name) for name in ("auto", "gemm"))
    conv.backend = plain.backend = "cuda"
    assert conv.cost(shape).algorithm == "F(5x5, 3x3)"
    tiles = 4 * 10 * (3 * 7) ** 2
    assert conv.scratch_bytes(shape) == (tiles * 192, tiles * 384, 4 * 7**2 * 192 * 384)
    assert plain.scratch_bytes(shape) == (4 * 10 * 13 * 13 * 192,)
    assert ReLU().scratch_bytes(shape) == ()


def test_other_costs():
    assert Dense(7, 5, "reference").cost((3, 7)) == Cost(105, 105, "product")
    for layer in (ReLU(), MaxPool2d(2, 2), LocalResponseNorm(), Dropout(), Flatten(), AvgPool2d(2, 2)):
        assert layer.cost((2, 4, 4, 3)) == Cost(0, 0, "")


# --- gradients --------------------------------------------------------------------------------------------------------


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
    assert [check.argument for check in checks] == ["x", "w", "b"]
    assert all(check.passed for check in checks), checks


@pytest.mark.parametrize("inplace", [False, True])
def test_pool_and_relu_gradients(backend, inplace):
    x = separated_values((2, 7, 6, 3))
    assert_gradients(MaxPool2d(3, 2, "SAME", backend), x)
    assert_gradients(ReLU(inplace, backend), x)


def test_gradients_of_avgpool(backend, rng):
    pool = AvgPool2d(3, 2, "SAME", backend=backend)
    x = rng.standard_normal((2, 6, 7, 3))
    assert_gradients(pool, x, step=1, tolerance=1e-11)
    assert pool.output_shape(x.shape) == pool.forward(x).shape == (2, 3, 4, 3)
    assert pool.cache == ()


def test_gradients_of_dense(backend, rng):
    dense = Dense(7, 3, backend, np.float64, rng)
    dense.params["b"][...] = rng.standard_normal(3)
    x = rng.standard_normal((4, 7))
    assert_gradients(dense, x, step=1, tolerance=1e-11)
    assert dense.output_shape(x.shape) == (4, 3)
    assert dense.cache[0].shape == x.shape
    integers = rng.integers(-4, 5, (4, 7)).astype(np.float32)
    layer = Dense(7, 3, backend, rng=rng)
    for value in layer.params.values():
        value[...] = rng.integers(-4, 5, value.shape)
    assert all(check.passed for check in adjoint_identities(layer, integers))


# --- state ------------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Conv2d(0, 1, 3), ValueError, "in_channels is 0, but must be an int >= 1"),
        (lambda: Conv2d(1, 2.5, 3), ValueError, r"out_channels is 2\.5, but must be an int >= 1"),
        (lambda: Conv2d(4, 6, 3, groups=4), ValueError, "out_channels is 6, but must be a multiple of groups = 4"),
        (lambda: Conv2d(3, 6, 3, groups=2), ValueError, "in_channels is 3, but must be a multiple of groups = 2"),
        (lambda: Conv2d(1, 1, 3, dtype=np.float16), TypeError, "dtype is float16, but must be float32 or float64"),
        (lambda: Conv2d(1, 1, 3, algorithm="fft"), ValueError, "algorithm is 'fft', but must be one of"),
        (lambda: Conv2d(1, 1, 3, backend="gpu"), ValueError, "backend is 'gpu', but must be one of"),
        (lambda: MaxPool2d(3, 0), ValueError, "stride is 0, but must"),
        (lambda: ReLU(backend=""), ValueError, "backend is '', but must be one of"),
        (lambda: Dense(0, 3), ValueError, "in_features is 0, but must be an int >= 1"),
        (lambda: Dense(1, 3, dtype=int), TypeError, "dtype is int64, but must be float32 or float64"),
        (lambda: Dropout(1), ValueError, "rate is 1, but must be at least 0 and below 1"),
        (lambda: LocalResponseNorm(2.5), ValueError, r"radius is 2\.5, but must be an int"),
    ],
)
def test_constructors_refuse(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_dense_layer_without_dx(backend):
    dense = Dense(4, 3, backend, needs_dx=False)
    dense.forward(np.ones((2, 4), np.float32))
    assert dense.backward(np.ones((2, 3), np.float32)) is None
    with pytest.raises(ValueError, match=r"dout has shape \(2, 2\), but must have the output's shape, \(2, 3\)"):
        dense.backward(np.ones((2, 2), np.float32))


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


def test_flatten_there_and_back(rng):
    x = rng.standard_normal((2, 3, 4, 5))
    flatten = Flatten()
    out = flatten.forward(x)
    assert out.shape == flatten.output_shape(x.shape) == (2, 60)
    np.testing.assert_array_equal(out[1], x[1].ravel())
    np.testing.assert_array_equal(flatten.backward(out), x)
    with pytest.raises(ValueError, match=r"dout has shape \(3, 40\), but must have the output's shape, \(2, 60\)"):
        flatten.backward(out.reshape(3, 40))


def test_dropout_drops_its_share(backend):
    x = np.ones((100, 100), np.float32)
    layers = [Dropout(0.25, rng=seed, backend=backend) for seed in (1, 1, 2)]
    first, again, other = (layer.forward(x) for layer in layers)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    # 10,000 elements, each kept with probability 3/4: five standard deviations are 217.
    assert abs(np.count_nonzero(first) - 7500) < 217
    assert set(np.unique(first)) == {np.float32(0), np.float32(1 / 0.75)}
    assert (layers[0].forward(x) != first).any()
    dout = np.full_like(x, 3)
    np.testing.assert_array_equal(layers[1].backward(dout), 3 * again)
    assert layers[1].cache[0].sum() == np.count_nonzero(again)
    with pytest.raises(ValueError, match=r"dout has shape \(2, 3\), but must have the output's shape"):
        layers[0].backward(np.ones((2, 3), np.float32))


def test_a_copy_of_dropout_goes_on_alike(rng):
    """It has the generator where it is, so that both draw the same mask next, each by itself."""
    x, layer = np.ones((50, 50), np.float32), Dropout(0.5, rng=3, backend="reference")
    layer.forward(x)
    again = copy.deepcopy(layer)
    np.testing.assert_array_equal(layer.forward(x), again.forward(x))
    layer.forward(x)
    assert (layer.forward(x) != again.forward(x)).any()


def test_dropout_outside_training_is_nothing(backend):
    x, layer = np.ones((3, 4), np.float32), Dropout(0.5, train=False, rng=0, backend=backend)
    state = layer.rng.bit_generator.state
    assert layer.forward(x) is x
    assert layer.backward(x) is x
    assert layer.cache == ()
    assert layer.rng.bit_generator.state == state


def test_softmax_is_in_float64_and_does_not_overflow():
    logits = np.array([[2e4, 0, 2e4], [0, np.log(3), -np.inf]], np.float32)
    found = softmax(logits)
    assert found.dtype == np.float64
    # The logarithm of 3 in float32 is off by 2⁻²⁴ of itself.
    np.testing.assert_allclose(found, [[0.5, 0, 0.5], [0.25, 0.75, 0]], rtol=1e-7)
