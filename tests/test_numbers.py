"""Every number of a public function is finite and of the right type, or refused by name; NumPy's scalars count."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tinyalexnet import Conv2d, Dense, Dropout, LocalResponseNorm, ReLU
from tinyalexnet.alexnet import Conv, Drop, Flat, Full, Variant, alexnet
from tinyalexnet.gradcheck import adjoint_identities, assert_gradients, directional_derivatives, separated_values
from tinyalexnet.ops.dropout import dropout, dropout_mask
from tinyalexnet.ops.lrn import lrn_backward, lrn_forward
from tinyalexnet.ops.momentum import momentum_step
from tinyalexnet.training import Settings, Training
from tinyalexnet.training.augment import colour_noise
from tinyalexnet.training.data import Dataset, Images
from tinyalexnet.training.optimizer import SGD
from tinyalexnet.training.schedules import constant, exponential, parse_schedule, scaled_rate, stepped, warmed_up

X = np.ones((1, 2, 2, 3), np.float32)
KEPT = np.ones(X.shape, bool)
TABLE = (Conv("conv1", 2, 1), Drop("drop1", 0.5), Flat(), Full("fc2"))
IMAGES = Images(np.ones((4, 2, 2, 3), np.uint8), np.arange(4) % 2, ("a", "b"))

NUMBERS = {
    "Conv2d": ("std", 0.1, lambda value: Conv2d(1, 1, 1, std=value)),
    "Dense": ("std", 0.1, lambda value: Dense(1, 1, std=value)),
    "Dropout": ("rate", 0.5, Dropout),
    "dropout": ("rate", 0.5, lambda value: dropout(X, KEPT, value)),
    "dropout_mask": ("rate", 0.5, lambda value: dropout_mask((3,), value, 0)),
    "LocalResponseNorm": ("alpha", 0.5, lambda value: LocalResponseNorm(alpha=value)),
    "LocalResponseNorm, beta": ("beta", 0.5, lambda value: LocalResponseNorm(beta=value)),
    "LocalResponseNorm, bias": ("bias", 0.5, lambda value: LocalResponseNorm(bias=value)),
    "from_paper": ("k", 0.5, lambda value: LocalResponseNorm.from_paper(k=value)),
    "from_paper, alpha": ("alpha", 0.5, lambda value: LocalResponseNorm.from_paper(alpha=value)),
    "from_paper, beta": ("beta", 0.5, lambda value: LocalResponseNorm.from_paper(beta=value)),
    "from_caffe": ("k", 0.5, lambda value: LocalResponseNorm.from_caffe(k=value)),
    "from_caffe, alpha": ("alpha", 0.5, lambda value: LocalResponseNorm.from_caffe(alpha=value)),
    "from_pytorch": ("k", 0.5, lambda value: LocalResponseNorm.from_pytorch(5, k=value)),
    "from_pytorch, alpha": ("alpha", 0.5, lambda value: LocalResponseNorm.from_pytorch(5, alpha=value)),
    "from_cuda_convnet": ("scale", 0.5, lambda value: LocalResponseNorm.from_cuda_convnet(5, value, 0.5)),
    "from_cuda_convnet, power": ("power", 0.5, lambda value: LocalResponseNorm.from_cuda_convnet(5, 0.5, value)),
    "from_cuda_convnet, divisor": (
        "min_divisor",
        0.5,
        lambda value: LocalResponseNorm.from_cuda_convnet(5, 0.5, 0.5, min_divisor=value),
    ),
    "lrn_forward": ("bias", 0.5, lambda value: lrn_forward(X, 1, value, 0.5, 0.5)),
    "lrn_forward, alpha": ("alpha", 0.5, lambda value: lrn_forward(X, 1, 0.5, value, 0.5)),
    "lrn_backward": ("beta", 0.5, lambda value: lrn_backward(X, X, X, 1, 0.5, value)),
    "momentum_step": ("rate", 0.5, lambda value: momentum_step(*X.copy()[None].repeat(3, axis=0), value, 0.9, 0.1)),
    "momentum_step, momentum": (
        "momentum",
        0.5,
        lambda value: momentum_step(*X.copy()[None].repeat(3, axis=0), 0.1, value, 0.1),
    ),
    "momentum_step, decay": (
        "decay",
        0.5,
        lambda value: momentum_step(*X.copy()[None].repeat(3, axis=0), 0.1, 0.1, value),
    ),
    "colour_noise": ("std", 0.5, lambda value: colour_noise(X, np.ones(3), np.eye(3), np.random.default_rng(0), value)),
    "SGD.step": ("learning_rate", 0.5, lambda value: SGD({"w": X.copy()}).step({"w": X}, learning_rate=value)),
    "SGD.step, last": ("last_rate", 0.5, lambda value: SGD({"w": X.copy()}).step({"w": X}, last_rate=value)),
    "constant": ("rate", 0.5, constant),
    "stepped": ("rate", 0.5, lambda value: stepped(value, 2, 0.5)),
    "stepped, factor": ("factor", 0.5, lambda value: stepped(0.5, 2, value)),
    "exponential": ("factor", 0.5, lambda value: exponential(0.5, value, 2)),
    "parse_schedule": ("rate", 0.5, lambda value: parse_schedule("constant", value)),
    "scaled_rate": ("learning_rate", 0.5, lambda value: scaled_rate(value, 4, 2)),
    "warmed_up": ("start", 0.5, lambda value: warmed_up(constant(1), 2, value)),
    "Variant": ("std", 0.5, lambda value: alexnet(Variant((2, 2, 3), TABLE, 2, value), "reference")),
    "separated_values": ("gap", 0.5, lambda value: separated_values((3,), gap=value)),
    "adjoint_identities": ("tolerance", 0.5, lambda value: adjoint_identities(ReLU(), X, tolerance=value)),
    "directional_derivatives": (
        "tolerance",
        0.5,
        lambda value: directional_derivatives(ReLU(), separated_values((1, 4)), tolerance=value),
    ),
    "assert_gradients": ("step", 0.001, lambda value: assert_gradients(ReLU(), separated_values((1, 4)), step=value)),
}
for name in ("learning_rate", "momentum", "weight_decay", "bias_rate_factor"):
    NUMBERS[f"SGD, {name}"] = (name, 0.5, lambda value, name=name: SGD({"w": X.copy()}, **{name: value}))
for name in ("learning_rate", "momentum", "weight_decay", "bias_rate_factor", "colour_noise"):
    NUMBERS[f"Settings, {name}"] = (name, 0.5, lambda value, name=name: trained(**{name: value}))

INTEGERS = {
    f"Settings, {name}": (name, lambda value, name=name: trained(**{name: value}))
    for name in ("epochs", "batch_size", "pad", "views", "seed", "checkpoint_every", "reference_batch", "warmup")
} | {
    "directions": ("directions", lambda v: directional_derivatives(ReLU(), separated_values((1, 4)), directions=v)),
    "scaled_rate, batch": ("batch_size", lambda value: scaled_rate(0.5, value, 2)),
    "scaled_rate, reference": ("reference_batch", lambda value: scaled_rate(0.5, 2, value)),
    "warmed_up": ("warmup", lambda value: warmed_up(constant(0.5), value)),
}

TEXTS_AND_FLAGS = {"variant": "tiny", "schedule": "constant", "backend": "reference", "mirror": True, "no_graph": False}
TEXTS_AND_FLAGS["momentum_correction"] = True


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    from tinyalexnet.alexnet import VARIANTS

    monkeypatch.setitem(VARIANTS, "tiny", Variant((2, 2, 3), TABLE, 2))


def trained(**changes):
    settings = Settings(**{"variant": "tiny", "batch_size": 2, "backend": "reference", **changes})
    return Training(settings, Dataset("tiny", IMAGES, IMAGES))


NO_NUMBERS = ["1e-4", True, np.True_, math.nan, math.inf, -math.inf, 10**400, 1j, [0.5], np.full(1, 0.5)]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
@pytest.mark.parametrize("what", NUMBERS)
def test_what_is_no_finite_number_is_refused_by_name(what, value):
    name, _, call = NUMBERS[what]
    with pytest.raises(ValueError, match=rf"^({name}|conv1: {name}) is .*, but must be .+$") as caught:
        call(value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("kind", [float, np.float32, np.float64, np.float16])
@pytest.mark.parametrize("what", NUMBERS)
def test_a_number_may_be_numpys(what, kind):
    _, value, call = NUMBERS[what]
    call(kind(value))


@pytest.mark.parametrize("value", ["2", True, np.True_, 2.0, math.nan, None, np.float32(2), [2]], ids=repr)
@pytest.mark.parametrize("what", INTEGERS)
def test_what_is_no_integer_is_refused_by_name(what, value):
    name, call = INTEGERS[what]
    with pytest.raises(ValueError, match=rf"^{name} is .*, but must be an int >= [01]$"):
        call(value)


@pytest.mark.parametrize(("name", "value"), [*TEXTS_AND_FLAGS.items()])
def test_texts_and_flags_of_another_kind_are_refused_by_name(name, value):
    trained(**{name: value})
    rule = "True or False" if isinstance(value, bool) else "a text"
    for wrong in ("false", 1, None) if isinstance(value, bool) else (1, None, True):
        with pytest.raises(ValueError, match=f"^{name} is {wrong!r}, but must be {rule}$"):
            trained(**{name: wrong})


def test_settings_of_numpys_scalars_are_saved_and_found_again(tmp_path):
    """As a grid of settings gives them; JSON has only Python's."""
    some = {"learning_rate": np.float32(0.5), "batch_size": np.int64(2), "mirror": np.True_, "seed": np.uint8(3)}
    run = trained(**some)
    run.advance()
    run.save(tmp_path / "a")
    again = trained(learning_rate=0.5, batch_size=2, mirror=True, seed=3)
    again.restore(tmp_path / "a")
    assert again.settings == run.settings
    assert [type(getattr(run.settings, name)) for name in some] == [float, int, bool, int]


@pytest.mark.parametrize("kind", [np.float64, np.float32, float])
def test_a_scalar_of_numpy_leaves_float32_as_it_is(kind):
    """float32 x float64 of NumPy is float64; the reference computes in NumPy."""
    for layer in (Dropout(kind(0.5), backend="reference"), LocalResponseNorm(1, *map(kind, (1, 1, 0.5)), "reference")):
        assert layer.forward(X).dtype == np.float32
        assert layer.backward(X).dtype == np.float32
    assert dropout(X, KEPT, kind(0.5), "reference").dtype == np.float32
    assert lrn_forward(X, 1, kind(1), kind(1), kind(0.5), "reference")[0].dtype == np.float32


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_an_update_by_scalars_of_numpy_is_that_by_pythons(kind, rng):
    """To the last bit, in float32: with a float64 of NumPy the reference would compute in float64 and round once."""
    w, v, dw = rng.standard_normal((3, 1000), np.float32)
    rate, momentum, decay = 0.0123, 0.9, 5e-4
    numbers = kind(rate), kind(momentum), kind(decay)
    own, numpys = (w.copy(), v.copy()), (w.copy(), v.copy())
    momentum_step(*own, dw, *map(float, numbers), "reference")
    momentum_step(*numpys, dw, *numbers, "reference")
    np.testing.assert_array_equal(own, numpys, strict=True)


def test_a_truth_value_is_no_seed():
    for value in (True, False):
        with pytest.raises(ValueError, match=f"rng is {value}, but must be a generator, an int >= 0 or None"):
            Dense(1, 1, rng=value)
