"""The settings of a training, and the checks that they are in range and fit the images."""

import typing
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..alexnet import check_variant
from ..command import option
from ..devices import BACKENDS, PRECISIONS
from ..geometry import as_integer, as_number
from ..parallel import DENSE, SCHEMES, check_dense
from .data import Dataset


@dataclass(frozen=True)
class Settings:
    """How to train. ``python -m tinyalexnet train`` has a flag for each field, with this help and default."""

    variant: str = option("mnist", "which network (the one that is made for the images)")
    epochs: int = option(10, "passes over the images (%(default)s)", metavar="N")
    batch_size: int = option(128, "images a step (%(default)s)", metavar="N")
    shards: int = option(
        1, "parts of a batch, whose gradients are added; they fix the rounding (%(default)s)", metavar="N"
    )
    dense: str = option(
        "rows",
        "split dense layers by images as the others, or by columns; docs/parallel.md (%(default)s)",
        choices=DENSE,
    )
    blocks: int = option(1, "parts of the columns of a dense layer; they fix the rounding (%(default)s)", metavar="N")
    scheme: str = option("a", "the order in which dense columns take the images (%(default)s)", choices=SCHEMES)
    groups: int = option(
        1,
        "parts of a batch that dense columns take one after the other; processes share them; they fix the rounding "
        "(%(default)s)",
        metavar="N",
    )
    overlap: bool = option(
        False, "exchange gradients while the layers before still compute: gains where a processor is free for it"
    )
    learning_rate: float = option(0.02, "of the weights (%(default)s)", metavar="X")
    reference_batch: int = option(
        0,
        "images a step that learning_rate is for; a larger batch gets a larger one; 0: any (%(default)s)",
        metavar="N",
    )
    schedule: str = option("constant", "constant, step:EVERY:FACTOR or exponential:EVERY:FACTOR", metavar="TEXT")
    warmup: int = option(0, "steps in which the learning rate rises to that of --schedule (%(default)s)", metavar="N")
    momentum: float = option(0.9, "factor of the last velocity (%(default)s)", metavar="X")
    momentum_correction: bool = option(
        False, "if the learning rate changes, multiply the last velocity by the same factor"
    )
    weight_decay: float = option(5e-4, "of the weights; biases have none (%(default)s)", metavar="X")
    bias_rate_factor: float = option(
        2.0, "learning rate of the biases, as a multiple of that of the weights (%(default)s)", metavar="X"
    )
    pad: int = option(0, "pixels of padding before the random crop (%(default)s)", metavar="N")
    mirror: bool = option(False, "mirror half of the images")
    colour_noise: float = option(0.0, "standard deviation; the paper's is 0.1 (%(default)s)", metavar="X")
    views: int = option(1, "1 or 10 crops of each test image (%(default)s)", metavar="N")
    seed: int = option(0, "of weights, order, crops and dropout (%(default)s)", metavar="N")
    backend: str = option("cpu", "the implementation that computes (%(default)s)", choices=BACKENDS)
    precision: str = option("float32", "of matrix products; tf32 on a GPU alone (%(default)s)", choices=PRECISIONS)
    no_graph: bool = option(False, "call each kernel by itself: no recorded passes, and on a GPU no CUDA graphs")
    checkpoint_every: int = option(
        500, "steps between two checkpoints; there is one after each epoch too (%(default)s)", metavar="N"
    )


FREE_SETTINGS = ("epochs", "views", "checkpoint_every", "no_graph", "overlap")
"""These may differ when a run goes on from a checkpoint, because no step depends on them."""


LEAST = {"epochs": 1, "batch_size": 1, "checkpoint_every": 1, "pad": 0, "seed": 0, "reference_batch": 0, "warmup": 0}
"""The least value of each int, ``views`` apart."""

VIEWS = (1, 10)


def check_settings(settings: Settings, dataset: Dataset) -> Settings:
    """The settings as Python's own values, which a checkpoint can hold.

    Errors
        ValueError if one is of another kind or out of range, or the images do not fit the variant.
    """
    kinds = typing.get_type_hints(Settings)
    settings = Settings(**{name: _checked(name, getattr(settings, name), kind) for name, kind in kinds.items()})
    table = check_variant(settings.variant)
    if table.num_classes is None:
        raise ValueError(f"variant is {settings.variant!r}, but must be one that classifies")
    if settings.views not in VIEWS:
        raise ValueError(f"views is {settings.views}, but must be 1 or 10")
    count, height, width, channels = dataset.train.pixels.shape
    if settings.batch_size > count:
        raise ValueError(f"batch_size is {settings.batch_size}, but must be at most the {count} images there are")
    if settings.shards > settings.batch_size:
        raise ValueError(f"shards is {settings.shards}, but must be at most the batch_size of {settings.batch_size}")
    dense = settings.dense, settings.blocks, settings.scheme, settings.groups
    check_dense(*dense, settings.shards, settings.batch_size, settings.backend)
    if settings.pad > max(height, width):
        raise ValueError(f"pad is {settings.pad}, but must be at most {max(height, width)}, a side of the images")
    wanted = table.image_shape
    fits = height >= wanted[0] and width >= wanted[1] and channels == wanted[2]
    if not fits:
        raise ValueError(
            f"data has images of {height} x {width} x {channels}, but must have at least the "
            f"{wanted[0]} x {wanted[1]} x {wanted[2]} of {settings.variant!r}"
        )
    return settings


def _checked(name: str, value: Any, kind: type) -> Any:
    if kind is int:
        return as_integer(name, value, LEAST.get(name, 1))
    if kind is float:
        return as_number(name, value)
    if not isinstance(value, (bool, np.bool_) if kind is bool else str):
        raise ValueError(f"{name} is {value!r}, but must be {'True or False' if kind is bool else 'a text'}")
    return kind(value)
