"""The state of a training and its steps: the batch of a step, the update, evaluation, and checkpoints.

A step depends on the weights, the seed, its own number and the generators of the dropout layers, which a checkpoint
holds. So a run that was stopped and goes on gives the same bits as a run that was not stopped.
"""

import functools
import hashlib
import math
import reprlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..alexnet import alexnet, check_variant
from ..captured import Result
from ..console import printable
from ..devices import device, to_host
from ..losses import softmax, softmax_cross_entropy
from ..parallel import ShardedStep
from . import augment, checkpoint
from .contents import Contents, check_arrays, contents
from .data import Dataset, Images
from .optimizer import SGD, Statistics
from .progress import Progress
from .schedules import schedule_of
from .settings import FREE_SETTINGS, Settings, check_settings

EVALUATION_BATCH = 500
"""Views of test images that are computed at a time."""


class Training:
    """A network, its optimizer and its images; ``advance`` takes one step.

    Shapes
        The images of ``dataset`` must be at least as large as those of the variant. They are cropped: at a random
        position in training, after padding by ``settings.pad``, and in the middle for the test. Before that the mean
        image of the training set is subtracted, and the result divided by the standard deviation of its pixels.
    Errors
        ValueError if a setting is out of range or the images do not fit the variant.
    Source
        Krizhevsky et al., 2012, sections 4 and 5.
    """

    def __init__(self, settings: Settings, dataset: Dataset) -> None:
        settings = check_settings(settings, dataset)
        self.settings, self.dataset, self.progress = settings, dataset, Progress()
        self.image_size = check_variant(settings.variant).image_shape[:2]
        self.net = alexnet(
            settings.variant,
            settings.backend,
            settings.seed,
            num_classes=len(dataset.train.classes),
            precision=settings.precision,
        )
        self.optimizer = SGD(
            self.net.params,
            settings.learning_rate,
            settings.momentum,
            settings.weight_decay,
            settings.bias_rate_factor,
            backend=settings.backend,
        )
        graph = not settings.no_graph
        self._step: Callable[[Any, Any], Result] = (
            self.net.captured(self._loss, self.optimizer, graph)
            if settings.shards == 1
            else ShardedStep(self.net, self._loss, self.optimizer, settings.shards)
        )
        self._forward = self.net.captured(graph=graph)
        self._prefetched: tuple[int, tuple[np.ndarray, np.ndarray]] | None = None
        self.schedule = schedule_of(settings)
        pixels = dataset.train.pixels
        self.mean = augment.mean_image(pixels)
        self.scale = np.float32(1 / max(_standard_deviation(pixels), 1.0))
        self.colours = self._colours() if settings.colour_noise else None

    @property
    def steps_an_epoch(self) -> int:
        """Full batches in an epoch. The images left over are not used in it; the next epoch has another order."""
        return len(self.dataset.train.labels) // self.settings.batch_size

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """The images (N, H, W, C) and labels (N,) of a step; they depend on the seed and the step alone."""
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

    def _taken(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """The batch of a step; it may have been prepared during the step before."""
        prepared, self._prefetched = self._prefetched, None
        return prepared[1] if prepared is not None and prepared[0] == step else self.batch(step)

    def _last_rate(self, step: int) -> float | None:
        """The rate of the step before, if the momentum is corrected by it."""
        return self.schedule(step - 1) if self.settings.momentum_correction and step else None

    def advance(self, statistics: bool = False) -> dict[str, Statistics]:
        """Takes one step; returns the statistics of every parameter if ``statistics`` is true.

        Errors
            ValueError if the loss is infinite or NaN; the step is then not taken.
        """
        step = self.progress.step
        images, labels = self._taken(step)
        before = self.optimizer.weight_magnitudes() if statistics else {}
        self.net.train = True
        self.optimizer.set_rate(self.schedule(step), self._last_rate(step))
        logits, found = self._step(images, labels)
        if not device(self.settings.backend).on_host:
            # The GPU computes meanwhile: what follows waits for it.
            self._prefetched = step + 1, self.batch(step + 1)
        loss = found if isinstance(found, float) else float(to_host(found)[0])
        if not math.isfinite(loss):
            raise ValueError(
                f"learning_rate is {self.settings.learning_rate}, but must be smaller: "
                f"the loss of step {step} is {loss}"
            )
        right = int(np.count_nonzero(to_host(logits).argmax(axis=1) == labels))
        for sums in (self.progress.logged, self.progress.epoch):
            sums.add(loss, right, len(labels))
        self.progress.step += 1
        return self.optimizer.statistics(before)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """The probability of each class (N, K): the mean over the views of each image, without dropout."""
        self.net.train = False
        images = self._prepared(pixels)
        if self.settings.views == 1:
            views = augment.one_view(images, self.image_size)
        else:
            views = augment.ten_views(images, self.image_size)
        logits, _ = self._forward(views.reshape(-1, *views.shape[-3:]))
        found = softmax(to_host(logits))
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
        """Writes everything that the next step depends on, and everything that is needed to classify an image.

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
            "run": asdict(self.progress),
            "generators": {name: checkpoint.generator_state(layer.rng) for name, layer in self._random_layers()},
        }
        checkpoint.save(path, arrays, meta)

    def restore(self, path: str | Path) -> None:
        """Sets the state that ``save`` wrote: all of it, or nothing if the file is refused.

        Errors
            ValueError if the file is damaged, was written with other settings or other images, or has an array or a
            value that this training cannot have.
        """
        arrays, meta = checkpoint.load(path)
        found = contents(path, meta)
        self._refuse_another_run(path, found)
        params = self.net.params
        check_arrays(path, self.settings.variant, arrays, {name: value.shape for name, value in params.items()})
        if "mean" in arrays and arrays["mean"].shape != self.mean.shape:
            raise ValueError(f"{path} has a mean of shape {arrays['mean'].shape}, but it must be {self.mean.shape}")
        layers = dict(self._random_layers())
        if found.generators.keys() != layers.keys():
            names = ", ".join(layers) or "no layer"
            raise ValueError(f"{path} has generators of other layers, but must have those of {names}")
        for name, value in params.items():
            device(self.settings.backend).write(value, arrays[f"w:{name}"])
        self.optimizer.load_state({name: arrays[f"v:{name}"] for name in params})
        for name, layer in layers.items():
            layer.rng = found.generators[name]
        self.progress = found.progress

    def _refuse_another_run(self, path: str | Path, found: Contents) -> None:
        """ValueError if a checkpoint is of other settings, images or classes."""
        for name, value in asdict(self.settings).items():
            saved = found.settings[name]
            if name not in FREE_SETTINGS and saved != value:
                shown = reprlib.repr(saved)
                raise ValueError(f"{name} is {value!r}, but must be {shown} as in {path}, from which the run goes on")
        if found.data != self._fingerprint:
            raise ValueError(f"data is {self._fingerprint}, but must be {printable(found.data[:200])} as in {path}")
        if found.classes not in (None, tuple(self.dataset.train.classes)):
            raise ValueError(f"data has other classes than those in {path}, but must have the same to go on from it")

    def _loss(self, logits: Any, labels: Any, batch: int | None = None) -> tuple[Any, Any]:
        return softmax_cross_entropy(logits, labels, self.settings.backend, batch=batch)

    def _prepared(self, pixels: np.ndarray) -> np.ndarray:
        return augment.standardised(pixels, self.mean, self.scale)

    def _random_layers(self) -> Iterator[tuple[str, Any]]:
        """The layers that have a generator, whose state belongs in a checkpoint."""
        for name, layer in self.net:
            if getattr(layer, "rng", None) is not None:
                yield name, layer

    def _colours(self) -> tuple[np.ndarray, np.ndarray]:
        """The principal components of the colours: ``pca_colours`` is for colours from 0 to 1, these are scaled."""
        eigenvalues, eigenvectors = augment.pca_colours(self.dataset.train.pixels)
        return 255 * float(self.scale) * eigenvalues, eigenvectors

    @functools.cached_property
    def _fingerprint(self) -> str:
        train = self.dataset.train
        digest = hashlib.sha256(np.ascontiguousarray(train.pixels).data)
        digest.update(train.labels.tobytes())
        return f"{self.dataset.name}, {len(train.labels)} images, sha256 {digest.hexdigest()}"


@functools.lru_cache(maxsize=1)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order of the images in an epoch."""
    return np.random.default_rng([seed, 0, epoch]).permutation(count)


def _standard_deviation(pixels: np.ndarray) -> float:
    """The standard deviation of all pixels; some images at a time become float64, never all of them."""
    sums = np.zeros(2)
    for first in range(0, len(pixels), EVALUATION_BATCH):
        some = pixels[first : first + EVALUATION_BATCH].astype(np.float64)
        sums += some.sum(), np.square(some).sum()
    mean, mean_square = sums / pixels.size
    return math.sqrt(max(mean_square - mean**2, 0.0))
