"""docs/training_versus.py: both of its trainings are the same training."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinyalexnet.training import Settings
from tinyalexnet.training.data import Dataset, Images

DOCS = Path(__file__).parent.parent / "docs"
# At the end, so that no file there hides another module.
sys.path.append(str(DOCS))
versus = importlib.import_module("training_versus")


def random_images(rng, variant, count=256):
    shape = versus.DATA[variant][1]
    images = Images(
        rng.integers(0, 256, (count, *shape), dtype=np.uint8), rng.integers(0, 10, count), tuple("0123456789")
    )
    return Dataset("random", images, images)


def both(rng, variant):
    pytest.importorskip("torch")
    ours = versus.Ours(variant, random_images(rng, variant))
    return ours, versus.Theirs(ours.given(), threads=1)


@pytest.mark.compiled
@pytest.mark.parametrize("layout", ["channels_last", "channels first"])
def test_both_take_the_same_steps(rng, layout):
    ours, theirs = both(rng, "digits")
    theirs.arrange(layout)
    found, expected = ours.losses(), theirs.losses()
    # A convolution's outputs differ by at most 2e-5, relative (docs/winograd.md), and there are two of them in a row.
    # A loss moves by at most twice as much as a logit, and logits are of the size of the losses.
    assert found == pytest.approx(expected, rel=1e-4)
    # An update that is missing, or of another size, is seen.
    assert min(abs(np.diff(expected))) > 100 * 1e-4 * max(expected)


def test_the_optimizer_has_the_settings_of_training(rng):
    _, theirs = both(rng, "digits")
    weights, biases = theirs.optimizer.param_groups
    settings = Settings("digits")
    assert (weights["lr"], weights["weight_decay"]) == (settings.learning_rate, settings.weight_decay)
    assert (biases["lr"], biases["weight_decay"]) == (settings.bias_rate_factor * settings.learning_rate, 0)
    assert weights["momentum"] == biases["momentum"] == settings.momentum
    assert {value.ndim for value in biases["params"]} == {1}
    assert {value.ndim for value in weights["params"]} == {2, 4}
    assert len(weights["params"]) + len(biases["params"]) == len(theirs.network.params)


def test_a_batch_has_windows_of_the_images_half_of_them_mirrored(rng):
    _, theirs = both(rng, "cifar")
    order = theirs.order.clone()
    images, labels = theirs.batch()
    assert images.shape == (128, 3, 24, 24)
    assert (labels == theirs.labels[order[:128]]).all()
    whole = theirs.standardised(theirs.pixels[order[:128]]).numpy()
    windows = np.lib.stride_tricks.sliding_window_view(whole, (24, 24), axis=(2, 3))
    found = []
    for image, places in zip(images.numpy(), windows, strict=True):
        for mirrored in (False, True):
            equal = (places == image[:, None, None, :, :: -1 if mirrored else 1]).all(axis=(0, 3, 4))
            found += [(mirrored, *place) for place in np.argwhere(equal).tolist()]
    assert len(found) == 128
    # The chance of fewer than 40 mirrored images, or of as few others, is 2e-5; of a row or a column too few, 5e-6.
    assert 40 <= sum(mirrored for mirrored, _, _ in found) <= 88
    assert {row for _, row, _ in found} == {column for _, _, column in found} == set(range(9))


def test_an_epoch_has_each_image_once(rng):
    _, theirs = both(rng, "digits")
    first = theirs.order.clone()
    theirs.batch()
    theirs.batch()
    assert theirs.order.equal(first)
    theirs.batch()
    assert sorted(theirs.order.tolist()) == list(range(256))
    assert not theirs.order.equal(first)
    assert theirs.seen == 128


def test_without_the_data_set_images_are_random(monkeypatch):
    def missing(name):
        raise ValueError(f"{name} must be whole")

    monkeypatch.setattr(versus, "load", missing)
    found = versus.dataset("cifar")
    assert found.name == "random images"
    assert found.train.pixels.shape[1:] == (32, 32, 3)


@pytest.mark.compiled
def test_speeds_are_printed():
    pytest.importorskip("torch")
    done = run("digits", "rounds=2", "threads=1")
    assert (done.returncode, done.stderr) == (0, "")
    losses = re.findall(r"^losses of the same steps, (?:tinyalexnet|PyTorch): (.*)$", done.stdout, re.MULTILINE)
    assert [text.count(",") for text in losses] == [versus.SAME_STEPS - 1] * 2
    assert float(re.search(r"largest relative difference (\S+)", done.stdout)[1]) < 1e-4
    speeds = re.findall(r"(\d+) images/s", done.stdout)
    assert len(speeds) == 2
    assert min(map(int, speeds)) > 0
    assert re.search(r"[\d.]+ times as fast \(quartiles [\d.]+ and [\d.]+, 2 rounds\)", done.stdout)


@pytest.mark.parametrize("arguments", [["caffe"], ["mnist", "digits"], ["mnist", "epochs=3"]])
def test_wrong_use_prints_how_to_use_it(arguments):
    done = run(*arguments)
    assert done.returncode == 1
    assert "python docs/training_versus.py" in done.stderr


def run(*arguments):
    command = [sys.executable, DOCS / "training_versus.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
