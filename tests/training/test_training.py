"""Training: the batch of a step, the lines and files of a run, and that a resumed run equals one that never stopped."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest

from tinyalexnet import __main__ as command
from tinyalexnet.alexnet import VARIANTS, Conv, Drop, Flat, Full, Pool, Relu, Variant
from tinyalexnet.console import Console
from tinyalexnet.devices import Device
from tinyalexnet.parallel import Alone
from tinyalexnet.training import Settings, Training, augment, checkpoint, plots, read_log, train
from tinyalexnet.training import run as runs
from tinyalexnet.training import step as steps
from tinyalexnet.training.data import Dataset, Images, with_channels
from tinyalexnet.training.optimizer import SGD, Statistics
from tinyalexnet.training.run import Files
from tinyalexnet.training.settings import FREE_SETTINGS, LEAST, check_settings

CLASSES = ("dark", "light", "striped")
TINY = Variant(
    (6, 6, 3),
    (Conv("conv1", 4, 3), Pool("pool1", 2), Relu("relu1"), Flat(), Drop("drop2", 0.25), Full("fc2")),
    num_classes=3,
)


def images(count, seed):
    """Dark, light and striped images with noise: easy to tell apart."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    pixels = np.empty((count, 7, 8, 3))
    for one, label in zip(pixels, labels, strict=True):
        one[...] = (40, 215, 255)[label]
        if label == 2:
            one[::2] = 0
    pixels += rng.normal(0, 20, pixels.shape)
    return Images(pixels.clip(0, 255).astype(np.uint8), labels.astype(np.intp), CLASSES)


DATASET = Dataset("tiny", images(50, 1), images(20, 2))
UNIFORM = Images(
    np.random.default_rng(3).integers(0, 256, (50, 1, 1, 3), dtype=np.uint8).repeat(7, axis=1).repeat(8, axis=2),
    DATASET.train.labels,
    CLASSES,
)
SETTINGS = {"variant": "tiny", "epochs": 3, "batch_size": 8, "backend": "reference", "checkpoint_every": 2}


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setitem(VARIANTS, "tiny", TINY)


def run(tmp_path, name, resume=False, timings=None, **changes):
    out, err = io.StringIO(), io.StringIO()
    files = Files(str(tmp_path / f"{name}.safetensors"), resume, str(tmp_path / f"{name}.jsonl"), timings=timings)
    code = train(Settings(**{**SETTINGS, **changes}), DATASET, out, Console(err, quiet=False), files)
    return code, out.getvalue(), err.getvalue()


def test_it_learns_and_says_so(tmp_path):
    code, out, err = run(tmp_path, "run", epochs=20, learning_rate=0.05)
    assert code == 0
    assert err == f"wrote {tmp_path / 'run.safetensors'}\nwrote {tmp_path / 'run.jsonl'}\n"
    log = read_log(tmp_path / "run.jsonl")
    epochs = [record for record in log if "whole_epoch" in record]
    assert [record["step"] for record in epochs] == list(range(6, 121, 6))
    assert out.count("\n") == 20
    assert out.splitlines()[7].startswith(
        f"epoch 8: loss {epochs[7]['loss']:.4f}, accuracy {epochs[7]['accuracy']:.2%}; test loss "
    )
    assert epochs[-1]["test_accuracy"] >= 0.95 > epochs[0]["accuracy"]
    assert epochs[-1]["accuracy"] >= 0.9
    assert {record["whole_epoch"] for record in epochs} == {True}
    assert [record["step"] for record in log if "whole_epoch" not in record] == list(range(20, 121, 20))
    for name, moved in epochs[-1]["layers"].items():
        assert moved["update"] > 0, name
        assert moved["ratio"] == moved["update"] / moved["weight"]


@pytest.mark.parametrize(("every", "rate"), [(19, 0.01), (20, 0.02)])
def test_a_line_of_the_log_has_the_rate_of_its_last_step(tmp_path, every, rate):
    """That of step 19, the twentieth, after which the line is written."""
    run(tmp_path, "run", epochs=4, schedule=f"step:{every}:0.5")
    assert [record["rate"] for record in read_log(tmp_path / "run.jsonl") if "rate" in record] == [rate]


class Stop(KeyboardInterrupt):
    pass


@pytest.mark.parametrize("large", [{}, {"reference_batch": 2, "warmup": 8, "momentum_correction": True}])
@pytest.mark.parametrize("stop", [1, 7, 11])
def test_a_run_that_goes_on_is_the_run_that_was_not_stopped(tmp_path, monkeypatch, stop, large):
    """To the last bit, dropout, augmentation, rates and log included, wherever in an epoch or a warm-up it stops."""
    changes = {"mirror": True, "pad": 1, "colour_noise": 0.1, "schedule": "step:5:0.5"} | large
    run(tmp_path, "whole", **changes)
    wrote = f"wrote {tmp_path / 'parts.safetensors'}\nwrote {tmp_path / 'parts.jsonl'}\n"
    advance = Training.advance

    def stopping(self, statistics=False):
        if self.progress.step == stop:
            raise Stop
        return advance(self, statistics)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "advance", stopping)
        code, _, err = run(tmp_path, "parts", **changes)
        assert code == 130
        assert err == wrote
    with (tmp_path / "parts.jsonl").open("a") as log:
        log.write('{"step')
    code, _, err = run(tmp_path, "parts", resume=True, **changes)
    assert code == 0
    # A checkpoint before the first step, every second step, and after each epoch of six.
    saved = stop // 2 * 2
    assert err == f"goes on after step {saved} of {tmp_path / 'parts.safetensors'}\n{wrote}"
    whole, parts = (checkpoint.load(tmp_path / f"{name}.safetensors") for name in ("whole", "parts"))
    assert whole[1] == parts[1]
    for name, value in whole[0].items():
        np.testing.assert_array_equal(parts[0][name], value)
    assert read_log(tmp_path / "whole.jsonl") == read_log(tmp_path / "parts.jsonl")


def test_a_run_that_is_done_goes_on_without_a_step(tmp_path, monkeypatch):
    run(tmp_path, "run", epochs=1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(Training, "advance", lambda *_, **how: pytest.fail("a step"))
    code, out, err = run(tmp_path, "run", resume=True, epochs=1)
    assert (code, out) == (0, "")
    assert err.startswith("goes on after step 6 of ")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_first_step_alone_is_where_kernels_are_compiled(monkeypatch):
    """It has lines of its own, and no bar that would stand still meanwhile."""
    compiling, under = [False], []
    advance = Training.advance

    @contextmanager
    def noted(self, hardware):
        compiling[0] = True
        yield []
        compiling[0] = False

    def advanced(self, statistics=False):
        under.append(compiling[0])
        return advance(self, statistics)

    monkeypatch.setattr(Console, "compiling", noted)
    monkeypatch.setattr(Training, "advance", advanced)
    assert train(Settings(**SETTINGS | {"epochs": 1}), DATASET, io.StringIO(), Console(io.StringIO(), True)) == 0
    assert under == [True, *5 * [False]]


def test_dropout_draws_in_each_step_and_in_no_evaluation():
    training = Training(Settings(**SETTINGS), DATASET)
    (generator,) = [layer.rng for _, layer in training.net.leaves() if layer.rng is not None]
    moved = []
    for act in (training.advance, lambda: training.evaluate(DATASET.test), training.advance):
        before = generator.bit_generator.state
        act()
        moved.append(generator.bit_generator.state != before)
    assert moved == [True, False, True]


def test_a_batch_is_a_function_of_its_step():
    one, other = (Training(Settings(**SETTINGS, mirror=True, pad=1), DATASET) for _ in range(2))
    one.advance()
    for step in (0, 5, 6, 17):
        (x, labels), (y, again) = one.batch(step), other.batch(step)
        np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(labels, again)
        assert x.shape == (8, 6, 6, 3)
        assert x.dtype == np.float32
    assert (one.batch(0)[0] != one.batch(6)[0]).any()


def test_beside_a_gpu_the_next_batch_is_made_while_it_computes(monkeypatch):
    """Each batch once, and the steps are the same."""
    plain, beside = (Training(Settings(**SETTINGS, mirror=True), DATASET) for _ in range(2))
    order = []
    batch, captured = beside.batch, beside._step
    monkeypatch.setattr(beside, "batch", lambda step, rows: order.append(f"batch {step}") or batch(step, rows))

    def step(*arrays):
        order.append("step")
        logits, loss = captured(*arrays)
        return logits, np.array([loss, np.nan])  # a loss that is still on the GPU is the first of several sums

    monkeypatch.setattr(beside, "_step", step)
    for _ in range(3):
        plain.advance()
    monkeypatch.setattr(steps, "device", lambda backend: SimpleNamespace(on_host=False))
    for _ in range(3):
        beside.advance()
    assert order == ["batch 0", "step", "batch 1", "step", "batch 2", "step", "batch 3"]
    assert plain.progress == beside.progress
    for name, value in plain.net.params.items():
        np.testing.assert_array_equal(beside.net.params[name], value)


def test_an_epoch_sees_every_image_once():
    """48 of the 50; which two are left out changes with the epoch."""
    dataset = Dataset(
        "numbered", Images(np.zeros((50, 6, 6, 3), np.uint8), np.arange(50), tuple(map(str, range(50)))), DATASET.test
    )
    run = Training(Settings(**SETTINGS), dataset)
    epochs = [np.concatenate([run.batch(6 * epoch + i)[1] for i in range(6)]) for epoch in range(2)]
    assert all(len(set(seen.tolist())) == 48 for seen in epochs)
    assert (epochs[0] != epochs[1]).any()
    # A run of another version must go on with the same images.
    np.testing.assert_array_equal(epochs[1], np.random.default_rng([0, 0, 1]).permutation(50)[:48])


def test_images_are_centred_and_scaled():
    """In a batch of the whole training set, of images that are not cropped because they have the network's size."""
    pixels = DATASET.train.pixels[:, :6, :6]
    whole = Dataset("whole", Images(pixels, DATASET.train.labels, CLASSES), DATASET.test)
    run = Training(Settings(**{**SETTINGS, "batch_size": 50}), whole)
    images, _ = run.batch(0)
    assert images.shape == pixels.shape
    np.testing.assert_allclose(images.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(images.std(), np.std(pixels - run.mean) / np.std(pixels), rtol=1e-5)


def test_colour_noise_moves_whole_images_along_the_components():
    """By 255 times the noise of colours from 0 to 1, in the units of the scaled images."""
    # Each image has one colour, so that the crop, which is drawn after the noise, makes no difference.
    whole = Training(Settings(**SETTINGS, colour_noise=2.0), Dataset("uniform", UNIFORM, DATASET.test))
    still = Training(Settings(**SETTINGS), Dataset("uniform", UNIFORM, DATASET.test))
    moved = (whole.batch(3)[0] - still.batch(3)[0]) / whole.scale / 255
    assert np.ptp(moved, axis=(1, 2)).max() < 1e-5
    eigenvalues, eigenvectors = augment.pca_colours(UNIFORM.pixels)
    alphas = moved[:, 0, 0] @ np.linalg.inv((eigenvectors * eigenvalues).T)
    rng = np.random.default_rng([0, 1, 3])
    np.testing.assert_allclose(alphas, 2.0 * rng.standard_normal(alphas.shape), rtol=1e-3, atol=1e-3)


def test_a_loss_that_is_no_number_ends_the_run(tmp_path, monkeypatch):
    loss = steps.softmax_cross_entropy
    losses = iter([1.0, 1.0, 1.0, np.nan])
    monkeypatch.setattr(steps, "softmax_cross_entropy", lambda *given, **how: (next(losses), loss(*given, **how)[1]))
    with pytest.raises(ValueError, match=r"learning_rate is 0\.02, but must be smaller: the loss of step 3 is nan"):
        run(tmp_path, "run")
    assert checkpoint.load(tmp_path / "run.safetensors")[1]["run"]["step"] == 2


def test_biases_have_a_rate_of_their_own():
    """The first step moves them by the rate times their gradient; the weights move as ever."""
    double, still = (Training(Settings(**SETTINGS, bias_rate_factor=factor), DATASET) for factor in (2, 0))
    for run in (double, still):
        run.advance()
    for name in ("conv1", "fc2"):
        assert not still.net.params[f"{name}.b"].any()
        expected = -2 * 0.02 * double.net.grads[f"{name}.b"]
        np.testing.assert_allclose(double.net.params[f"{name}.b"], expected, rtol=1e-6)  # a few roundings of 2**-24
        np.testing.assert_array_equal(double.net.params[f"{name}.w"], still.net.params[f"{name}.w"])


@pytest.mark.parametrize("corrected", [False, True])
def test_each_step_has_its_rate_and_if_momentum_is_corrected_the_rate_before(tmp_path, monkeypatch, corrected):
    """8 images in place of 2 make 0.08 of 0.02, in three equal steps. A run that goes on finds the last rate."""
    given, set_rate = [], SGD.set_rate
    monkeypatch.setattr(SGD, "set_rate", lambda self, *rates: (given.append(rates), set_rate(self, *rates))[1])
    settings = Settings(**SETTINGS, reference_batch=2, warmup=3, momentum_correction=corrected)
    first, second = Training(settings, DATASET), Training(settings, DATASET)
    given.clear()
    for _ in range(3):
        first.advance()
    first.save(tmp_path / "a")
    second.restore(tmp_path / "a")
    for _ in range(2):
        second.advance()
    rates, lasts = (list(column) for column in zip(*given, strict=True))
    # A division, two products, a difference and a sum round.
    assert rates == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.08], rel=6 * 2**-53, abs=0)
    assert lasts == ([None, *rates[:-1]] if corrected else 5 * [None])


def test_images_a_second_count_the_steps_alone(tmp_path, monkeypatch):
    """Not the evaluation, which takes a hundred seconds here, nor the checkpoint; a step of 8 images takes two."""
    clock = [0.0]

    def slow(function, seconds):
        def slowed(*given, **how):
            clock[0] += seconds
            return function(*given, **how)

        return slowed

    monkeypatch.setattr(runs, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    for name, seconds in (("advance", 2), ("evaluate", 100), ("save", 10)):
        monkeypatch.setattr(Training, name, slow(getattr(Training, name), seconds))
    timings = tmp_path / "run.timings"
    _, out, err = run(tmp_path, "run", timings=str(timings), epochs=4)
    assert err.endswith(f"wrote {timings}\n")
    assert [line.rpartition("; ")[2] for line in out.splitlines()] == ["4 images/s"] * 4
    timed, rest = read_log(timings)
    alone = {"seconds": 38.0, "waited": 0.0, "sent": {}}
    assert timed == {"step": 20, "epoch": 4, "images_a_second": 4, "steps": 19, "processes": [alone]}
    assert rest == {"step": 24, "epoch": 4, "images_a_second": 4, "steps": 4, "processes": [alone | {"seconds": 8.0}]}


@pytest.mark.parametrize(
    ("epochs", "lines"), [(3, [(18, 17)]), (4, [(20, 19), (24, 4)]), (10, [(20, 19), (40, 20), (60, 20)])]
)
def test_timings_have_all_steps_but_the_first(tmp_path, epochs, lines):
    """An epoch has six, and the log a line every twenty."""
    timings = tmp_path / "timings"
    run(tmp_path, "run", timings=str(timings), epochs=epochs)
    assert [(line["step"], line["steps"]) for line in read_log(timings)] == lines


def test_a_run_of_one_step_has_no_timings(tmp_path):
    run(tmp_path, "run", timings=str(tmp_path / "timings"), epochs=1, batch_size=len(DATASET.train.labels))
    assert (tmp_path / "timings").read_text() == ""


def test_seconds_of_waiting_are_those_of_the_steps_after_the_first(tmp_path, monkeypatch):
    """And not of evaluations and checkpoints, as the seconds of the steps are not."""
    link, advance = Alone(), Training.advance

    def waiting(self, statistics=False):
        link.waited += 0.5
        return advance(self, statistics)

    def saving(self, path):
        link.waited += 100.0

    monkeypatch.setattr(Training, "advance", waiting)
    monkeypatch.setattr(Training, "save", saving)
    files = Files(timings=str(tmp_path / "timings"), checkpoint=str(tmp_path / "run"))
    train(Settings(**SETTINGS | {"epochs": 4}), DATASET, io.StringIO(), Console(io.StringIO(), True), files, link)
    waited = [process["waited"] for timed in read_log(tmp_path / "timings") for process in timed["processes"]]
    assert waited == [9.5, 2.0]


def test_each_line_is_there_at_once():
    """Though it goes into a file: also that of a first step, which is a whole epoch here."""

    class Out(io.StringIO):
        seen = 0

        def flush(self):
            self.seen = self.getvalue().count("\n")

    out = Out()
    for epochs in (1, 2):
        train(Settings(**SETTINGS | {"epochs": epochs, "batch_size": 50}), DATASET, out, Console(io.StringIO(), True))
        assert out.seen == out.getvalue().count("\n") == 2 * epochs - 1


def test_ten_views_are_averaged():
    run = Training(Settings(**SETTINGS, views=10), DATASET)
    found = run.probabilities(DATASET.test.pixels[:4])
    assert found.shape == (4, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    single = Training(Settings(**SETTINGS), DATASET).probabilities(DATASET.test.pixels[:4])
    assert (found != single).any()
    every = run.probabilities(DATASET.test.pixels)
    reached = run.evaluate(DATASET.test)
    assert reached["test_accuracy"] == np.mean(every.argmax(axis=1) == DATASET.test.labels)
    # Sums of 20 logarithms in two orders.
    expected = -np.log(every[np.arange(20), DATASET.test.labels]).mean()
    np.testing.assert_allclose(reached["test_loss"], expected, rtol=40 * 2**-53)


@pytest.mark.parametrize("views", [1, 10])
def test_no_more_views_than_a_batch_are_evaluated_at_a_time(monkeypatch, views):
    monkeypatch.setattr(steps, "EVALUATION_BATCH", 10)
    run, sizes = Training(Settings(**SETTINGS, views=views), DATASET), []
    forward = run.net.forward
    monkeypatch.setattr(run.net, "forward", lambda x: (sizes.append(len(x)), forward(x))[1])
    run.evaluate(DATASET.test)
    assert sum(sizes) == views * len(DATASET.test.labels)
    assert max(sizes) == 10 < sum(sizes)


def test_the_defaults_are_those_of_the_documented_run():
    """docs/training.md and docs/data.md have results that were made with them."""
    assert asdict(Settings()) == {
        "variant": "mnist",
        "epochs": 10,
        "batch_size": 128,
        "shards": 1,
        "dense": "rows",
        "blocks": 1,
        "scheme": "a",
        "groups": 1,
        "overlap": False,
        "learning_rate": 0.02,
        "reference_batch": 0,
        "schedule": "constant",
        "warmup": 0,
        "momentum": 0.9,
        "momentum_correction": False,
        "weight_decay": 5e-4,
        "bias_rate_factor": 2.0,
        "pad": 0,
        "mirror": False,
        "colour_noise": 0.0,
        "views": 1,
        "seed": 0,
        "backend": "cpu",
        "precision": "float32",
        "no_graph": False,
        "checkpoint_every": 500,
    }


@pytest.mark.parametrize("name", LEAST)
def test_the_least_value_of_each_int(name):
    least = LEAST[name]
    assert getattr(check_settings(Settings(**SETTINGS | {name: least}), DATASET), name) == least
    with pytest.raises(ValueError, match=f"^{name} is {least - 1}, but must be an int >= {least}$"):
        check_settings(Settings(**SETTINGS | {name: least - 1}), DATASET)
    assert least == (0 if name in ("pad", "seed", "reference_batch", "warmup") else 1)


def test_a_pad_may_be_as_large_as_the_images():
    assert check_settings(Settings(**SETTINGS, pad=8), DATASET).pad == 8


GREY = Variant((6, 6, 1), TINY.layers, num_classes=3)


@pytest.mark.parametrize(
    ("variant", "channels", "line"),
    [
        ("tiny", 1, "tiny takes colours: grey becomes three equal channels\n"),
        ("grey", 3, "grey takes grey images: colours are read as grey\n"),
        ("tiny", 3, ""),
        ("grey", 1, ""),
    ],
)
def test_images_get_the_channels_that_the_network_takes(monkeypatch, tmp_path, variant, channels, line):
    """And it is said; a run goes on from its checkpoint likewise, and its picture is drawn."""
    monkeypatch.setitem(VARIANTS, "grey", GREY)
    dataset = with_channels(DATASET, channels)
    assert dataset.train.pixels.shape == (50, 7, 8, channels)
    settings = Settings(**SETTINGS | {"variant": variant, "epochs": 1})
    for resume in (False, True):
        err = io.StringIO()
        files = Files(str(tmp_path / "run"), resume, str(tmp_path / "log"), str(tmp_path / "plot.png"))
        assert train(settings, dataset, io.StringIO(), Console(err, quiet=False), files) == 0
        assert err.getvalue().startswith(line)
        assert err.getvalue().count("grey") == line.count("grey")


def test_colours_become_grey_as_pillow_has_it(rng):
    from PIL import Image

    pixels = rng.integers(0, 256, (3, 20, 30, 3), dtype=np.uint8)
    images = Images(pixels, np.zeros(3, np.intp), ("a",))
    found = with_channels(Dataset("noise", images, images), 1)
    expected = np.stack([np.array(Image.fromarray(image).convert("L")) for image in pixels])[..., None]
    np.testing.assert_array_equal(found.train.pixels, expected, strict=True)
    again = with_channels(found, 3).test.pixels
    np.testing.assert_array_equal(again, expected.repeat(3, axis=3), strict=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variant": "vgg"}, "variant is 'vgg', but must be one of"),
        ({"variant": "tf2015"}, "variant is 'tf2015', but must be one that classifies"),
        ({"variant": "mnist"}, "data has images of 7 x 8 x 3, but must have at least the 28 x 28 x 1 of 'mnist'"),
        ({"variant": "wide"}, "data has images of 7 x 8 x 3, but must have at least the 6 x 9 x 3 of 'wide'"),
        ({"variant": "tall"}, "data has images of 7 x 8 x 3, but must have at least the 8 x 6 x 3 of 'tall'"),
        ({"epochs": 0}, "epochs is 0, but must be an int >= 1"),
        ({"batch_size": 51}, "batch_size is 51, but must be at most the 50 images there are"),
        ({"pad": 9}, "pad is 9, but must be at most 8, a side of the images"),
        ({"pad": 2**63}, "pad is 9223372036854775808, but must be an int from 0 to 9223372036854775807"),
        ({"views": 3}, "views is 3, but must be 1 or 10"),
        ({"colour_noise": -1.0}, r"colour_noise is -1\.0, but must be a finite number >= 0"),
        ({"schedule": "linear"}, "schedule is 'linear', but must be"),
        ({"bias_rate_factor": -1.0}, r"bias_rate_factor is -1\.0, but must be a finite number >= 0"),
        ({"warmup": -1}, "warmup is -1, but must be an int >= 0"),
        ({"reference_batch": -1}, "reference_batch is -1, but must be an int >= 0"),
        ({"momentum_correction": 1}, "momentum_correction is 1, but must be True or False"),
        (
            {"learning_rate": 1e308, "reference_batch": 1},
            r"learning_rate \* batch_size / reference_batch is inf, but must be a finite number >= 0",
        ),
    ],
)
def test_what_training_refuses(monkeypatch, changes, message):
    for name, shape in (("wide", (6, 9, 3)), ("tall", (8, 6, 3))):
        monkeypatch.setitem(VARIANTS, name, Variant(shape, TINY.layers, num_classes=3))
    with pytest.raises(ValueError, match=message):
        Training(Settings(**{**SETTINGS, **changes}), DATASET)


def test_a_checkpoint_from_before_a_setting_was_trained_with_its_default(tmp_path):
    run(tmp_path, "run")
    old = tmp_path / "old.safetensors"
    arrays, meta = checkpoint.load(tmp_path / "run.safetensors")
    for name in ("bias_rate_factor", "reference_batch", "warmup", "momentum_correction"):
        del meta["settings"][name]
    checkpoint.save(old, arrays, meta)
    training = Training(Settings(**SETTINGS), DATASET)
    training.restore(old)
    assert training.progress.step == 18
    with pytest.raises(ValueError, match=r"bias_rate_factor is 1\.0, but must be 2\.0 as in"):
        Training(Settings(**{**SETTINGS, "bias_rate_factor": 1.0}), DATASET).restore(old)
    for name, value, default in (("reference_batch", 8, 0), ("warmup", 1, 0), ("momentum_correction", True, False)):
        with pytest.raises(ValueError, match=f"{name} is {value}, but must be {default} as in"):
            Training(Settings(**{**SETTINGS, name: value}), DATASET).restore(old)


def test_a_run_does_not_go_on_with_other_settings_or_images(tmp_path):
    run(tmp_path, "run")
    path = tmp_path / "run.safetensors"
    with pytest.raises(ValueError, match=r"batch_size is 4, but must be 8 as in .*run\.safetensors"):
        Training(Settings(**{**SETTINGS, "batch_size": 4}), DATASET).restore(path)
    with pytest.raises(ValueError, match=r"data is other, .*, but must be tiny, "):
        Training(Settings(**SETTINGS), Dataset("other", DATASET.train, DATASET.test)).restore(path)
    with pytest.raises(ValueError, match=r"bias_rate_factor is 1\.0, but must be 2\.0 as in"):
        Training(Settings(**{**SETTINGS, "bias_rate_factor": 1.0}), DATASET).restore(path)
    with pytest.raises(ValueError, match="backend is 'cpu', but must be 'reference' as in"):
        Training(Settings(**{**SETTINGS, "backend": "cpu"}), DATASET).restore(path)
    relabelled = Images(DATASET.train.pixels, DATASET.train.labels[::-1].copy(), CLASSES)
    with pytest.raises(ValueError, match=r"data is tiny, .*, but must be tiny, "):
        Training(Settings(**SETTINGS), Dataset("tiny", relabelled, DATASET.test)).restore(path)
    more = Training(Settings(**{**SETTINGS, "epochs": 9, "views": 10}), DATASET)
    more.restore(path)
    assert more.progress.step == 18
    damaged = bytearray(path.read_bytes())
    damaged[-3] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="the checksum differs"):
        Training(Settings(**SETTINGS), DATASET).restore(path)


def test_a_log_that_is_none(tmp_path):
    path = tmp_path / "log"
    path.write_text('{"step": 1}\n{"ste')  # killed while it wrote
    assert read_log(path) == [{"step": 1}]
    path.write_text("{}\nnonsense\n")
    with pytest.raises(ValueError, match=r"log is '.*log', but must be lines of JSON"):
        read_log(path)


@pytest.mark.parametrize("content", ["", '{"step": 1}\n', "the only copy of something\n", "no line"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_log_that_exists_is_never_wiped(tmp_path, monkeypatch, content, resume):
    """Without --resume, and with it if the checkpoint is gone. An empty one has nothing to lose."""
    path = tmp_path / "run.jsonl"
    path.write_text(content)
    if content:
        monkeypatch.setattr(runs, "Training", lambda *_: pytest.fail("it began"))
        message = "there is no checkpoint '.*' to go on from: give it" if resume else "must be a new file: give"
        with pytest.raises(ValueError, match=f"log is '.*run.jsonl', which exists, but {message}"):
            run(tmp_path, "run", resume)
        assert path.read_text() == content
        assert list(tmp_path.iterdir()) == [path]
    else:
        assert run(tmp_path, "run", resume, epochs=1)[0] == 0
        assert read_log(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{}\n", "must be the log of a training: a line of it has no step"),
        (b"[1]\n", "must be the log of a training: a line of it has no step"),
        (b'{"step": "1"}\n', "must be the log of a training: a line of it has no step"),
        (b"notes\nof mine\n", "must be lines of JSON"),
        (b"\xff\xfe\n", "must be lines of JSON"),
        (b"[" * 100_000 + b"\n", "must be lines of JSON"),
    ],
)
def test_a_run_does_not_go_on_with_the_log_of_something_else(tmp_path, content, message):
    run(tmp_path, "run", epochs=1)
    (tmp_path / "run.jsonl").write_bytes(content)
    before = (tmp_path / "run.safetensors").read_bytes()
    with pytest.raises(ValueError, match=message) as caught:
        run(tmp_path, "run", resume=True)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "run.jsonl").read_bytes() == content
    assert (tmp_path / "run.safetensors").read_bytes() == before


def test_a_run_without_resume_keeps_neither_the_old_checkpoint_nor_goes_on_from_it(tmp_path):
    run(tmp_path, "run")
    (tmp_path / "run.jsonl").unlink()
    _, _, err = run(tmp_path, "run", epochs=1)
    assert "goes on" not in err
    assert checkpoint.load(tmp_path / "run.safetensors")[1]["run"]["step"] == 6


@pytest.mark.skipif(os.name != "posix", reason="links, devices and FIFOs")
def test_links_devices_and_fifos_stay_what_they_are(tmp_path):
    (tmp_path / "folder").mkdir()
    for ending in ("safetensors", "jsonl"):
        (tmp_path / f"run.{ending}").symlink_to(f"folder/there.{ending}")
    for resume in (False, True):
        assert run(tmp_path, "run", resume, epochs=1 + resume)[0] == 0
    assert [(tmp_path / f"run.{ending}").is_symlink() for ending in ("safetensors", "jsonl")] == [True, True]
    assert [record["step"] for record in read_log(tmp_path / "folder" / "there.jsonl")] == [6, 12]
    fifo, content = tmp_path / "fifo", []
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: content.append(fifo.read_text()))
    reader.start()
    quiet = Console(io.StringIO(), True)
    settings = Settings(**SETTINGS | {"epochs": 1})
    assert train(settings, DATASET, io.StringIO(), quiet, Files(os.devnull, False, str(fifo))) == 0
    reader.join()
    assert json.loads(content[0])["step"] == 6
    assert not os.path.isfile(fifo)
    assert not os.path.isfile(os.devnull)
    there = str(tmp_path / "run.safetensors")
    assert train(settings, DATASET, io.StringIO(), quiet, Files(there, True, os.devnull)) == 0
    assert (
        train(settings, DATASET, io.StringIO(), quiet, Files(None, False, os.devnull, str(tmp_path / "run.svg"))) == 0
    )
    assert (tmp_path / "run.svg").exists()  # from the records, for a stream cannot be read again
    if os.path.exists("/dev/full"):
        with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
            train(settings, DATASET, io.StringIO(), quiet, Files(log="/dev/full"))


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        ({"checkpoint": "."}, ValueError, r"checkpoint is '\.', but must be a file in a folder"),
        ({"log": "no/such/log"}, ValueError, "log is 'no/such/log', but must be a file in a folder"),
        ({"plot": "run.txt", "log": "log"}, ValueError, r"plot is 'run\.txt', but must end in"),
        ({"checkpoint": "run"}, ImportError, r"checkpoints need safetensors: pip install 'tinyalexnet\[train\]'"),
    ],
)
def test_what_is_missing_is_told_before_anything_is_computed(tmp_path, monkeypatch, files, error, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    monkeypatch.setattr(runs, "Training", lambda *_: pytest.fail("it began"))
    with pytest.raises(error, match=message):
        train(Settings(**SETTINGS), DATASET, io.StringIO(), Console(io.StringIO(), True), Files(**files))
    assert not list(tmp_path.iterdir())


def test_on_a_gpu_it_says_how_kernels_are_started(tmp_path, monkeypatch):
    """By a device that passes for one."""
    monkeypatch.setattr(Device, "launching", lambda self, graph: f" | graph {graph}")
    monkeypatch.setattr(Device, "processor", lambda self, threads: "Fake")
    said = io.StringIO()
    assert train(Settings(**SETTINGS | {"epochs": 1}), DATASET, io.StringIO(), Console(said, False)) == 0
    assert said.getvalue().startswith("GPU Fake | graph True\n")


def test_a_weight_of_zeros_leaves_the_log_readable(tmp_path, monkeypatch):
    """JSON has no NaN."""
    monkeypatch.setattr(SGD, "statistics", lambda self, before: {name: Statistics(0.0, 0.0) for name in before})
    run(tmp_path, "run", epochs=1)
    record = json.loads((tmp_path / "run.jsonl").read_text().splitlines()[-1], parse_constant=pytest.fail)
    assert {moved["ratio"] for moved in record["layers"].values()} == {None}


def test_the_picture(tmp_path):
    log, plot = str(tmp_path / "log.jsonl"), tmp_path / "run.svg"
    settings = Settings(**{**SETTINGS, "epochs": 4})
    assert train(settings, DATASET, io.StringIO(), Console(io.StringIO(), True), Files(log=log, plot=str(plot))) == 0
    assert plot.read_text().startswith("<?xml")
    without = tmp_path / "without.svg"
    said = io.StringIO()
    assert train(settings, DATASET, io.StringIO(), Console(said, False), Files(plot=str(without))) == 0
    assert re.sub(r"(?s)<metadata>.*?</metadata>", "", plot.read_text()).count("<path") == without.read_text().count(
        "<path"
    )
    assert said.getvalue() == f"wrote {without}\n"
    with pytest.raises(FileNotFoundError):
        plots.training(
            [], np.zeros((3, 3, 3, 4)), DATASET.test.pixels[:2], np.eye(3)[:2], [0, 1], CLASSES, "no/folder.svg"
        )


def test_a_short_run_has_points_of_the_training_in_its_picture(tmp_path, monkeypatch):
    """Of one epoch of six steps, fewer than a line of the log needs."""
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure, *_, **how: figures.append(figure))
    settings = Settings(**{**SETTINGS, "epochs": 1})
    assert train(settings, DATASET, io.StringIO(), Console(io.StringIO(), True), Files(plot="run.svg")) == 0
    loss = figures[0].subfigs[0].subfigs[0].axes[0]
    points = {line.get_label(): line.get_xydata().tolist() for line in loss.lines}
    assert points["training"] == []
    assert [step for step, _ in points["training, mean of an epoch"]] == [6]
    assert [step for step, _ in points["test"]] == [6]
    texts = [text.get_text() for text in figures[0].findobj(lambda artist: hasattr(artist, "get_text"))]
    assert plots.WHY_TEST_IS_BETTER in texts


@pytest.mark.parametrize("records", [0, 1])
def test_after_ctrl_c_there_is_a_picture_if_there_is_something_to_show(tmp_path, monkeypatch, records):
    advance = Training.advance

    def stopping(self, statistics=False):
        if self.progress.step == 6 * records:
            raise Stop
        return advance(self, statistics)

    caught = []
    monkeypatch.setattr(Training, "advance", stopping)
    monkeypatch.setattr(runs.interrupts, "caught", lambda: caught.append(1))
    plot = tmp_path / "run.svg"
    quiet = Console(io.StringIO(), True)
    assert train(Settings(**SETTINGS), DATASET, io.StringIO(), quiet, Files(plot=str(plot))) == 130
    assert plot.exists() is bool(records)
    assert caught == [1]


def test_the_first_step_of_a_process_has_no_part_in_the_images_a_second(tmp_path, monkeypatch):
    """It compiles. If an epoch has no other, there is no figure; of the others it is the median."""
    clock, waits = [0.0], iter([100, 2, 2, 2, 2, 50, *[4] * 6])
    advance = Training.advance

    def timed(self, statistics=False):
        clock[0] += next(waits)
        return advance(self, statistics)

    monkeypatch.setattr(runs, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(Training, "advance", timed)
    _, out, _ = run(tmp_path, "run", epochs=2)
    assert [line.rpartition("; ")[2] for line in out.splitlines()] == ["4 images/s", "2 images/s"]
    waits = iter([100])
    _, out, _ = run(tmp_path, "one", epochs=1, batch_size=50)
    assert "images/s" not in out
    assert re.search(r"accuracy \d+\.\d\d%\n", out)


def test_a_bar_shows_where_training_is(monkeypatch):
    advance = Training.advance
    # The bar is drawn ten times a second at most.
    monkeypatch.setattr(Training, "advance", lambda *given, **how: time.sleep(0.03) or advance(*given, **how))

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    err, out = Terminal(), io.StringIO()
    assert train(Settings(**{**SETTINGS, "epochs": 4}), DATASET, out, Console(err, quiet=False)) == 0
    assert re.search(r"2\d/24 ", err.getvalue())
    assert "loss " in err.getvalue()
    assert "images/s" in err.getvalue()
    assert out.getvalue().count("epoch ") == 4


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def known(monkeypatch):
    """The tiny images in place of Fashion-MNIST."""
    monkeypatch.setattr("tinyalexnet.training.data.load", lambda *arguments: DATASET)


def test_the_command(known, tmp_path, capsys):
    flags = [
        "train",
        "--variant=tiny",
        "--epochs=1",
        "--batch-size=8",
        "--backend=reference",
        "--bias-rate-factor=1",
        "--quiet",
    ]
    assert command.main([*flags, "--log", str(tmp_path / "log")]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("epoch 1: loss ")
    assert err == ""


def test_the_command_has_the_settings_and_their_defaults(known, monkeypatch):
    seen = []
    monkeypatch.setattr("tinyalexnet.training.train", lambda settings, *_: seen.append(settings) or 0)
    assert command.main(["train", "--data=mnist"]) == 0
    assert (
        command.main(
            [
                "train",
                "--data=mnist",
                "--no_graph",
                "--overlap",
                *(f"--{name}=3" for name in FREE_SETTINGS if name not in ("no_graph", "overlap")),
                "--mirror",
            ]
        )
        == 0
    )
    assert seen == [
        Settings(),
        Settings(epochs=3, views=3, checkpoint_every=3, mirror=True, no_graph=True, overlap=True),
    ]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["train", "--resume"], "--resume needs --checkpoint FILE"),
        (
            ["train", "--log", "no/such/log"],
            "log is 'no/such/log', but must be a file in a folder that can be written to",
        ),
        (["train", "--log=x", "--checkpoint=./x"], "log is 'x', but must be another file than checkpoint, './x'"),
        (["train", "--log="], "log is '', but must be a file"),
        (["train", "--plot="], "plot is '', but must be a file"),
        (["train", "--data", "folder"], "data is 'folder', which no network is made for: --variant is needed"),
        (["train", "--epochs=0", "--variant=tiny"], "epochs is 0, but must be an int >= 1"),
        (["train", "--variant=vgg"], "argument --variant: invalid choice: 'vgg'"),
    ],
)
def test_wrong_use_is_one_line_and_code_2(known, capsys, monkeypatch, tmp_path, flags, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        command.main(flags)
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_file_that_cannot_be_written_is_told_before_images_are_read(capsys, monkeypatch):
    monkeypatch.setattr("tinyalexnet.training.data.load", lambda *_: pytest.fail("images are read"))
    with pytest.raises(SystemExit, match="2"):
        command.main(["train", "--log=no/such/log"])
    assert "log is 'no/such/log'" in capsys.readouterr().err


@pytest.mark.parametrize("download", [False, True])
@pytest.mark.parametrize("bars", [False, True])
def test_images_are_waited_for_aloud_unless_a_bar_shows_how_they_come(known, monkeypatch, download, bars):
    waits = []

    @contextmanager
    def waiting(self, what):
        waits.append(what)
        yield

    monkeypatch.setattr(Console, "waiting", waiting)
    monkeypatch.setattr(Console, "shows_bars", bars)
    monkeypatch.setattr("tinyalexnet.training.train", lambda *_: 0)
    assert command.main(["train", "--data=mnist", *["--download"] * download]) == 0
    assert waits == ["reading mnist"] * (not (download and bars))


def test_a_reader_who_has_seen_enough(known, monkeypatch):
    def closed(*_):
        raise BrokenPipeError

    copies = []
    monkeypatch.setattr("tinyalexnet.training.train", closed)
    monkeypatch.setattr(os, "dup2", lambda *given: copies.append(given))
    monkeypatch.setattr(sys, "stdout", sys.__stdout__)
    assert command.main(["train", "--variant=tiny"]) == 141
    assert len(copies) == 1


@pytest.mark.compiled
def test_digits_in_seconds_and_killed_at_any_moment(tmp_path):
    """The README's first try: killed, it goes on from its checkpoint; and it learns."""
    pytest.importorskip("sklearn")
    files = ["--checkpoint", tmp_path / "run.safetensors", "--log", tmp_path / "log.jsonl"]
    line = [sys.executable, "-m", "tinyalexnet", "train", "--data=digits", "--checkpoint-every=3", "--resume", *files]
    killed = subprocess.Popen([*line, "--epochs=1000"], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "log.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    while not (tmp_path / "log.jsonl").read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    reached = checkpoint.load(tmp_path / "run.safetensors")[1]["run"]["step"]
    assert reached >= 3
    epochs = reached // 11 + 12
    done = subprocess.run([*line, f"--epochs={epochs}"], capture_output=True, text=True, check=True)
    assert done.stderr.startswith("goes on after step ")
    log = [json.loads(text) for text in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in log if "whole_epoch" in record] == [11 * k for k in range(1, epochs + 1)]
    assert log[-1]["test_accuracy"] > 0.85
