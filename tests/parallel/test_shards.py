"""A step in shards is the step of the whole batch: on integers to the last bit, else up to rounding."""

from __future__ import annotations

from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.parallel.as_threads import on
from tinyalexnet import Conv2d, Dense, Dropout, Flatten, MaxPool2d, ReLU, Sequential, softmax_cross_entropy
from tinyalexnet.alexnet import alexnet
from tinyalexnet.devices import device, to_host
from tinyalexnet.ops.dropout import dropout_mask
from tinyalexnet.parallel import ShardedStep, sums
from tinyalexnet.training import Settings
from tinyalexnet.training.data import Dataset, Images
from tinyalexnet.training.optimizer import SGD
from tinyalexnet.training.step import Training


def network(backend, integers=False):
    rng = np.random.default_rng(5)
    layers = [
        ("conv", Conv2d(2, 4, 3, 1, 1, backend=backend, rng=rng, needs_dx=False, algorithm="gemm")),
        ("pool", MaxPool2d(3, 2, backend=backend)),
        ("relu", ReLU(inplace=True, backend=backend)),
        ("flatten", Flatten()),
        ("drop", Dropout(0.5, rng=9, backend=backend)),
        ("fc", Dense(36, 3, backend, rng=rng)),
    ]
    net = Sequential(layers)
    if integers:
        for value in net.params.values():
            value[...] = rng.integers(-3, 4, value.shape)
    return net


class Kept:
    """In place of an optimizer: keeps the gradients of a step."""

    def move(self, grads, loss):
        self.grads, self.loss = {name: gradient.copy() for name, gradient in grads.items()}, loss


def whole(net, x, labels, loss):
    """The gradients of the batch at once."""
    value, dout = loss(net.forward(x), labels, len(x))
    net.backward(dout)
    return value, {name: gradient.copy() for name, gradient in net.grads.items()}


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_gradients_are_those_of_the_batch_to_the_last_bit_on_integers(backend, shards, rng):
    """With a loss whose gradient is made of integers. Dropout doubles what it keeps, which is exact."""
    x = rng.integers(-3, 4, (7, 7, 7, 2)).astype(np.float32)
    douts = rng.integers(-3, 4, (7, 3)).astype(np.float32)
    rows = {bytes(image): dout for image, dout in zip(x.reshape(7, -1).view(np.uint8), douts, strict=True)}
    assert len(rows) == 7

    def loss(out, labels, batch):
        return float(batch), douts[labels]

    value, expected = whole(network(backend, True), x, np.arange(7), loss)
    assert value == 7
    kept = Kept()
    result = ShardedStep(network(backend, True), loss, kept, shards)(x, np.arange(7))
    assert kept.loss == 7 * shards == result.loss
    assert np.abs(expected["conv.w"]).max() > 3
    for name, gradient in expected.items():
        np.testing.assert_array_equal(kept.grads[name], gradient, err_msg=name)


def test_a_network_of_one_layer(rng):
    x = rng.integers(-3, 4, (6, 4)).astype(np.float32)
    kept = Kept()
    ShardedStep(Sequential([("fc", Dense(4, 3, "reference"))]), lambda out, *_: (1.0, np.ones_like(out)), kept, 2)(x, x)
    np.testing.assert_array_equal(kept.grads["fc.w"], np.repeat(x.sum(axis=0)[:, None], 3, axis=1))


def cross_entropy(backend):
    return lambda out, labels, batch: softmax_cross_entropy(out, labels, backend, batch=batch)


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_loss_output_and_gradients_are_near_those_of_the_batch(backend, shards, rng):
    """Within the rounding of sums of 7 * 49 terms in float32: gamma of 400 is 2.4e-5."""
    x, labels = rng.standard_normal((7, 7, 7, 2)).astype(np.float32), rng.integers(0, 3, 7)
    net = network(backend)
    net.train = True
    value, expected = whole(net, x, labels, cross_entropy(backend))
    kept, sharded = Kept(), network(backend)
    result = ShardedStep(sharded, cross_entropy(backend), kept, shards)(x, labels)
    assert result.loss == pytest.approx(value, rel=1e-6)
    assert result.out.shape == (7, 3)
    for name, gradient in expected.items():
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(kept.grads[name], gradient, atol=2.4e-5 * scale * 10, err_msg=name)
    if shards == 1:
        assert all(np.array_equal(kept.grads[name], gradient) for name, gradient in expected.items())


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.5])
def test_parts_of_a_mask_are_the_mask(backend, rate):
    all_of_it = dropout_mask((7, 5, 3), rate, 11, backend)
    parts = [dropout_mask((n, 5, 3), rate, 11, backend, first=at) for at, n in ((0, 2), (2, 4), (6, 1))]
    np.testing.assert_array_equal(np.concatenate(parts), all_of_it)


def test_dropout_draws_once_for_a_batch(backend, rng):
    """The mask of a step in shards is that of the whole, and the next step's another one."""
    x = np.ones((6, 40), np.float32)
    drop = Dropout(0.5, rng=3, backend=backend)
    expected = [drop.forward(x) for _ in range(2)]
    drop = Dropout(0.5, rng=3, backend=backend)
    for first in expected:
        drop.draw()
        found = []
        for rows in (slice(0, 1), slice(1, 4), slice(4, 6)):
            drop.part(rows.start)
            found.append(drop.forward(x[rows]))
        np.testing.assert_array_equal(np.concatenate(found), first)
    drop.train = False
    drop.part(3)
    assert drop.forward(x) is x


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("processes", [2, 3, 7])
def test_processes_take_the_step_of_one_to_the_last_bit(processes, overlap, rng):
    x, labels = rng.standard_normal((9, 7, 7, 2)).astype(np.float32), rng.integers(0, 3, 9)

    def steps(link):
        net, kept, out = network("reference"), Kept(), []
        net.train = True
        step = ShardedStep(net, cross_entropy("reference"), kept, 7, link, overlap)
        rows = step.rows(9)
        for _ in range(2):
            out.append(step(x[rows], labels))
        return out, kept

    ((alone, expected),) = on(1, steps)
    assert alone[0].loss != alone[1].loss  # dropout drew another mask
    found = on(processes, steps)
    for at in range(2):
        np.testing.assert_array_equal(np.concatenate([results[at].out for results, _ in found]), alone[at].out)
        assert {results[at].loss for results, _ in found} == {alone[at].loss}
    for _, kept in found:
        assert kept.grads.keys() == expected.grads.keys()
        for name, gradient in expected.grads.items():
            np.testing.assert_array_equal(kept.grads[name], gradient, err_msg=name)


def test_more_processes_than_shards_are_refused():
    with pytest.raises(ValueError, match="shards is 2, but must be at least the 3 processes there are"):
        on(3, lambda link: ShardedStep(network("reference"), cross_entropy("reference"), Kept(), 2, link))


@pytest.mark.parametrize("count", [3, 5, 8])
def test_other_images_than_the_rows_of_a_process_are_refused(count):
    """As its own labels alone, or all images."""

    def step(link):
        return ShardedStep(network("reference"), cross_entropy("reference"), Kept(), 2, link)(
            np.zeros((count, 7, 7, 2), np.float32), np.zeros(8, int)
        )

    message = f"x has {count} images, but must have the 4 that this process computes of the 8 that have labels"
    with pytest.raises(ValueError, match=message):
        on(2, step)


def test_a_batch_of_less_images_than_shards_is_refused(rng):
    step = ShardedStep(network("reference"), cross_entropy("reference"), Kept(), 8)
    with pytest.raises(ValueError, match="parts is 8, but must be at most the 7 items"):
        step(rng.standard_normal((7, 7, 7, 2)).astype(np.float32), np.zeros(7, int))


def dataset(count=40):
    rng = np.random.default_rng(1)
    images = Images(
        rng.integers(0, 256, (count, 8, 8, 1), dtype=np.uint8), rng.integers(0, 10, count), tuple("0123456789")
    )
    return Dataset("few", images, images)


def weights(settings, steps=3):
    training = Training(settings, dataset())
    for _ in range(steps):
        training.advance()
    return training


@pytest.mark.parametrize("changes", [{}, {"dense": "columns"}])
def test_one_shard_and_one_block_are_a_loop_without_either(backend, changes):
    """To the last bit: a training as a book has it, which knows neither."""
    settings = Settings("digits", batch_size=10, mirror=True, pad=1, backend=backend)
    training = Training(replace(settings, **changes if device(backend).on_host else {}), dataset())
    net = alexnet("digits", backend, settings.seed)
    optimizer = SGD(net.params, settings.learning_rate, settings.momentum, settings.weight_decay, backend=backend)
    for step in range(3):
        images, labels = training.batch(step)
        _, dout = softmax_cross_entropy(net.forward(images), labels, backend)
        net.backward(dout)
        optimizer.step(net.grads)
        training.advance()
    place = training.placement
    for found, expected in ((place.params, net.params), (training.optimizer.state, optimizer.state)):
        whole = place.whole(found)
        assert list(whole) == list(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(whole[name], to_host(value), err_msg=name)


@pytest.mark.parametrize("name", ["shards", "dense", "blocks", "scheme", "groups"])
def test_a_run_keeps_what_decides_the_sums(tmp_path, name):
    """Each of these settings changes the bits, so a run that goes on must have it."""
    settings = Settings("digits", batch_size=10, shards=4, dense="columns", blocks=2, backend="reference")
    Training(settings, dataset()).save(tmp_path / "run")
    other = {"shards": 5, "dense": "rows", "blocks": 4, "scheme": "b", "groups": 2}
    changes = {name: other[name]} | ({"blocks": 1} if name == "dense" else {})
    with pytest.raises(ValueError, match=f"{name} is {other[name]!r}, but must be {getattr(settings, name)!r} as in"):
        Training(replace(settings, **changes), dataset()).restore(tmp_path / "run")


def test_a_training_in_shards(tmp_path, backend):
    """Near the training of whole batches; the same bits each time; and it goes on from its checkpoint alone."""
    settings = Settings("digits", batch_size=10, shards=4, mirror=True, pad=1, backend=backend)
    sharded, plain = weights(settings), weights(replace(settings, shards=1))
    again = weights(settings)
    for name, value in sharded.net.params.items():
        np.testing.assert_array_equal(again.net.params[name], value)
        np.testing.assert_allclose(value, plain.net.params[name], atol=1e-4)
    assert sharded.progress.epoch.images == 30
    sharded.save(tmp_path / "c")
    with pytest.raises(ValueError, match="shards is 1, but must be 4 as in"):
        Training(replace(settings, shards=1), dataset()).restore(tmp_path / "c")
    other = Training(settings, dataset())
    other.restore(tmp_path / "c")
    assert asdict(other.settings)["shards"] == 4
    for training in (sharded, other):
        training.advance()
    for name, value in sharded.net.params.items():
        np.testing.assert_array_equal(other.net.params[name], value)


@pytest.mark.parametrize("shards", [0, 11, True, 2.0])
def test_shards_must_fit_the_batch(shards):
    with pytest.raises(ValueError, match="shards is "):
        Training(Settings("digits", batch_size=10, shards=shards, backend="reference"), dataset())


@pytest.mark.parametrize(
    ("overlap", "graph", "by"), [(False, True, "send"), (False, False, "write"), (True, True, "write")]
)
def test_where_gradients_are_on_a_gpu_their_sums_are_written(monkeypatch, rng, overlap, graph, by):
    """By a device that passes for one: it has copies of all that it is given, or that it gives."""
    x, labels = rng.standard_normal((7, 7, 7, 2)).astype(np.float32), rng.integers(0, 3, 7)
    found = []
    for on_host in (True, False):
        net, kept = network("reference"), Kept()
        step = ShardedStep(net, cross_entropy("reference"), kept, 3, overlap=overlap, graph=graph)
        gpu = SimpleNamespace(
            on_host=on_host,
            by_image=False,
            to_device=np.copy,
            received=lambda arrays: [array.copy() for array in arrays],
            number=lambda value, _: value,
            done=lambda function, *arguments: function(*arguments),
            joined=np.concatenate,
            **{by: np.copyto},
        )
        monkeypatch.setattr(step._sums, "hardware", gpu)
        step(x, labels)
        found.append(kept.grads)
        if not on_host:
            for name, gradient in net.grads.items():
                np.testing.assert_array_equal(gradient, kept.grads[name], err_msg=name)
    for name, gradient in found[0].items():
        np.testing.assert_array_equal(found[1][name], gradient, err_msg=name)


def test_the_forward_of_a_step_on_a_gpu_is_that_on_the_host(monkeypatch, rng):
    """Of each shard, with its part of the mask, by a device that passes for a GPU."""
    x, found = rng.standard_normal((7, 7, 7, 2)).astype(np.float32), []
    for on_host in (True, False):
        step = ShardedStep(network("reference"), cross_entropy("reference"), Kept(), 3)
        monkeypatch.setattr(step._sums, "hardware", SimpleNamespace(on_host=on_host, by_image=False, joined=None))
        found.append([step.outputs(x, 7) for _ in range(2)])
    np.testing.assert_array_equal(*found)
    assert (found[0][0] != found[0][1]).any()


@pytest.mark.parametrize(("backends", "found"), [(["cpu", "cuda", "cpu"], "cuda"), (["cpu", "reference"], "cpu")])
def test_sums_are_where_a_layer_computes_on_a_gpu_or_else_the_first(monkeypatch, backends, found):
    devices = {name: SimpleNamespace(on_host=name != "cuda") for name in ("reference", "cpu", "cuda")}
    monkeypatch.setattr(sums, "device", devices.get)
    leaves = [("a layer", SimpleNamespace(backend=name)) for name in backends]
    assert sums.hardware_of(SimpleNamespace(leaves=lambda: leaves)) is devices[found]


@pytest.mark.cuda
def test_the_forward_of_a_step_on_a_gpu(rng):
    """Captured and kernel by kernel the same bits, near those of the host."""
    x = rng.standard_normal((7, 7, 7, 2)).astype(np.float32)

    def outputs(backend, graph):
        step = ShardedStep(network(backend), cross_entropy(backend), Kept(), 3, graph=graph)
        return [step.outputs(x, 7) for _ in range(2)]

    captured = outputs("cuda", True)
    np.testing.assert_array_equal(captured, outputs("cuda", False))
    np.testing.assert_allclose(captured, outputs("reference", True), atol=1e-5)


@pytest.mark.cuda
@pytest.mark.parametrize("changes", [{}, {"no_graph": True}, {"overlap": True}])
def test_a_training_in_shards_on_a_gpu(changes):
    """Near that of the host, and the same bits each time: captured, kernel by kernel, and layer by layer."""
    settings = Settings("digits", batch_size=7, shards=3, mirror=True, backend="cuda")
    first, again = weights(settings, 1), weights(replace(settings, **changes), 1)
    host = weights(replace(settings, backend="reference"), 1)
    for name, value in first.net.params.items():
        np.testing.assert_array_equal(to_host(value), to_host(again.net.params[name]))
        np.testing.assert_allclose(to_host(value), host.net.params[name], atol=1e-5)
