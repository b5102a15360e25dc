"""A whole network at its real size, in float64: every parameter and the images, by random projections."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..alexnet import alexnet, check_variant
from ..command import option
from ..devices import device
from ..geometry import as_integer
from .adapters import frozen
from .diagnosis import finding_of
from .report import Finding
from .slopes import Differences, draw_dout, run_backward

BIAS_STD = 0.1
"""A new network's biases are 0; the check gives them random values, so that each has a part in the output."""

TOLERANCE = 1e-5
"""Among millions of ReLUs and windows only a small step crosses no kink, and rounding then leaves about 6 digits."""


@dataclass(frozen=True)
class Options:
    """Which network is checked, and how."""

    variant: str = option("tf2015", "the network (%(default)s)")
    batch_size: int = option(1, "images (%(default)s)")
    backend: str = option("cpu", "the implementation that computes: reference or cpu (%(default)s)")
    seed: int = option(0, "of the weights, the images and the directions (%(default)s)")
    directions: int = option(1, "for each parameter (%(default)s)")

    def __post_init__(self) -> None:
        shape = check_variant(self.variant).image_shape
        for name, least in (("batch_size", 1), ("seed", 0), ("directions", 1)):
            as_integer(name, getattr(self, name), least)
        hardware = device(self.backend)
        if not hardware.on_host:
            raise ValueError(f"backend is {self.backend!r}, but must compute on arrays of the host: reference or cpu")
        needed = 8 * self.batch_size * math.prod(shape)
        if needed > (available := hardware.free_memory() or needed):
            raise ValueError(
                f"batch_size is {self.batch_size}, but its images alone need {needed / 1e9:.1f} GB of memory, and "
                f"{available / 1e9:.1f} GB is available"
            )


def findings(options: Options) -> Iterator[tuple[int, Finding]]:
    """A finding for the images and for each parameter, as each is done, with the number of them.

    Math
        As ``directional_derivatives``, one argument after the other: 5 forwards for each step that is tried.
    """
    rng = np.random.default_rng(options.seed)
    net = alexnet(options.variant, options.backend, options.seed, np.float64)
    next(iter(net))[1].needs_dx = True
    for value in net.params.values():
        if value.ndim == 1:
            value[...] = BIAS_STD * rng.standard_normal(value.shape)
    x = rng.standard_normal((options.batch_size, *check_variant(options.variant).image_shape))
    layer = frozen(net)
    dout, gradients = run_backward(layer, x, lambda shape: draw_dout(rng, shape), needs_dx=True)
    differences = Differences(layer, x, dout, None, TOLERANCE)
    for name, gradient in gradients.items():
        check = differences.check(name, gradient, rng, options.directions)
        yield len(gradients), finding_of(check, [])
