"""The state of a training in a checkpoint: process 0 writes and reads the file, and all processes go on from it."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..console import printable
from ..devices import device
from ..parallel import first
from . import checkpoint
from .contents import Contents, check_arrays, contents
from .progress import progress_from
from .settings import FREE_SETTINGS

if TYPE_CHECKING:
    from .step import Training


def save(training: Training, path: str | Path) -> None:
    """Writes everything that the next step depends on, and everything that is needed to classify an image.

    Errors
        As ``checkpoint.save``, on all processes.
    """
    weights = training.placement.whole(training.placement.params)
    velocities = training.placement.whole(training.optimizer.state)
    first(training.link, lambda: _write(training, weights, velocities, path))


def restore(training: Training, path: str | Path) -> None:
    """Sets the state that ``save`` wrote: all of it, or nothing if the file is refused.

    Errors
        ValueError, on all processes, if the file is damaged, was written with other settings or other images, or has an
        array or a value that this training cannot have.
    """
    arrays: dict[str, np.ndarray] = {}
    state: dict[str, Any] = {}

    def read() -> None:
        found, meta = _read(training, path)
        arrays.update(found)
        state.update({name: meta[name] for name in ("run", "generators")})

    link, place = training.link, training.placement
    first(link, read)
    state = json.loads(link.now(lambda: link.texts(json.dumps(state)))[0])
    for kind in "wv":
        for name, shape in place.shapes.items():
            array = arrays.setdefault(f"{kind}:{name}", np.empty(shape, np.float32))
            link.now(partial(link.broadcast, array))
    weights, velocities = (place.own({name: arrays[f"{kind}:{name}"] for name in place.shapes}) for kind in "wv")
    for name, value in place.params.items():
        device(training.settings.backend).write(value, weights[name])
    training.optimizer.load_state(velocities)
    for name, layer in random_layers(training):
        layer.rng = checkpoint.restore_generator(state["generators"][name])
    progress = progress_from(state["run"], training.settings.batch_size)
    assert progress is not None  # process 0 has checked it
    training.progress = progress


def random_layers(training: Training) -> Iterator[tuple[str, Any]]:
    """The layers that have a generator, whose state belongs in a checkpoint."""
    for name, layer in training.net:
        if getattr(layer, "rng", None) is not None:
            yield name, layer


def _write(
    training: Training, weights: dict[str, np.ndarray], velocities: dict[str, np.ndarray], path: str | Path
) -> None:
    arrays = {"mean": training.mean} | {f"w:{name}": value for name, value in weights.items()}
    arrays |= {f"v:{name}": value for name, value in velocities.items()}
    meta = {
        "settings": asdict(training.settings),
        "data": training.fingerprint,
        "scale": float(training.scale),
        "classes": list(training.dataset.train.classes),
        "run": asdict(training.progress),
        "generators": {name: checkpoint.generator_state(layer.rng) for name, layer in random_layers(training)},
    }
    checkpoint.save(path, arrays, meta)


def _read(training: Training, path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the meta of a checkpoint from which this training can go on."""
    arrays, meta = checkpoint.load(path)
    found = contents(path, meta)
    _refuse_another_run(training, path, found)
    check_arrays(path, training.settings.variant, arrays, training.placement.shapes)
    mean = training.mean.shape
    if "mean" in arrays and arrays["mean"].shape != mean:
        raise ValueError(f"{path} has a mean of shape {arrays['mean'].shape}, but it must be {mean}")
    layers = dict(random_layers(training))
    if found.generators.keys() != layers.keys():
        names = ", ".join(layers) or "no layer"
        raise ValueError(f"{path} has generators of other layers, but must have those of {names}")
    return arrays, meta


def _refuse_another_run(training: Training, path: str | Path, found: Contents) -> None:
    """ValueError if a checkpoint is of other settings, images or classes."""
    for name, value in asdict(training.settings).items():
        saved = found.settings[name]
        if name not in FREE_SETTINGS and saved != value:
            shown = reprlib.repr(saved)
            raise ValueError(f"{name} is {value!r}, but must be {shown} as in {path}, from which the run goes on")
    if found.data != training.fingerprint:
        raise ValueError(f"data is {training.fingerprint}, but must be {printable(found.data[:200])} as in {path}")
    if found.classes not in (None, tuple(training.dataset.train.classes)):
        raise ValueError(f"data has other classes than those in {path}, but must have the same to go on from it")
