"""Runs of shards that are recorded and repeated: the bits of those that are not."""

from __future__ import annotations

import numpy as np
import pytest

from tests.scale import Scale
from tests.spoiled import calls_of, spoil
from tinyalexnet import ReLU, Sequential, alexnet, softmax_cross_entropy
from tinyalexnet.alexnet import VARIANTS
from tinyalexnet.devices import device
from tinyalexnet.devices.cpu import recording
from tinyalexnet.parallel import Alone, Placement, ShardedStep, runs

VARIANT_SIZES = [("digits", 12), ("mnist", 8), ("cifar", 9)]


class Kept:
    """In place of an optimizer: keeps the gradients of a step."""

    def move(self, grads, loss):
        self.found = {name: gradient.copy() for name, gradient in grads.items()} | {"loss": loss}


def loss(out, labels, batch):
    return softmax_cross_entropy(out, labels, "cpu", batch=batch)


def steps_of(variant, shards, blocks, scheme, graph, overlap=False):
    """A step with what it computes, and its network."""
    net, kept = alexnet(variant, num_classes=10), Kept()
    placement = Placement(net, Alone(), blocks)
    step = placement.step(net, loss, kept, shards, scheme, overlap, graph)
    return step, kept, net, placement.params


def passes_of(step):
    return list(step._sums._recorded.values())


@pytest.mark.compiled
@pytest.mark.parametrize(("blocks", "scheme"), [(None, "a"), (1, "a"), (2, "b"), (2, "c")])
@pytest.mark.parametrize("shards", [2, 3])
@pytest.mark.parametrize(("variant", "batch"), VARIANT_SIZES)
def test_steps_have_the_bits_of_those_that_run(variant, batch, shards, blocks, scheme):
    """Of shards of one size and of two; whatever the memory held, with other parameters each time."""
    rng = np.random.default_rng(4)
    plain, repeated = (steps_of(variant, shards, blocks, scheme, graph) for graph in (False, True))
    for count in range(4):
        x = rng.standard_normal((batch + 1, *VARIANTS[variant].image_shape), dtype=np.float32)
        labels = rng.integers(0, 10, batch + 1)
        for name, value in plain[3].items():
            repeated[3][name][...] = value[...] = value + rng.standard_normal(value.shape, dtype=np.float32) / 50
        if count:
            (passes,) = passes_of(repeated[0])
            spoil(passes, repeated[2])
        expected, found = (of[0](x, labels) for of in (plain, repeated))
        np.testing.assert_array_equal(found.out, expected.out)
        assert found.loss == expected.loss
        for name, value in plain[1].found.items():
            np.testing.assert_array_equal(repeated[1].found[name], value, err_msg=name)
    assert not passes_of(plain[0])
    (record,) = passes._records.values()
    assert record.forward.is_repeated
    assert record._backward.is_repeated
    assert list(calls_of(passes))


@pytest.mark.compiled
def test_a_forward_alone_is_recorded_too(rng):
    """With dropout, which draws for the whole batch."""
    plain, repeated = (steps_of("mnist", 2, None, "a", graph) for graph in (False, True))
    for count in range(3):
        x = rng.standard_normal((8, *VARIANTS["mnist"].image_shape), dtype=np.float32)
        if count:
            spoil(*passes_of(repeated[0]), repeated[2])
        np.testing.assert_array_equal(repeated[0].outputs(x, 8), plain[0].outputs(x, 8))


@pytest.mark.compiled
def test_a_pass_that_needs_too_much_memory_runs(monkeypatch):
    """Both, or the backward alone."""
    rng = np.random.default_rng(6)
    x = [rng.standard_normal((13, *VARIANTS["mnist"].image_shape), dtype=np.float32) for _ in range(3)]
    labels, seen = rng.integers(0, 10, 13), set()
    plain = steps_of("mnist", 3, None, "a", False)
    expected = [(plain[0](one, labels).out, plain[1].found) for one in x]
    for most in (1 << 16, 1 << 20, 1 << 23, 1 << 25, 1 << 27):
        monkeypatch.setattr(recording, "MOST_BYTES", most)
        step, kept, *_ = steps_of("mnist", 3, None, "a", True)
        for one, (out, grads) in zip(x, expected, strict=True):
            np.testing.assert_array_equal(step(one, labels).out, out)
            for name, value in grads.items():
                np.testing.assert_array_equal(kept.found[name], value, err_msg=name)
        (passes,) = passes_of(step)
        (record,) = passes._records.values()
        seen.add((record.forward.is_repeated, record._backward.is_repeated))
    assert seen == {(False, False), (True, False), (True, True)}


def mean(out, labels, batch):
    return float(out.sum() / batch), np.ones_like(out) / batch


def test_without_compiled_kernels_too(monkeypatch):
    """Of layers that note their NumPy: each shard by itself, then joined; and its gradients are added."""
    monkeypatch.setattr(type(device("cpu")), "can_record", True)
    found = []
    for graph in (False, True):
        net, kept = Sequential([(f"scale{k}", Scale(2.0 + k, backend="cpu")) for k in range(2)]), Kept()
        step = ShardedStep(net, mean, kept, 3, graph=graph)
        rng = np.random.default_rng(1)  # the same images for both
        results = [step(rng.standard_normal((7, 5)), np.arange(7)) for _ in range(3)]
        results.append(step.outputs(rng.standard_normal((7, 5)), 7))
        found.append((results, kept.found))
    (plain, grads), (repeated, others) = found
    for one, other in zip(plain, repeated, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
    assert [one.loss for one in plain[:3]] == [other.loss for other in repeated[:3]]
    assert grads == others
    (passes,) = passes_of(step)
    assert list(calls_of(passes))


@pytest.mark.compiled
@pytest.mark.parametrize("why", ["overlap", "several runs", "a layer of a user"])
def test_what_is_not_recorded(monkeypatch, rng, why):
    """Gradients that are exchanged meanwhile; runs that would each hold memory; layers that may compute anything."""
    step, _, net, _ = steps_of("digits", 4, None, "a", True, overlap=why == "overlap")
    if why == "several runs":
        monkeypatch.setattr(runs, "RUN_IMAGES", 4)
    if why == "a layer of a user":

        class Own(ReLU):
            pass

        layers = [(name, Own() if name == "relu1" else layer) for name, layer in net]
        step = ShardedStep(Sequential(layers), loss, Kept(), 4)
    x = rng.standard_normal((8, *VARIANTS["digits"].image_shape), dtype=np.float32)
    for _ in range(2):
        step(x, rng.integers(0, 10, 8))
    assert not passes_of(step)
