"""A step as one function: what a captured step computes has the bits of one that is not.

On the host there is nothing to capture; with --backend cuda the same tests are about CUDA graphs.
"""

from __future__ import annotations

import gc

import numpy as np
import pytest

from tinyalexnet import Conv2d, Dense, Dropout, Flatten, MaxPool2d, ReLU, Sequential, softmax_cross_entropy
from tinyalexnet.devices import device, to_host
from tinyalexnet.training.optimizer import SGD

CLASSES = 5


def network(backend):
    return Sequential(
        [
            ("conv1", Conv2d(3, 8, 3, 1, "SAME", backend=backend, rng=1)),
            ("pool1", MaxPool2d(3, 2, backend=backend)),
            ("relu1", ReLU(inplace=True, backend=backend)),
            ("flat", Flatten()),
            ("drop", Dropout(0.5, rng=3, backend=backend)),
            ("fc", Dense(8 * 9, CLASSES, backend=backend, rng=2)),
        ]
    )


def batches(rng, sizes):
    return [
        (rng.standard_normal((n, 7, 7, 3)).astype(np.float32), rng.integers(0, CLASSES, n).astype(np.int64))
        for n in sizes
    ]


def loss_of(backend):
    return lambda y, labels: softmax_cross_entropy(y, labels, backend)


def number(loss):
    """A loss is a number on the host, and an array of one element on a GPU."""
    return loss if isinstance(loss, float) else float(to_host(loss)[0])


def of_host(values):
    return {name: to_host(value).copy() for name, value in values.items()}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("corrected", [False, True])
def test_training_steps_have_the_bits_of_those_that_are_not_captured(run, rng, corrected):
    """Two batch sizes, a learning rate that falls, and with it the momentum or not, dropout with a new mask each time,
    and the velocities."""
    backend = run.name
    hardware = device(backend)
    plain, captured = network(backend), network(backend)
    sgd, other = (SGD(net.params, 0.1, backend=backend) for net in (plain, captured))
    step = captured.captured(loss_of(backend), other)
    for count, (x, labels) in enumerate(batches(rng, (4, 4, 3, 4, 3))):
        rate, last = 0.1 / (1 + count), 0.1 / count if corrected and count else None
        y = plain.forward(hardware.to_device(x))
        loss, dout = loss_of(backend)(y, hardware.to_device(labels))
        plain.backward(dout)
        sgd.step(plain.grads, rate, last_rate=last)
        other.set_rate(rate, last)
        result = step(x, labels)
        np.testing.assert_array_equal(to_host(result.out), to_host(y))
        np.testing.assert_array_equal(number(result.loss), number(loss))
        assert_same(of_host(captured.grads), of_host(plain.grads))
        assert_same(of_host(captured.params), of_host(plain.params))
        assert_same(of_host(other.state), of_host(sgd.state))
    assert captured["drop"].rng.bit_generator.state == plain["drop"].rng.bit_generator.state


def test_steps_without_a_graph_have_the_same_bits(run, rng):
    backend = run.name
    nets = [network(backend) for _ in range(2)]
    steps = [
        net.captured(loss_of(backend), SGD(net.params, 0.1, backend=backend), graph)
        for net, graph in zip(nets, (True, False), strict=True)
    ]
    for x, labels in batches(rng, (4, 3)):
        results = [step(x, labels) for step in steps]
        assert number(results[0].loss) == number(results[1].loss)
        assert_same(of_host(nets[1].params), of_host(nets[0].params))


def test_forward_alone_and_evaluation_beside_training(run, rng):
    backend = run.name
    net, plain = network(backend), network(backend)
    forward, step = net.captured(), net.captured(loss_of(backend))
    (x, labels), (other, _) = batches(rng, (4, 6))
    step(x, labels)
    grads = of_host(net.grads)
    net.train = plain.train = False
    expected = to_host(plain.forward(device(backend).to_device(other)))
    for _ in range(2):
        result = forward(other)
        assert result.loss is None
        np.testing.assert_array_equal(to_host(result.out), expected)
    assert_same(of_host(net.grads), grads)
    net.train = True
    # The same images, another mask: other gradients, in the same arrays.
    step(x, labels)
    assert not np.array_equal(to_host(net.grads["fc.w"]), grads["fc.w"])


def test_arrays_of_the_device_are_read_where_they_are(run, rng):
    backend = run.name
    hardware = device(backend)
    net = network(backend)
    step = net.captured()
    net.train = False
    (x, _), (other, _) = batches(rng, (4, 4))
    there = hardware.to_device(x.copy())
    first = to_host(step(there).out).copy()
    hardware.write(there, other)
    second = to_host(step(there).out).copy()
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(second, to_host(step(hardware.to_device(other)).out))


def test_other_arrays_as_parameters_are_seen(run, rng):
    """A graph reads the parameters where they were when it was recorded."""
    backend = run.name
    net = network(backend)
    step = net.captured()
    net.train = False
    ((x, _),) = batches(rng, (4,))
    step(x)
    for layer in (net["conv1"], net["fc"]):
        layer.params = {name: device(backend).to_device(2 * to_host(value)) for name, value in layer.params.items()}
    expected = to_host(net.forward(device(backend).to_device(x)))
    np.testing.assert_array_equal(to_host(step(x).out), expected)


def test_another_rate_of_dropout_is_seen(run, rng):
    """Some lower it while a network trains."""
    backend = run.name
    net, plain = network(backend), network(backend)
    step = net.captured()
    ((x, _),) = batches(rng, (4,))
    for rate in (0.5, 0.5, 0.2, 0.9, 0.2):
        net["drop"].rate = plain["drop"].rate = rate
        expected = to_host(plain.forward(device(backend).to_device(x)))
        np.testing.assert_array_equal(to_host(step(x).out), expected)


def test_a_step_whose_loss_is_not_finite_is_not_taken(run, rng):
    backend = run.name
    net = network(backend)
    sgd = SGD(net.params, 0.1, backend=backend)
    step = net.captured(loss_of(backend), sgd)
    ((x, labels),) = batches(rng, (4,))
    step(x, labels)
    before, velocities = of_host(net.params), of_host(sgd.state)
    assert any(value.any() for value in velocities.values())
    x[0, 0, 0, 0] = np.nan
    assert np.isnan(number(step(x, labels).loss))
    assert_same(of_host(net.params), before)
    assert_same(of_host(sgd.state), velocities)


def test_errors_are_those_of_the_step(run, rng):
    net = network(run.name)
    step = net.captured(loss_of(run.name))
    ((x, labels),) = batches(rng, (4,))
    with pytest.raises(ValueError, match="conv1: x has 2 channels, but must have 3"):
        step(x[..., :2].copy(), labels)
    with pytest.raises(ValueError, match="labels"):
        step(x, labels[:2].copy())
    assert np.isfinite(number(step(x, labels).loss))


@pytest.mark.cuda
def test_a_replay_launches_nothing_and_allocates_nothing(rng, monkeypatch):
    from tinyalexnet.devices.cuda.driver import driver

    net = network("cuda")
    step = net.captured(loss_of("cuda"), SGD(net.params, 0.1, backend="cuda"))
    ((x, labels),) = batches(rng, (4,))
    step(x, labels)
    # A graph of another test waits for the GPU when it is collected.
    gc.collect()
    asked, gpu = [], driver()
    for name in ("launch", "allocate", "replay", "wait"):
        call = getattr(gpu, name)
        monkeypatch.setattr(gpu, name, lambda *a, name=name, call=call: asked.append(name) or call(*a))
    for _ in range(2):
        step(x, labels)
    assert asked == ["replay", "replay"]


@pytest.mark.cuda
def test_what_cannot_be_captured_is_run_with_a_warning(rng):
    """A step that looks at its own result waits for the GPU, which a graph cannot."""

    def impatient(y, labels):
        loss, dout = loss_of("cuda")(y, labels)
        assert np.isfinite(to_host(loss)).all()
        return loss, dout

    net, plain = network("cuda"), network("cuda")
    step = net.captured(impatient)
    ((x, labels),) = batches(rng, (4,))
    with pytest.warns(UserWarning, match="no CUDA graph, so each step launches its kernels one by one"):
        found = to_host(step(x, labels).loss)
    np.testing.assert_array_equal(found, to_host(plain.captured(loss_of("cuda"))(x, labels).loss))


@pytest.mark.cuda
def test_the_memory_of_a_graph_is_given_back_with_it(rng, monkeypatch):
    from tinyalexnet.devices.cuda.driver import driver

    gpu, held = driver(), set()
    allocate, free = gpu.allocate, gpu.free
    monkeypatch.setattr(gpu, "allocate", lambda size: held.add(address := allocate(size)) or address)
    monkeypatch.setattr(gpu, "free", lambda address: held.discard(address) or free(address))
    net = network("cuda")
    ((x, labels),) = batches(rng, (4,))
    step = net.captured(loss_of("cuda"))
    before = set(held)
    step(x, labels)
    assert len(held - before) > 5
    del step, net
    # The copies of images and labels are in the memory of all arrays, which is kept for the next ones.
    assert len(held - before) <= 2
