"""What a training says that it will call, so that others compile it: all kernels, and without a trace."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest

from tinyalexnet.console import Console
from tinyalexnet.devices.cpu import ahead
from tinyalexnet.devices.cpu.threads import ParallelKernel
from tinyalexnet.parallel import Alone
from tinyalexnet.training import Settings, Training, train
from tinyalexnet.training import run as runs
from tinyalexnet.training import step as steps
from tinyalexnet.training.data import Dataset, Images
from tinyalexnet.training.optimizer import SGD


def images(count):
    rng = np.random.default_rng(count)
    pixels = rng.integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)
    return Images(pixels, rng.integers(0, 10, count), tuple("0123456789"))


DIGITS = Dataset("random digits", images(40), images(30))


@pytest.mark.parametrize("changes", [{}, {"shards": 3}, {"views": 10}])
def test_it_changes_nothing(changes):
    one, other = (Training(Settings("digits", batch_size=16, **changes), DIGITS) for _ in range(2))
    other.advance()
    assert one.digest() != other.digest()
    digests = [one.digest()]
    one.rehearse()
    digests.append(one.digest())
    one.advance()
    assert digests[0] == digests[1]
    assert one.digest() == other.digest()
    assert one.evaluate(DIGITS.test) == other.evaluate(DIGITS.test)


def test_what_is_rehearsed(monkeypatch):
    """The first shard forward and back, all shards together, a part of an evaluation, and the update."""
    training, called = Training(Settings("digits", batch_size=16, shards=3, views=10), DIGITS), []
    net = training.net
    forward, backward, move = net.forward, net.backward, SGD.move
    monkeypatch.setattr(net, "forward", lambda x: called.append((net.train, x.shape, x.dtype.name)) or forward(x))
    monkeypatch.setattr(net, "backward", lambda dout: called.append(("backward", dout.shape)) or backward(dout))
    monkeypatch.setattr(SGD, "move", lambda self, grads: called.append(set(grads)) or move(self, grads))
    training.rehearse()
    assert called == [
        (True, (5, 8, 8, 1), "float32"),
        ("backward", (5, 10)),
        (True, (16, 8, 8, 1), "float32"),
        ("backward", (16, 10)),
        (False, (300, 8, 8, 1), "float32"),
        set(net.params),
    ]
    called.clear()
    monkeypatch.setattr(steps, "EVALUATION_BATCH", 29)
    training.rehearse()
    assert (False, (20, 8, 8, 1), "float32") in called


def test_columns_of_dense_layers_are_not_rehearsed(monkeypatch):
    training = Training(Settings("digits", batch_size=16, dense="columns", blocks=2), DIGITS)
    monkeypatch.setattr(training.net, "forward", None)
    training.rehearse()


@pytest.mark.compiled
@pytest.mark.parametrize("changes", [{}, {"shards": 3}, {"views": 10}])
def test_it_names_every_kernel_of_a_run(monkeypatch, changes):
    training = Training(Settings("digits", batch_size=16, **changes), DIGITS)
    monkeypatch.setattr(ahead, "_is_cached", lambda job: False)
    named = {(job.name, job.types) for job in ahead.jobs_of(training.rehearse)}
    called, run = set(), ParallelKernel.__call__

    def noted(self, *arguments):
        ParallelKernel.instead = lambda kernel, types: called.add((kernel.py_func.__name__, types))
        run(self, *arguments)
        ParallelKernel.instead = None
        run(self, *arguments)

    monkeypatch.setattr(ParallelKernel, "__call__", noted)
    training.advance()
    training.evaluate(DIGITS.test)
    assert len(called) > 8
    assert called <= named


class Others(Alone):
    """The link of one of two processes."""

    size = 2

    def __init__(self, rank):
        self.rank = rank


@pytest.mark.parametrize(("rank", "steps", "expected"), [(0, 3, 1), (1, 3, 0), (0, 0, 0)])
def test_a_run_compiles_ahead_once_on_the_first_process_if_steps_are_left(monkeypatch, rank, steps, expected):
    asked = []
    console = SimpleNamespace(compile_ahead=lambda hardware, run: asked.append((hardware.name, run)))
    training = SimpleNamespace(
        progress=SimpleNamespace(step=6 - steps), steps_an_epoch=3, link=Others(rank), rehearse=object()
    )
    runs._compile_ahead(training, Settings("digits", epochs=2), console)
    assert asked == [("cpu", training.rehearse)] * expected


def test_a_run_asks_for_it_before_its_first_step(monkeypatch):
    order = []
    monkeypatch.setattr(runs, "_compile_ahead", lambda *_: order.append("ahead"))
    monkeypatch.setattr(runs, "_steps", lambda *_: order.append("steps"))
    train(Settings("digits", epochs=1, batch_size=16), DIGITS, io.StringIO(), Console(io.StringIO(), True))
    assert order == ["ahead", "steps"]
