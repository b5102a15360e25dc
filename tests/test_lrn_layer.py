"""The layer of local response normalisation, in the conventions of five systems."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tinyalexnet import LocalResponseNorm
from tinyalexnet.gradcheck import assert_gradients, directional_derivatives

# alpha is not small: at the usual 1e-4 the sum over the neighbours could be left out of the backward unnoticed.
OPTIONS = st.tuples(
    st.integers(0, 7), st.sampled_from([0.5, 1.0, 2.0]), st.floats(0.1, 1), st.sampled_from([0.0, 0.5, 0.75, 1.0, 1.3])
)


@pytest.mark.parametrize("beta", [0.5, 0.75, 1.2])
def test_gradients_of_the_layer(backend, beta, rng):
    layer = LocalResponseNorm(2, 1.5, 0.4, beta, backend=backend)
    x = rng.standard_normal((2, 3, 4, 7))
    assert_gradients(layer, x)
    assert layer.output_shape(x.shape) == x.shape
    assert layer.cache[0] is x or layer.cache[0].shape == x.shape


def test_a_backward_without_its_neighbours_is_caught(rng):
    """The check would miss it at alpha = 1e-4, and must not at 0.4."""

    class WithoutNeighbours(LocalResponseNorm):
        def backward(self, dout):
            x, scale = self.cache
            own = 2 * self.alpha * self.beta * x * dout * x * scale ** (-self.beta - 1)
            return dout * scale**-self.beta - own

    x = rng.standard_normal((2, 3, 4, 7))
    assert not all(check.passed for check in directional_derivatives(WithoutNeighbours(2, 1.5, 0.4, 0.75), x))


def test_the_layer_keeps_what_backward_needs(backend):
    layer = LocalResponseNorm(backend=backend)
    assert layer.cache == ()
    with pytest.raises(ValueError, match="before any forward"):
        layer.backward(np.ones((1, 1, 1, 3), np.float32))
    assert (layer.radius, layer.bias, layer.alpha, layer.beta) == (5, 1.0, 1.0, 0.5)
    with pytest.raises(ValueError, match=r"radius is 2\.5, but must be an int"):
        LocalResponseNorm(2.5)


# --- other systems' conventions ---------------------------------------------------------------------------------------


def normalised(x, size, bias, alpha, beta, divide):
    """x / (bias + (alpha or alpha / size) Σ x²)^beta over ``size`` channels about each."""
    padded = np.pad(x, ((0, 0), (0, 0), (0, 0), (size // 2, size // 2)))
    sums = np.lib.stride_tricks.sliding_window_view(np.square(padded), size, axis=3).sum(axis=-1)
    return x / (bias + (alpha / size if divide else alpha) * sums) ** beta


CONVENTIONS = {
    "paper": (LocalResponseNorm.from_paper(5, 2.0, 0.3, 0.75), (5, 2.0, 0.3, 0.75, False)),
    "caffe": (LocalResponseNorm.from_caffe(7, 0.3, 0.6, 1.5), (7, 1.5, 0.3, 0.6, True)),
    "pytorch": (LocalResponseNorm.from_pytorch(3, 0.3, 0.5, 1.5), (3, 1.5, 0.3, 0.5, True)),
    "cuda-convnet": (LocalResponseNorm.from_cuda_convnet(5, 0.3, 0.75, 2.0), (5, 2.0, 0.3, 0.75, True)),
}


@pytest.mark.parametrize(("layer", "convention"), CONVENTIONS.values(), ids=CONVENTIONS)
def test_conventions_are_translated(layer, convention, rng):
    x = rng.standard_normal((2, 2, 3, 9))
    np.testing.assert_allclose(layer.forward(x), normalised(x, *convention), rtol=1e-13)


def test_the_defaults_are_those_systems_own():
    layer = LocalResponseNorm.from_paper()
    assert (layer.radius, layer.bias, layer.alpha, layer.beta) == (2, 2.0, 1e-4, 0.75)
    caffe, pytorch = LocalResponseNorm.from_caffe(), LocalResponseNorm.from_pytorch(5)
    assert (caffe.radius, caffe.bias, caffe.alpha, caffe.beta) == (2, 1.0, 1 / 5, 0.75)
    assert (pytorch.radius, pytorch.bias, pytorch.alpha, pytorch.beta) == (2, 1.0, 1e-4 / 5, 0.75)


@pytest.mark.parametrize(
    ("constructor", "name"),
    [
        (LocalResponseNorm.from_paper, "n"),
        (LocalResponseNorm.from_caffe, "local_size"),
        (LocalResponseNorm.from_pytorch, "size"),
        (lambda size: LocalResponseNorm.from_cuda_convnet(size, 1e-4, 0.75), "size"),
    ],
)
def test_odd_windows_are_taken_and_even_ones_refused(constructor, name):
    assert [constructor(size).radius for size in (1, 3)] == [0, 1]
    with pytest.raises(ValueError, match=f"{name} is 4, but must be odd"):
        constructor(4)
    with pytest.raises(ValueError, match=f"{name} is 0, but must be an int >= 1"):
        constructor(0)


@given(size=st.sampled_from([1, 3, 5]), options=OPTIONS, seed=st.integers(0, 100))
def test_pytorch_agrees(size, options, seed):
    torch = pytest.importorskip("torch")
    _, bias, alpha, beta = options
    assume(beta > 0)
    x = np.random.default_rng(seed).standard_normal((2, 3, 2, 7))
    dout = np.random.default_rng(seed + 1).standard_normal(x.shape)
    layer = LocalResponseNorm.from_pytorch(size, alpha, beta, bias)
    images = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    out = torch.nn.functional.local_response_norm(images, size, alpha, beta, bias)
    out.backward(torch.tensor(dout.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(layer.forward(x), out.detach().numpy().transpose(0, 2, 3, 1), rtol=1e-12)
    np.testing.assert_allclose(layer.backward(dout), images.grad.numpy().transpose(0, 2, 3, 1), rtol=1e-10, atol=1e-12)
