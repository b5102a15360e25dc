"""The state of a training and its steps: the batch of a step, the update, evaluation, and checkpoints.

A step depends on the weights, the seed, its own number and the generators of the dropout layers, which a checkpoint
holds. So a run that was stopped and goes on gives the same bits as a run that was not stopped.
"""

import functools
import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..alexnet import alexnet, check_variant
from ..captured import Result
from ..devices import device, to_host
from ..losses import softmax, softmax_cross_entropy
from ..parallel import Alone, HybridStep, Link, Placement, check_same, spans
from ..parallel.runs import RUN_IMAGES
from . import augment, state
from .data import Dataset, Images
from .optimizer import SGD, Statistics
from .progress import Progress
from .schedules import schedule_of
from .settings import Settings, check_settings

REHEARSED = 1 << 15
"""Elements of a parameter whose update is rehearsed: as many as are no small work for a kernel."""

EVALUATION_BATCH = 500
"""Views of test images that are computed at a time."""

COMPARE_EVERY = 100
"""Steps between two comparisons of the weights of all processes; they also compare before each checkpoint, and after an
epoch."""


class Training:
    """A network, its optimizer and its images; ``advance`` takes one step.

    Shapes
        The images of ``dataset`` must be at least as large as those of the variant. They are cropped: at a random
        position in training, after padding by ``settings.pad``, and in the middle for the test. Before that the mean
        image of the training set is subtracted, and the result divided by the standard deviation of its pixels.
    State
        With a ``link`` to other processes each of them computes some shards of a batch; all have the same weights, but
        for those of dense layers in columns.
    Errors
        ValueError if a setting is out of range, the images do not fit the variant, or other processes have other ones.
    Source
        Krizhevsky et al., 2012, sections 4 and 5.
    """

    def __init__(self, settings: Settings, dataset: Dataset, link: Link | None = None) -> None:
        settings = check_settings(settings, dataset)
        self.settings, self.dataset, self.progress = settings, dataset, Progress()
        self.link: Link = link or Alone()
        if self.link.size > 1:  # before any other exchange, which is as the settings say
            images = {"data": self.fingerprint, "test_images": _of_images(dataset.test)}
            each = {name: repr(value) for name, value in asdict(settings).items()}
            check_same(self.link, version=__version__, **each, **images)
        self.image_size = check_variant(settings.variant).image_shape[:2]
        self.net = alexnet(
            settings.variant,
            settings.backend,
            settings.seed,
            num_classes=len(dataset.train.classes),
            precision=settings.precision,
        )
        self.placement = Placement(
            self.net, self.link, settings.blocks if settings.dense == "columns" else None, settings.groups
        )
        self.optimizer = SGD(
            self.placement.params,
            settings.learning_rate,
            settings.momentum,
            settings.weight_decay,
            settings.bias_rate_factor,
            backend=settings.backend,
        )
        self._make_step()
        self._prefetched: tuple[int, tuple[np.ndarray, np.ndarray]] | None = None
        self.schedule = schedule_of(settings)
        pixels = dataset.train.pixels
        self.mean = augment.mean_image(pixels)
        self.scale = np.float32(1 / max(_standard_deviation(pixels), 1.0))
        self.colours = self._colours() if settings.colour_noise else None

    def _make_step(self) -> None:
        """The functions of a step and of a forward, the images of a batch that this process computes, and those of
        which it gets the output."""
        settings, graph = self.settings, not self.settings.no_graph
        step = self.placement.step(
            self.net, self._loss, self.optimizer, settings.shards, settings.scheme, settings.overlap, graph
        )
        captured = self.net.captured(graph=graph)
        self._forward: Callable[[Any], Any] = (
            step.forward if isinstance(step, HybridStep) else lambda x: captured(x).out
        )
        self._rows, self._out_rows = step.rows(settings.batch_size), step.out_rows(settings.batch_size)
        self._step: Callable[[Any, Any], Result] = step
        if settings.shards == 1 and self.placement.columns is None:
            self._step = self.net.captured(self._loss, self.optimizer, graph)

    @property
    def steps_an_epoch(self) -> int:
        """Full batches in an epoch. The images left over are not used in it; the next epoch has another order."""
        return len(self.dataset.train.labels) // self.settings.batch_size

    def batch(self, step: int, rows: slice | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The images (N, H, W, C) and labels (N,) of a step; they depend on the seed and the step alone.

        ``rows`` are some of the images, with a start and a stop: the same as in the whole batch. The labels are all.
        """
        settings, size = self.settings, self.settings.batch_size
        epoch, index = divmod(step, self.steps_an_epoch)
        rows = rows or slice(0, size)
        order = _order(settings.seed, epoch, len(self.dataset.train.labels))
        chosen = order[index * size : (index + 1) * size]
        rng = np.random.default_rng([settings.seed, 1, step])
        images = self._prepared(self.dataset.train.pixels[chosen[rows]])
        if self.colours is not None:
            images = augment.colour_noise(images, *self.colours, rng, settings.colour_noise, rows.start, size)
        if settings.pad:
            images = augment.pad(images, settings.pad)
        images = augment.random_crop(images, self.image_size, rng, rows.start, size)
        if settings.mirror:
            images = augment.mirror(images, rng, rows.start, size)
        return np.ascontiguousarray(images), self.dataset.train.labels[chosen]

    def _taken(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """The batch of a step; it may have been prepared during the step before."""
        prepared, self._prefetched = self._prefetched, None
        return prepared[1] if prepared is not None and prepared[0] == step else self.batch(step, self._rows)

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
        weights = self.optimizer.weight_magnitudes() if statistics else {}
        self.net.train = True
        self.optimizer.set_rate(self.schedule(step), self._last_rate(step))
        logits, found = self._step(images, labels)
        if not device(self.settings.backend).on_host:
            # The GPU computes meanwhile: what follows waits for it.
            self._prefetched = step + 1, self.batch(step + 1, self._rows)
        loss = found if isinstance(found, float) else float(to_host(found)[0])
        if not math.isfinite(loss):
            raise ValueError(
                f"learning_rate is {self.settings.learning_rate}, but must be smaller: "
                f"the loss of step {step} is {loss}"
            )
        right = self._sum(int(np.count_nonzero(to_host(logits).argmax(axis=1) == labels[self._out_rows])))
        for sums in (self.progress.logged, self.progress.epoch):
            sums.add(loss, right, self.settings.batch_size)
        self.progress.step += 1
        if not self.progress.step % COMPARE_EVERY or not self.progress.step % self.steps_an_epoch:
            self._compare()
        return self._statistics(weights) if statistics else {}

    def rehearse(self) -> None:
        """What the steps and the evaluation compute in this process, once, with images of zeros, for
        ``Device.compile_ahead``: nothing that is used afterwards changes. Without the exchange and dense columns."""
        if self.placement.columns is not None:
            return
        generators = [layer.rng.bit_generator for _, layer in self.net.leaves() if layer.rng is not None]
        states = [generator.state for generator in generators]
        shard = spans(self.settings.batch_size, self.settings.shards)[0]
        tests = min(EVALUATION_BATCH // self.settings.views, len(self.dataset.test.labels)) * self.settings.views
        shape = *self.image_size, self.dataset.train.pixels.shape[3]
        few = {name: np.zeros(min(value.size, REHEARSED), value.dtype) for name, value in self.net.params.items()}
        sizes = {shard.stop} if self.settings.shards == 1 else {shard.stop, min(self.settings.batch_size, RUN_IMAGES)}
        for train, images in (*((True, size) for size in sorted(sizes)), (False, tests)):
            self.net.train = train
            logits = self.net.forward(np.zeros((images, *shape), self.mean.dtype))
            if train:
                self.net.backward(self._loss(logits, np.zeros(images, np.intp))[1])
        SGD(few, backend=self.settings.backend).move(few)
        for generator, before in zip(generators, states, strict=True):
            generator.state = before

    def _statistics(self, before: dict[str, float]) -> dict[str, Statistics]:
        """How far the step has moved whole parameters, whose magnitudes before it are given by their parts."""
        parts = self.optimizer.statistics(before)
        weights = self.placement.means({name: part.weight for name, part in parts.items()})
        updates = self.placement.means({name: part.update for name, part in parts.items()})
        return {name: Statistics(weight, updates[name]) for name, weight in weights.items()}

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """The probability of each class (N, K): the mean over the views of each image, without dropout.

        If dense layers are in columns, all processes of a team must ask for it.
        """
        self.net.train = False
        images = self._prepared(pixels)
        if self.settings.views == 1:
            views = augment.one_view(images, self.image_size)
        else:
            views = augment.ten_views(images, self.image_size)
        logits = self._forward(views.reshape(-1, *views.shape[-3:]))
        found = softmax(to_host(logits))
        mean: np.ndarray = found.reshape(len(pixels), -1, found.shape[1]).mean(axis=1)
        return mean

    def evaluate(self, images: Images) -> dict[str, float]:
        """The mean loss and the accuracy on some images."""
        at_a_time = EVALUATION_BATCH // self.settings.views
        parts = [slice(first, first + at_a_time) for first in range(0, len(images.labels), at_a_time)]
        teams = self.placement.teams
        shares = spans(len(parts), teams.count)
        found = np.array([self._evaluated(images, part) for part in parts[shares[teams.number]]]).reshape(-1)
        counts = [2 * (share.stop - share.start) for share in shares]
        every = teams.across.now(lambda: teams.across.gather("evaluation", found, counts))
        loss, right = 0.0, 0
        for part_loss, part_right in every.reshape(-1, 2).tolist():
            loss, right = loss + part_loss, right + int(part_right)
        return {"test_loss": loss / len(images.labels), "test_accuracy": right / len(images.labels)}

    def _evaluated(self, images: Images, part: slice) -> tuple[float, float]:
        """The sum of the losses of some images, and how many are right."""
        labels = images.labels[part]
        found = self.probabilities(images.pixels[part])
        of_right = found[np.arange(len(labels)), labels]
        loss = -float(np.log(np.maximum(of_right, np.finfo(np.float64).tiny)).sum())
        return loss, float(np.count_nonzero(found.argmax(axis=1) == labels))

    def digest(self) -> str:
        """A digest of the weights that every process has: equal on all."""
        return _digest(self.placement.common)

    def _compare(self) -> None:
        """ValueError, which names the process, if weights or velocities that several processes have are not equal."""
        place, velocities = self.placement, self.optimizer.state

        def check(kinds: int, weights: Mapping[str, Any]) -> None:
            each, step = (
                {"weights": weights, "velocities": {name: velocities[name] for name in weights}},
                self.progress.step,
            )
            digests = {f"the digest of the {what} after step {step}": _digest(of) for what, of in each.items()}
            check_same(self.link, kinds, **digests)

        if self.link.size > 1:
            check(1, place.common)
        if place.columns is not None and place.teams.count > 1:
            check(place.teams.size, place.columns.params)

    def _sum(self, count: int) -> int:
        """The sum over all teams."""
        link = self.placement.teams.across
        return int(link.now(lambda: link.gather("counts", np.array([count]), [1] * link.size)).sum())

    def save(self, path: str | Path) -> None:
        """Writes a checkpoint: ``state.save``. Before, all processes compare their weights."""
        self._compare()
        state.save(self, path)

    def restore(self, path: str | Path) -> None:
        """Goes on from a checkpoint: ``state.restore``."""
        state.restore(self, path)

    def _loss(self, logits: Any, labels: Any, batch: int | None = None) -> tuple[Any, Any]:
        return softmax_cross_entropy(logits, labels, self.settings.backend, batch=batch)

    def _prepared(self, pixels: np.ndarray) -> np.ndarray:
        return augment.standardised(pixels, self.mean, self.scale)

    def _colours(self) -> tuple[np.ndarray, np.ndarray]:
        """The principal components of the colours: ``pca_colours`` is for colours from 0 to 1, these are scaled."""
        eigenvalues, eigenvectors = augment.pca_colours(self.dataset.train.pixels)
        return 255 * float(self.scale) * eigenvalues, eigenvectors

    @functools.cached_property
    def fingerprint(self) -> str:
        """The data set's name, its number of training images, and a digest of them."""
        return f"{self.dataset.name}, {_of_images(self.dataset.train)}"


def _of_images(images: Images) -> str:
    """How many there are, and a digest of them."""
    digest = hashlib.sha256(np.ascontiguousarray(images.pixels).data)
    digest.update(images.labels.tobytes())
    return f"{len(images.labels)} images, sha256 {digest.hexdigest()}"


def _digest(arrays: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for value in arrays.values():
        digest.update(np.ascontiguousarray(to_host(value)).data)
    return digest.hexdigest()


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
