"""Training: stochastic gradient descent on labelled images, with a log, checkpoints and a picture.

A step depends on the weights, on the seed and on its number, and on nothing else but the dropout's generators, which a
checkpoint holds. So a run that was interrupted and goes on has the same bits as one that was not.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from .. import plots
from ..alexnet import alexnet, check_variant
from ..console import Console
from ..files import check_writable, replacing
from ..geometry import as_integer
from ..kernels import placed, to_host, write
from ..layers import Dropout
from ..losses import softmax, softmax_cross_entropy
from . import augment, checkpoint
from .data import Dataset, Images
from .optimizer import SGD, Statistics, parse_schedule

EVALUATION_BATCH = 500
"""Views of test images that are computed at a time."""

LOG_EVERY = 20
"""Steps that a line of the log sums up."""

SHOWN_IMAGES = 20
"""Test images on the picture."""


@dataclass(frozen=True)
class Settings:
    """How to train; the command line's flags under the same names."""

    variant: str = "mnist"
    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 0.02
    schedule: str = "constant"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    bias_rate_factor: float = 2.0
    pad: int = 0
    mirror: bool = False
    colour_noise: float = 0.0
    views: int = 1
    seed: int = 0
    backend: str = "cpu"
    checkpoint_every: int = 500


FREE_SETTINGS = ("epochs", "views", "checkpoint_every")
"""What may differ where a run goes on: no step of the training depends on it."""


@dataclass
class Sums:
    """What the log adds up over some steps."""

    steps: int = 0
    loss: float = 0.0
    right: int = 0
    images: int = 0

    def add(self, loss: float, right: int, images: int) -> None:
        self.steps, self.loss = self.steps + 1, self.loss + loss
        self.right, self.images = self.right + right, self.images + images

    @property
    def means(self) -> dict[str, float]:
        """Loss and accuracy."""
        return {"loss": self.loss / self.steps, "accuracy": self.right / self.images}


@dataclass
class Run:
    """What a run has reached: its step, and the sums since the last line of the log and the last epoch."""

    step: int = 0
    logged: Sums = field(default_factory=Sums)
    epoch: Sums = field(default_factory=Sums)


class Training:
    """A network, its optimizer and its images; ``advance`` takes one step.

    Shapes
        The images of ``dataset``, padded by ``settings.pad``, must be at least as large as those of the variant, and
        are cropped: anywhere in training, in the middle for the test. They are scaled by the mean image and the
        standard deviation of the training set.
    Errors
        ValueError where a setting is out of range or the images do not fit the variant.
    Source
        Krizhevsky et al., 2012, sections 4 and 5.
    """

    def __init__(self, settings: Settings, dataset: Dataset) -> None:
        _check(settings, dataset)
        self.settings, self.dataset, self.run = settings, dataset, Run()
        self.image_size = check_variant(settings.variant).image_shape[:2]
        self.net = alexnet(settings.variant, settings.backend, settings.seed, num_classes=len(dataset.train.classes))
        self.optimizer = SGD(
            self.net.params,
            settings.learning_rate,
            settings.momentum,
            settings.weight_decay,
            settings.bias_rate_factor,
            backend=settings.backend,
        )
        self.schedule = parse_schedule(settings.schedule, settings.learning_rate)
        pixels = dataset.train.pixels
        self.mean = augment.mean_image(pixels)
        self.scale = np.float32(1 / max(_standard_deviation(pixels), 1.0))
        self.colours = self._colours() if settings.colour_noise else None

    @property
    def steps_an_epoch(self) -> int:
        """The images that are left over when the batches are full wait for the next epoch's order."""
        return len(self.dataset.train.labels) // self.settings.batch_size

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """The images (N, H, W, C) and labels (N,) of a step: a function of the seed and the step alone."""
        settings, size = self.settings, self.settings.batch_size
        epoch, index = divmod(step, self.steps_an_epoch)
        chosen = _order(settings.seed, epoch, len(self.dataset.train.labels))[index * size : (index + 1) * size]
        rng = np.random.default_rng([settings.seed, 1, step])
        images = self._prepared(self.dataset.train.pixels[chosen])
        if self.colours is not None:
            images = augment.colour_noise(images, *self.colours, rng, settings.colour_noise)
        if settings.pad:
            images = augment.pad(images, settings.pad)
        images = augment.random_crop(images, self.image_size, rng)
        if settings.mirror:
            images = augment.mirror(images, rng)
        return np.ascontiguousarray(images), self.dataset.train.labels[chosen]

    def advance(self, statistics: bool = False) -> dict[str, Statistics]:
        """Takes one step; returns the statistics of every parameter where asked for.

        Errors
            ValueError where the loss is no number any more: the step is then not taken.
        """
        backend = self.settings.backend
        images, labels = self.batch(self.run.step)
        self.net.train = True
        logits = self.net.forward(placed(images, backend))
        found, dlogits = softmax_cross_entropy(logits, placed(labels, backend), backend)
        loss = found if isinstance(found, float) else float(to_host(found)[0])
        if not math.isfinite(loss):
            raise ValueError(
                f"learning_rate is {self.settings.learning_rate}, but must be smaller: "
                f"the loss of step {self.run.step} is {loss}"
            )
        self.net.backward(dlogits)
        moved = self.optimizer.step(self.net.grads, self.schedule(self.run.step), statistics)
        right = int(np.count_nonzero(to_host(logits).argmax(axis=1) == labels))
        for sums in (self.run.logged, self.run.epoch):
            sums.add(loss, right, len(labels))
        self.run.step += 1
        return moved

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """What the network gives each class (N, K): the mean over the views of each image, without dropout."""
        self.net.train = False
        images = self._prepared(pixels)
        if self.settings.views == 1:
            views = augment.one_view(images, self.image_size)
        else:
            views = augment.ten_views(images, self.image_size)
        found = softmax(to_host(self.net.forward(placed(views.reshape(-1, *views.shape[-3:]), self.settings.backend))))
        mean: np.ndarray = found.reshape(len(pixels), -1, found.shape[1]).mean(axis=1)
        return mean

    def evaluate(self, images: Images) -> dict[str, float]:
        """The mean loss and the accuracy on some images."""
        loss, right = 0.0, 0
        at_a_time = EVALUATION_BATCH // self.settings.views
        for first in range(0, len(images.labels), at_a_time):
            labels = images.labels[first : first + at_a_time]
            found = self.probabilities(images.pixels[first : first + at_a_time])
            of_right = found[np.arange(len(labels)), labels]
            loss -= float(np.log(np.maximum(of_right, np.finfo(np.float64).tiny)).sum())
            right += int(np.count_nonzero(found.argmax(axis=1) == labels))
        return {"test_loss": loss / len(images.labels), "test_accuracy": right / len(images.labels)}

    def save(self, path: str | Path) -> None:
        """Writes everything that the next step depends on, and what classifying an image takes.

        Errors
            As ``checkpoint.save``.
        """
        arrays = {"mean": self.mean} | {f"w:{name}": to_host(value) for name, value in self.net.params.items()}
        arrays |= {f"v:{name}": to_host(value) for name, value in self.optimizer.state.items()}
        meta = {
            "settings": asdict(self.settings),
            "data": self._fingerprint,
            "scale": float(self.scale),
            "classes": list(self.dataset.train.classes),
            "run": asdict(self.run),
            "generators": {name: checkpoint.generator_state(layer.rng) for name, layer in self._dropouts()},
        }
        checkpoint.save(path, arrays, meta)

    def restore(self, path: str | Path) -> None:
        """Goes on where ``save`` was called.

        Errors
            ValueError where the file is damaged, or is of other settings or other images.
        """
        arrays, meta = checkpoint.load(path)
        for name, value in asdict(self.settings).items():
            # What is older than a setting was trained with what is its default now.
            saved = meta.get("settings", {}).get(name, getattr(Settings, name))
            if name not in FREE_SETTINGS and saved != value:
                raise ValueError(f"{name} is {value!r}, but must be {saved!r} as in {path}, from which the run goes on")
        if meta["data"] != self._fingerprint:
            raise ValueError(f"data is {self._fingerprint}, but must be {meta['data']} as in {path}")
        for name, value in self.net.params.items():
            write(value, arrays[f"w:{name}"])
        self.optimizer.load_state({name: arrays[f"v:{name}"] for name in self.net.params})
        for name, layer in self._dropouts():
            layer.rng = checkpoint.restore_generator(meta["generators"][name])
        run = meta["run"]
        self.run = Run(run["step"], Sums(**run["logged"]), Sums(**run["epoch"]))

    def _prepared(self, pixels: np.ndarray) -> np.ndarray:
        return augment.standardised(pixels, self.mean, self.scale)

    def _dropouts(self) -> Iterator[tuple[str, Dropout]]:
        for name, layer in self.net:
            if isinstance(layer, Dropout):
                yield name, layer

    def _colours(self) -> tuple[np.ndarray, np.ndarray]:
        """The components of the colours, which are of colours from 0 to 1, in the units of the scaled images."""
        eigenvalues, eigenvectors = augment.pca_colours(self.dataset.train.pixels)
        return 255 * float(self.scale) * eigenvalues, eigenvectors

    @functools.cached_property
    def _fingerprint(self) -> str:
        train = self.dataset.train
        digest = hashlib.sha256(np.ascontiguousarray(train.pixels).data)
        digest.update(train.labels.tobytes())
        return f"{self.dataset.name}, {len(train.labels)} images, sha256 {digest.hexdigest()}"


def train(
    settings: Settings,
    dataset: Dataset,
    out: TextIO,
    console: Console,
    checkpoint_path: str | None = None,
    resume: bool = False,
    log_path: str | None = None,
    plot_path: str | None = None,
) -> int:
    """Trains and returns the exit code: 0, or 130 where Ctrl-C ended it.

    Prints a line for each epoch. After Ctrl-C the last checkpoint stays as it is, because a step may be half done.

    Errors
        As ``Training`` and ``Training.restore``; ValueError where a file cannot be written and ImportError where a
        package is missing, both before anything is computed.
    """
    for name, path in (("checkpoint", checkpoint_path), ("log", log_path), ("plot", plot_path)):
        if path is not None:
            check_writable(name, path)
    if checkpoint_path is not None:
        checkpoint.check()
    if plot_path is not None:
        plots.check(plot_path)
    training = Training(settings, dataset)
    if resume and checkpoint_path is not None and Path(checkpoint_path).exists():
        training.restore(checkpoint_path)
        console.line(f"goes on after step {training.run.step} of {checkpoint_path}")
    total = settings.epochs * training.steps_an_epoch
    code = 0
    with _log(log_path, training.run.step) as log:
        try:
            _steps(training, total, log, out, console, checkpoint_path)
        except KeyboardInterrupt:
            console.line("interrupted")
            code = 130
    if plot_path is not None and log_path is not None:
        shown = dataset.test.pixels[:SHOWN_IMAGES]
        plots.training(
            read_log(log_path),
            to_host(training.net.params["conv1.w"]),
            shown,
            training.probabilities(shown),
            dataset.test.labels[:SHOWN_IMAGES],
            dataset.test.classes,
            plot_path,
        )
    return code


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """The lines of a log, but for a last one that was cut off; ValueError where one is no JSON."""
    lines = Path(path).read_text().split("\n")[:-1]
    try:
        return [json.loads(line) for line in lines]
    except ValueError as error:
        raise ValueError(f"log is {str(path)!r}, but must be lines of JSON: {error}") from None


@functools.lru_cache(maxsize=1)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order in which an epoch takes the images."""
    return np.random.default_rng([seed, 0, epoch]).permutation(count)


def _standard_deviation(pixels: np.ndarray) -> float:
    """Of all pixels of all images, without a copy of all of them in float64."""
    sums = np.zeros(2)
    for first in range(0, len(pixels), EVALUATION_BATCH):
        some = pixels[first : first + EVALUATION_BATCH].astype(np.float64)
        sums += some.sum(), np.square(some).sum()
    mean, mean_square = sums / pixels.size
    return math.sqrt(max(mean_square - mean**2, 0.0))


def _check(settings: Settings, dataset: Dataset) -> None:
    table = check_variant(settings.variant)
    for name, least in (("epochs", 1), ("batch_size", 1), ("checkpoint_every", 1), ("pad", 0), ("seed", 0)):
        as_integer(name, getattr(settings, name), least)
    if table.num_classes is None:
        raise ValueError(f"variant is {settings.variant!r}, but must be one that classifies")
    if settings.views not in (1, 10):
        raise ValueError(f"views is {settings.views}, but must be 1 or 10")
    if not 0 <= settings.colour_noise < math.inf:
        raise ValueError(f"colour_noise is {settings.colour_noise}, but must be a number from 0 up")
    count, height, width, channels = dataset.train.pixels.shape
    if settings.batch_size > count:
        raise ValueError(f"batch_size is {settings.batch_size}, but must be at most the {count} images there are")
    wanted = table.image_shape
    fits = height >= wanted[0] and width >= wanted[1] and channels == wanted[2]
    if not fits:
        raise ValueError(
            f"data has images of {height} x {width} x {channels}, but must have at least the "
            f"{wanted[0]} x {wanted[1]} x {wanted[2]} of {settings.variant!r}"
        )


def _steps(
    training: Training,
    total: int,
    log: Callable[[dict[str, Any]], object],
    out: TextIO,
    console: Console,
    checkpoint_path: str | None,
) -> None:
    run, an_epoch, size = training.run, training.steps_an_epoch, training.settings.batch_size
    seconds, first = 0.0, run.step
    with console.bar("training", total, done=first) as (advance, write):
        while run.step < total:
            is_last = (run.step + 1) % an_epoch == 0
            start = time.perf_counter()
            moved = training.advance(statistics=is_last)
            seconds += time.perf_counter() - start
            speed = size * (run.step - first) / seconds
            record: dict[str, Any] = {"step": run.step, "epoch": math.ceil(run.step / an_epoch)}
            note = ""
            if run.logged.steps == LOG_EVERY:
                means = run.logged.means
                log(record | {"rate": training.schedule(run.step - 1), **means, "images_a_second": round(speed)})
                note = f"loss {means['loss']:.3f}, accuracy {means['accuracy']:.1%}, {speed:.0f} images/s"
                run.logged = Sums()
            if is_last:
                reached = training.evaluate(training.dataset.test)
                means = run.epoch.means
                # JSON has no NaN, which the ratio is where every weight is 0.
                layers = {
                    name: asdict(value) | {"ratio": value.ratio if value.weight else None}
                    for name, value in moved.items()
                }
                log(record | {"whole_epoch": True, **means, **reached, "layers": layers})
                write(
                    f"epoch {record['epoch']}: loss {means['loss']:.4f}, accuracy {means['accuracy']:.2%}; test loss "
                    f"{reached['test_loss']:.4f}, accuracy {reached['test_accuracy']:.2%}; {speed:.0f} images/s",
                    out,
                )
                run.epoch = Sums()
            if checkpoint_path is not None and (is_last or run.step % training.settings.checkpoint_every == 0):
                training.save(checkpoint_path)
            advance(note)


@contextmanager
def _log(path: str | None, step: int) -> Iterator[Callable[[dict[str, Any]], object]]:
    """A function that appends to the log, from which what came after ``step`` has been taken out."""
    if path is None:
        yield lambda record: None
        return
    kept = [record for record in read_log(path) if record["step"] <= step] if step and Path(path).exists() else []
    with replacing(path) as temporary:
        temporary.write_text("".join(json.dumps(record) + "\n" for record in kept))
    with Path(path).open("a") as file:

        def append(record: dict[str, Any]) -> None:
            file.write(json.dumps(record) + "\n")
            file.flush()

        yield append
