"""The settings of a training, and the checks that they are in range and fit the images."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..alexnet import check_variant
from ..geometry import as_integer
from .data import Dataset


@dataclass(frozen=True)
class Settings:
    """How to train. The flags of the command have the same names."""

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
"""These may differ when a run goes on from a checkpoint, because no step depends on them."""


def check_settings(settings: Settings, dataset: Dataset) -> None:
    """ValueError if a setting is out of range, or the images do not fit the variant."""
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
