"""SGD against plain loops and PyTorch."""

from __future__ import annotations

import copy
import math
import pickle
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyalexnet.training import optimizer
from tinyalexnet.training.optimizer import SGD, Statistics

SHAPES = {"conv1.w": (3, 2, 2, 4), "conv1.b": (4,), "block.conv2.w": (1, 1, 4, 3), "block.conv2.b": (3,)}


def normals(rng, dtype=np.float64):
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in SHAPES.items()}


def integers(rng, dtype):
    """Small integers without 0, so that no term of the update vanishes."""
    return {name: (rng.integers(1, 8, s) * rng.choice([-1, 1], s)).astype(dtype) for name, s in SHAPES.items()}


def copies(arrays):
    return {name: array.copy() for name, array in arrays.items()}


def plain_loop(params, gradients, rates, momentum, decay, bias_factor, bias_decay):
    """The paper's update, one Python float at a time. Returns the final parameters and the last velocities."""
    weights, velocities = {}, {}
    for name, start in params.items():
        is_bias = name.endswith(".b")
        weights[name], velocities[name] = np.zeros(start.shape), np.zeros(start.shape)
        for index in np.ndindex(start.shape):
            w, v = float(start[index]), 0.0
            for grads, learning_rate in zip(gradients, rates, strict=True):
                rate = learning_rate * bias_factor if is_bias else learning_rate
                v = momentum * v - (bias_decay if is_bias else decay) * rate * w - rate * float(grads[name][index])
                w = w + v
            weights[name][index], velocities[name][index] = w, v
    return weights, velocities


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(seed=st.integers(0, 2**32 - 1), halves=st.tuples(*[st.integers(0, 1)] * 5), steps=st.integers(1, 3))
def test_equals_the_plain_loop_to_the_last_bit_where_nothing_rounds(dtype, seed, halves, steps):
    """Small integers times powers of ½. After three steps the last bit is worth 2⁻¹² at least (3, 4 and 5 factors of ½
    in rate, decay and bias factor), and nothing reaches 2⁶: 18 bits, and float32 has 24."""
    rng = np.random.default_rng(seed)
    rate, decay, bias_factor, bias_decay, momentum = (0.5**power for power in halves)
    momentum /= 2  # below 1
    params, gradients = integers(rng, dtype), [integers(rng, dtype) for _ in range(steps)]
    rates = [rate * 0.5**step for step in range(steps)]
    expected, velocities = plain_loop(params, gradients, rates, momentum, decay, bias_factor, bias_decay)
    sgd = SGD(params, rate, momentum, decay, bias_factor, bias_decay)
    for grads, at in zip(gradients, rates, strict=True):
        sgd.step(grads, at)
    for name in SHAPES:
        np.testing.assert_array_equal(params[name], expected[name].astype(dtype), strict=True)
        np.testing.assert_array_equal(sgd.state[name], velocities[name].astype(dtype), strict=True)


def rate_outside(params, gradients, rates, momentum, decay, bias_factor):
    """The update whose velocity has no rate in it, in exact fractions: u <- momentum u + decay w + dw, w <- w - rate u.

    Returns the final parameters, and the last rate u, of which the velocity is the negative.
    """
    weights, moved = {}, {}
    for name, start in params.items():
        factor, fall = (bias_factor, 0) if name.endswith(".b") else (1, decay)
        weights[name], moved[name] = np.zeros(start.shape), np.zeros(start.shape)
        for index in np.ndindex(start.shape):
            w, u = Fraction(float(start[index])), Fraction(0)
            for grads, rate in zip(gradients, rates, strict=True):
                u = Fraction(momentum) * u + Fraction(fall) * w + Fraction(float(grads[name][index]))
                w -= Fraction(factor * rate) * u
            weights[name][index], moved[name][index] = float(w), float(factor * rate * u)
    return weights, moved


@given(seed=st.integers(0, 2**32 - 1), powers=st.lists(st.integers(0, 3), min_size=2, max_size=4))
def test_corrected_momentum_is_the_update_with_the_rate_outside_to_the_last_bit_where_nothing_rounds(seed, powers):
    """The rates rise and fall by powers of 2. Each step moves the last bit of u by 5 places at most (rate and decay);
    the rate adds 3, the momentum 2. So after four steps it is worth 2⁻²⁵ at least, and nothing reaches 2⁷: 32 bits."""
    rng = np.random.default_rng(seed)
    params, gradients = integers(rng, np.float64), [integers(rng, np.float64) for _ in powers]
    rates = [0.5**power for power in powers]
    expected, moved = rate_outside(params, gradients, rates, 0.25, 0.25, 2)
    corrected, plain = copies(params), copies(params)
    sgd, other = (SGD(some, momentum=0.25, weight_decay=0.25) for some in (corrected, plain))
    for grads, rate, last in zip(gradients, rates, [None, *rates], strict=False):
        sgd.step(grads, rate, last_rate=last)
        other.step(grads, rate)
    for name in SHAPES:
        np.testing.assert_array_equal(corrected[name], expected[name], strict=True)
        np.testing.assert_array_equal(sgd.state[name], -moved[name], strict=True)
        changes = rates[1:] != rates[:-1]
        assert (corrected[name] != plain[name]).any() == changes


def test_corrected_momentum_by_hand():
    """Momentum ½, gradient 1. At rate ¼: v = -¼. At rate 1 it counts four times: v = -½ · 4 · ¼ - 1 = -3/2."""
    params, grads = {"fc.w": np.zeros(1), "fc.b": np.zeros(1)}, {"fc.w": np.ones(1), "fc.b": np.ones(1)}
    sgd = SGD(params, momentum=0.5, weight_decay=0)
    sgd.step(grads, 0.25)
    sgd.step(grads, 1, last_rate=0.25)
    assert (params["fc.w"][0], params["fc.b"][0]) == (-1.75, -3.5)
    # The momentum itself is as before: v = -½ · 3/2 - 1.
    sgd.step(grads, 1)
    assert (sgd.state["fc.w"][0], sgd.momentum) == (-1.75, 0.5)


def test_a_rate_that_stays_corrects_nothing_to_the_last_bit(rng):
    params, gradients = normals(rng, np.float32), [normals(rng, np.float32) for _ in range(4)]
    corrected, plain = copies(params), copies(params)
    sgd, other = SGD(corrected), SGD(plain)
    for grads, rate in zip(gradients, (0.03, 0.03, 0.0, 0.0), strict=True):
        sgd.step(grads, rate, last_rate=rate)
        other.step(grads, rate)
    for name in SHAPES:
        np.testing.assert_array_equal(corrected[name], plain[name], strict=True)
        assert (corrected[name] != params[name]).all()


def test_a_rate_of_zero_leaves_no_velocity_and_what_follows_is_a_first_step(rng):
    params, grads = normals(rng), normals(rng)
    sgd = SGD(params)
    sgd.step(grads, 0.1)
    before = copies(params)
    sgd.step(grads, 0, last_rate=0.1)
    assert not any(v.any() for v in sgd.state.values())
    sgd.step(grads, 0.1, last_rate=0)
    SGD(before).step(grads, 0.1)
    for name in SHAPES:
        np.testing.assert_array_equal(params[name], before[name])


def test_equals_the_plain_loop_with_the_numbers_of_the_paper(rng):
    params, gradients = normals(rng), [normals(rng) for _ in range(20)]
    expected, velocities = plain_loop(params, gradients, [0.01] * 20, 0.9, 5e-4, 2.0, 0.0)
    before, sgd = copies(params), SGD(params)
    for grads in gradients:
        sgd.step(grads)
    for name in SHAPES:
        # Six roundings a step, each of a value no larger than the largest w + v on the way.
        tolerance = 20 * 6 * 2**-53 * 2 * max(np.abs(before[name]).max(), np.abs(expected[name]).max())
        np.testing.assert_allclose(params[name], expected[name], rtol=0, atol=tolerance)
        np.testing.assert_allclose(sgd.state[name], velocities[name], rtol=0, atol=tolerance)
        assert np.abs(params[name] - before[name]).min() > 1e6 * tolerance


def test_one_step_by_hand():
    """w = 2, b = 2, both gradients 1, rate ½: v = -½ (¼ · 2 + 1) = -¾ for w; -2 · ½ · 1 = -1 for b."""
    params = {"fc.w": np.full(1, 2.0), "fc.b": np.full(1, 2.0)}
    sgd = SGD(params, learning_rate=0.5, momentum=0.5, weight_decay=0.25)
    grads = {"fc.w": np.ones(1), "fc.b": np.ones(1)}
    sgd.step(grads)
    assert (params["fc.w"][0], params["fc.b"][0]) == (1.25, 1.0)
    # Then v = ½ · -¾ - ½ (¼ · 1.25 + 1) for w, and ½ · -1 - 1 for b.
    sgd.step(grads)
    assert (params["fc.w"][0], params["fc.b"][0]) == (1.25 - 0.375 - 0.65625, 1.0 - 1.5)


def test_writes_to_the_arrays_of_the_layers_and_not_to_the_gradients(rng):
    params, grads = normals(rng), normals(rng)
    before, given_grads, arrays = copies(params), copies(grads), dict(params)
    grads["another.w"] = np.ones(3)
    assert SGD(params).step(grads) == {}
    for name in SHAPES:
        assert params[name] is arrays[name]
        assert (params[name] != before[name]).all()
        np.testing.assert_array_equal(grads[name], given_grads[name])
    np.testing.assert_array_equal(grads["another.w"], np.ones(3))


def test_a_bias_is_known_by_its_last_name():
    names = ["b", "fc.b", "fc.w", "b.w", "fc.bb", "w"]
    params = {name: np.ones(1) for name in names}
    SGD(params, learning_rate=0.25, weight_decay=0, bias_rate_factor=3).step({name: np.ones(1) for name in names})
    assert {name for name, value in params.items() if value[0] == 0.25} == {"b", "fc.b"}
    assert {name for name, value in params.items() if value[0] == 0.75} == {"fc.w", "b.w", "fc.bb", "w"}


def test_blocks_make_no_difference(rng, monkeypatch):
    params, gradients = normals(rng), [normals(rng) for _ in range(3)]
    # A gradient may be strided, as a transposed one is.
    gradients[1]["conv1.w"] = np.asfortranarray(gradients[1]["conv1.w"])
    whole, blocked = copies(params), copies(params)
    sgd = SGD(whole)
    reports = [sgd.step(grads, statistics=True) for grads in gradients]
    monkeypatch.setattr(optimizer, "BLOCK", 5)  # divides none of the sizes 48, 12, 4 and 3
    sgd = SGD(blocked)
    for grads, report in zip(gradients, reports, strict=True):
        for name, statistics in sgd.step(grads, statistics=True).items():
            np.testing.assert_allclose(statistics.weight, report[name].weight, rtol=1e-14)
            np.testing.assert_allclose(statistics.update, report[name].update, rtol=1e-14)
    for name in SHAPES:
        np.testing.assert_array_equal(whole[name], blocked[name])


@pytest.mark.parametrize("rate", [0.01, np.float64(0.01), np.float32(0.01)])
def test_float32_stays_float32_and_no_temporary_is_as_large_as_a_parameter(rate):
    params = {"fc.w": np.ones(8 * optimizer.BLOCK, np.float32)}
    grads = {"fc.w": np.ones(8 * optimizer.BLOCK, np.float32)}
    sgd = SGD(params, learning_rate=rate)
    tracemalloc.start()
    sgd.step(grads, learning_rate=rate, statistics=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert params["fc.w"].dtype == sgd.state["fc.w"].dtype == np.float32
    # NumPy casts through a buffer of 8192 elements for the sums in float64; a block of float32 would be 262144 bytes.
    assert peak < 4 * optimizer.BLOCK
    assert params["fc.w"].nbytes == 32 * optimizer.BLOCK
    # 1 - 0.01 (5e-4 + 1) in float32: three roundings of values below 1.
    np.testing.assert_allclose(params["fc.w"], 1 - 0.01 * 1.0005, rtol=0, atol=3 * 2**-24)


def test_networks_of_two_dtypes():
    params = {"a.w": np.ones(3, np.float32), "b.w": np.ones(2)}
    SGD(params).step({"a.w": np.ones(3, np.float32), "b.w": np.ones(2)})
    assert [value.dtype for value in params.values()] == [np.float32, np.float64]


def test_statistics():
    params = {"fc.w": np.array([1.0, -3.0]), "fc.b": np.zeros(2)}
    sgd = SGD(params, learning_rate=0.5, momentum=0, weight_decay=0)
    statistics = sgd.step({"fc.w": np.array([0.5, 0.25]), "fc.b": np.array([0.0, 1.0])}, statistics=True)
    assert statistics["fc.w"] == Statistics(weight=2.0, update=0.1875)
    assert statistics["fc.w"].ratio == 0.09375
    assert statistics["fc.b"] == Statistics(weight=0.0, update=0.5)
    assert math.isnan(statistics["fc.b"].ratio)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_passes_and_shows_in_the_statistics(bad):
    params, grads = {"fc.w": np.ones(3, np.float32)}, {"fc.w": np.array([0, bad, 0], np.float32)}
    sgd = SGD(params)
    statistics = sgd.step(grads, statistics=True)["fc.w"]
    assert not math.isfinite(statistics.update)
    assert not math.isfinite(statistics.ratio)
    assert np.isfinite(params["fc.w"]).tolist() == [True, False, True]
    sgd.step({"fc.w": -grads["fc.w"]})  # infinity less infinity, without a warning
    assert np.isfinite(params["fc.w"]).tolist() == [True, False, True]
    huge = {"fc.w": np.full(3, 3e38, np.float32)}
    SGD(huge, learning_rate=10).step({"fc.w": np.full(3, 3e38, np.float32)})
    assert np.isinf(huge["fc.w"]).all()


def test_a_rate_of_zero_moves_only_what_moves_already():
    params, grads = {"fc.w": np.ones(1)}, {"fc.w": np.ones(1)}
    sgd = SGD(params, momentum=0.5)
    sgd.step(grads, learning_rate=0)
    assert params["fc.w"][0] == 1
    sgd.step(grads, learning_rate=0.5)
    velocity = sgd.state["fc.w"][0]
    sgd.step(grads, learning_rate=0)
    assert sgd.state["fc.w"][0] == velocity / 2 != 0


def test_a_resumed_run_takes_the_same_steps(rng):
    params, gradients = normals(rng, np.float32), [normals(rng, np.float32) for _ in range(6)]
    through, resumed = copies(params), copies(params)
    sgd, first = SGD(through), SGD(resumed)
    for grads in gradients:
        sgd.step(grads)
    for grads in gradients[:3]:
        first.step(grads)
    saved = copies(first.state)
    second = SGD(resumed)
    second.load_state(saved)
    for grads in gradients[3:]:
        second.step(grads)
    for name in SHAPES:
        np.testing.assert_array_equal(resumed[name], through[name], strict=True)
        np.testing.assert_array_equal(second.state[name], sgd.state[name], strict=True)
        assert not np.shares_memory(second.state[name], saved[name])
        assert (saved[name] != second.state[name]).any()


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda sgd: pickle.loads(pickle.dumps(sgd))], ids=["copy", "pickle"])
def test_a_copy_takes_the_same_steps_on_parameters_of_its_own(rng, copied, backend):
    """Nothing in it is bound to a process, such as a module. With the parameters in one dict, a copy has both."""
    both = {"params": normals(rng, np.float32)}
    both["sgd"] = SGD(both["params"], momentum=0.5, backend=backend)
    grads = normals(rng, np.float32)
    both["sgd"].step(grads)
    again = copied(both)
    before = copies(both["params"])
    moved = again["sgd"].step(grads, statistics=True)
    for name in SHAPES:
        np.testing.assert_array_equal(both["params"][name], before[name], strict=True)
        assert (again["params"][name] != before[name]).any()
    assert both["sgd"].step(grads, statistics=True) == moved
    for name in SHAPES:
        np.testing.assert_array_equal(again["params"][name], both["params"][name], strict=True)
        np.testing.assert_array_equal(again["sgd"].state[name], both["sgd"].state[name], strict=True)


def test_state_is_named_as_the_parameters_and_begins_as_zero(rng):
    state = SGD(normals(rng, np.float32)).state
    assert {name: v.shape for name, v in state.items()} == SHAPES
    assert all(v.dtype == np.float32 and not v.any() for v in state.values())


W = {"fc.w": np.ones((2, 3)), "fc.b": np.ones(3)}


def arrays(**changes):
    """The right arrays for W, but for the changes: fc_w and fc_b; None leaves one out."""
    result = {**W, **{name.replace("_", ".", 1): value for name, value in changes.items()}}
    return {name: value for name, value in result.items() if value is not None}


UNFIT = [
    (arrays(fc_b=None), ValueError, "lacks fc.b, but must have an array for every parameter"),
    ({}, ValueError, "lacks fc.w, fc.b, but must"),
    (arrays(fc_b=np.ones(2)), ValueError, r"\['fc.b'\] has shape \(2,\), but must have its parameter's, \(3,\)"),
    (arrays(fc_b=np.ones(1)), ValueError, r"\['fc.b'\] has shape \(1,\), but must"),
    (arrays(fc_w=np.ones((3, 2))), ValueError, r"\['fc.w'\] has shape \(3, 2\), but must"),
    (arrays(fc_b=np.ones(3, np.float32)), TypeError, r"\['fc.b'\] has dtype float32, but must have its .*, float64"),
    (arrays(fc_b=np.ones(3, int)), TypeError, r"\['fc.b'\] has dtype int64, but must"),
    (arrays(fc_b=[1.0, 1.0, 1.0]), TypeError, r"\['fc.b'\] is a list, but must be a NumPy array"),
]


@pytest.mark.parametrize(("given_arrays", "error", "message"), UNFIT)
def test_gradients_and_states_that_do_not_fit_are_refused_and_nothing_is_written(given_arrays, error, message):
    params = copies(W)
    sgd = SGD(params)
    with pytest.raises(error, match="grads" + (message if message.startswith("\\[") else " " + message)):
        sgd.step(given_arrays)
    with pytest.raises(error, match="state" + (message if message.startswith("\\[") else " " + message)):
        sgd.load_state(given_arrays)
    assert all((value == 1).all() for value in params.values())
    assert all((value == 0).all() for value in sgd.state.values())


def test_a_state_with_another_name_is_refused():
    sgd = SGD(copies(W))
    with pytest.raises(ValueError, match=r"state has old\.w, but must hold the names of params alone"):
        sgd.load_state({**W, "old.w": np.ones(1)})
    assert not sgd.state["fc.w"].any()


READ_ONLY = np.ones(3)
READ_ONLY.setflags(write=False)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD({}), ValueError, "params is empty, but must hold at least one parameter"),
        (lambda: SGD({"w": [1.0]}), TypeError, "w is a list, but must be a NumPy array"),
        (lambda: SGD({"w": np.ones(3, int)}), TypeError, "w has dtype int64, but must have dtype float32"),
        (lambda: SGD({"w": np.ones((3, 2)).T}), ValueError, "w is empty, strided or read-only, but must be C-contig"),
        (lambda: SGD({"w": READ_ONLY}), ValueError, "w is empty, strided or read-only"),
        (lambda: SGD({"w": np.ones((0, 3))}), ValueError, "w is empty, strided or read-only"),
        (lambda: SGD(W, learning_rate=-1), ValueError, "learning_rate is -1, but must be a finite number >= 0"),
        (lambda: SGD(W, learning_rate="1"), ValueError, "learning_rate is '1', but must be a finite number >= 0"),
        (lambda: SGD(W, momentum=1), ValueError, "momentum is 1, but must be less than 1"),
        (lambda: SGD(W, momentum=-0.1), ValueError, r"momentum is -0\.1, but must be a finite number >= 0"),
        (lambda: SGD(W, weight_decay=math.nan), ValueError, "weight_decay is nan, but must"),
        (lambda: SGD(W, bias_rate_factor=math.inf), ValueError, "bias_rate_factor is inf, but must"),
        (lambda: SGD(W, bias_weight_decay=None), ValueError, "bias_weight_decay is None, but must"),
        (lambda: SGD(copies(W)).step(W, learning_rate=-1.0), ValueError, r"learning_rate is -1\.0, but must"),
        (lambda: SGD(copies(W)).step(W, last_rate=-1.0), ValueError, r"last_rate is -1\.0, but must"),
        (
            lambda: SGD(copies(W)).step(W, 1e300, last_rate=1e-300),
            ValueError,
            "learning_rate / last_rate is inf, but must be a finite number >= 0",
        ),
    ],
)
def test_bad_numbers_are_refused_in_one_sentence(make, error, message):
    with pytest.raises(error, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def torch_steps(params, gradients, rates):
    """The parameters after the same steps of torch.optim.SGD."""
    torch = pytest.importorskip("torch")
    tensors = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    weights = [tensor for name, tensor in tensors.items() if not name.endswith(".b")]
    biases = [tensor for name, tensor in tensors.items() if name.endswith(".b")]
    groups = [{"params": weights}, {"params": biases, "weight_decay": 0.0}]
    sgd = torch.optim.SGD(groups, lr=1.0, momentum=0.9, weight_decay=5e-4)
    for grads, rate in zip(gradients, rates, strict=True):
        for group, factor in zip(sgd.param_groups, (1, 2), strict=True):
            group["lr"] = factor * rate
        for name, tensor in tensors.items():
            tensor.grad = torch.tensor(grads[name])
        sgd.step()
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


def steps(params, gradients, rates, corrected=False):
    params = copies(params)
    sgd = SGD(params)
    for step, (grads, rate) in enumerate(zip(gradients, rates, strict=True)):
        sgd.step(grads, rate, last_rate=rates[step - 1] if corrected and step else None)
    return params


def test_pytorch_takes_the_same_steps_at_a_constant_rate(rng):
    params, gradients = normals(rng), [normals(rng) for _ in range(10)]
    ours, theirs = (take(params, gradients, [0.01] * 10) for take in (steps, torch_steps))
    for name in SHAPES:
        # As above: some six roundings a step on both sides, of values below 8.
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=2 * 10 * 6 * 8 * 2**-53)
        assert np.abs(ours[name] - params[name]).min() > 1e-6


def test_pytorch_takes_other_steps_where_the_rate_changes(rng):
    """After a step at rate 1 and one at rate 0: here the old velocity still acts, PyTorch does not move."""
    params, gradients = normals(rng), [normals(rng) for _ in range(2)]
    first = steps(params, gradients[:1], [1.0])
    ours, theirs = (take(params, gradients, [1.0, 0.0]) for take in (steps, torch_steps))
    for name in SHAPES:
        np.testing.assert_allclose(theirs[name], first[name], rtol=1e-14)
        np.testing.assert_allclose(ours[name] - first[name], 0.9 * (first[name] - params[name]), rtol=1e-12, atol=1e-14)
        assert (ours[name] != theirs[name]).all()


def test_pytorch_takes_the_same_steps_at_all_rates_if_the_momentum_is_corrected(rng):
    """A warm-up, then a fall."""
    params, gradients = normals(rng), [normals(rng) for _ in range(10)]
    rates = [0.01, 0.02, 0.03, 0.04, 0.05, 0.05, 0.05, 0.005, 0.005, 0.005]
    theirs = torch_steps(params, gradients, rates)
    ours, plain = (steps(params, gradients, rates, corrected) for corrected in (True, False))
    for name in SHAPES:
        # As above, with two roundings more for the corrected momentum.
        tolerance = 2 * 10 * 8 * 8 * 2**-53
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=tolerance)
        assert np.abs(plain[name] - theirs[name]).max() > 1e9 * tolerance


def test_a_rate_after_the_momentum_differs_where_the_rate_changes():
    """PyTorch's order by hand: buffer <- momentum buffer + grad, then w <- w - rate buffer."""
    rates, w, buffer = [0.5, 0.25, 0.125], 1.0, 0.0
    params = {"fc.w": np.ones(1)}
    sgd = SGD(params, momentum=0.5, weight_decay=0)
    trace = []
    for rate in rates:
        buffer = 0.5 * buffer + 1
        w -= rate * buffer
        sgd.step({"fc.w": np.ones(1)}, rate)
        trace.append((float(params["fc.w"][0]), w))
    # Here v = -½, -½, -⅜; there 1, 3/2 and 7/4 times the rate: ½, ⅜, 7/32.
    assert trace == [(0.5, 0.5), (0.0, 0.125), (-0.375, -0.09375)]
