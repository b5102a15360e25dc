"""The options of ``explain`` and ``explore``, apart from what computes, so that every command starts fast."""

from __future__ import annotations

from dataclasses import dataclass

from ..alexnet import VARIANTS
from ..command import option
from ..devices import BACKENDS

LOSSES = "l2, likeliest, class:K or output:I,J,..."


@dataclass(frozen=True)
class Options:
    """What is computed. Without ``weights`` they are random, of a scale that keeps the size of the activations."""

    variant: str | None = option(None, "the network (that of --weights, or tf2015)", choices=tuple(VARIANTS))
    weights: str | None = option(None, "trained weights, as for classify (else random ones)", metavar="FILE")
    loss: str | None = option(
        None, f"the loss of the backward: {LOSSES} (likeliest, or l2 without classes)", metavar="LOSS"
    )
    backend: str = option("reference", "the implementation that computes (%(default)s)", choices=BACKENDS)
    seed: int = option(0, "of the random weights, and of the input without an image (%(default)s)")
