"""Classifies images: prints and draws the likeliest classes of each."""

import os
from typing import TextIO

import numpy as np

from ..console import Console, Write, printable
from ..devices import device
from ..files import check_outputs
from ..geometry import as_integer
from ..images import check_pillow
from ..plots import check as check_plot
from . import plots, pretrained
from .labels import read_labels

BATCH = 16
"""Images that are computed at a time."""

SHOWN_IMAGES = 20
"""Images in the picture."""


TORCHVISION = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
LABELS = "https://raw.githubusercontent.com/pytorch/hub/master/imagenet_classes.txt"

NAMED = 12
"""Classes that the header names."""


def classify(
    images: list[str],
    weights: str,
    out: TextIO,
    console: Console,
    variant: str | None = None,
    labels: str | None = None,
    top: int = 5,
    force: bool = False,
    backend: str = "cpu",
    plot: str | None = None,
) -> int:
    """Prints each image's path and its ``top`` likeliest classes: probability, number and name. Returns 0.

    Of equally likely classes the one with the lower number comes first.

    Errors
        As ``pretrained.load``, ``read_labels`` and ``images.read_image``; ValueError if top is below 1 or plot cannot
        be written; ImportError if a package is missing. All are raised before the network runs.
    """
    as_integer("top", top, 1)
    check_outputs({"plot": plot}, [("weights", weights), ("labels", labels), *(("image", path) for path in images)])
    if plot is not None:
        check_plot(plot)
    check_pillow("classify")
    _check_exists("weights", weights, f"use a checkpoint of train, or fetch torchvision's from {TORCHVISION}")
    _check_exists("labels", labels, f"ImageNet's are at {LABELS}")
    with console.waiting("reading the weights and the images"):
        read = pretrained.load(weights, variant, force, console.line)
        names = read_labels(labels, read.num_classes) if labels is not None else list(read.classes or ())
        pixels = [read.image(path) for path in images]
        net = read.network(backend)
    console.line(_known(weights, read, names, labels))
    if read.channels == 1:
        console.line(f"the network of {printable(weights)} takes grey images: colours are read as grey")
    found = np.empty((len(images), read.num_classes))

    def compute(first: int, write: Write) -> None:
        some = slice(first, first + BATCH)
        found[some] = read.probabilities(net, np.stack(pixels[some]), backend)
        for path, row in zip(images[some], found[some], strict=True):
            write("\n".join([printable(path), *_lines(row, likeliest(row, top), names)]), out)

    with console.compiling(device(backend)):
        compute(0, lambda line, file: print(line, file=file, flush=True))
    with console.bar("classifying", len(images), done=min(BATCH, len(images))) as (advance, write):
        for first in range(BATCH, len(images), BATCH):
            compute(first, write)
            for _ in images[first : first + BATCH]:
                advance()
    if plot is not None:
        shown = slice(SHOWN_IMAGES)
        chosen = likeliest(found[shown], top)
        numbered = names or [str(k) for k in range(read.num_classes)]
        with console.waiting("drawing"):
            plots.classified(images[shown], pixels[shown], found[shown], chosen, numbered, plot)
        console.wrote(plot)
    return 0


def likeliest(probabilities: np.ndarray, top: int) -> np.ndarray:
    """The indices of the ``top`` largest along the last axis, largest first; of equal ones the lower index first."""
    return np.argsort(-probabilities, axis=-1, kind="stable")[..., :top]


def _check_exists(name: str, path: str | None, advice: str) -> None:
    if path is not None and not os.path.exists(path):
        raise ValueError(f"{name} is {path!r}, but there is no such file: {advice}")


def _known(weights: str, read: pretrained.Weights, names: list[str], labels: str | None) -> str:
    """What the network can answer, in one line."""
    text = f"{weights} ({read.variant}) knows {read.num_classes} classes"
    if not names:
        return printable(f"{text} by their numbers: --labels FILE gives them names")
    few = names if len(names) <= NAMED else [*names[:NAMED], "..."]
    return printable(f"{text}: {', '.join(few)}{f' (named by {labels})' if labels is not None else ''}")


def _lines(row: np.ndarray, chosen: np.ndarray, names: list[str]) -> list[str]:
    # By hand: a library for tables would be a new dependency for this one format.
    if not names or names == [str(k) for k in range(len(row))]:
        return [f"{row[k]:9.2%}  {k}" for k in chosen]
    width = len(str(len(row) - 1))
    return [f"{row[k]:9.2%}  {k:{width}}  {printable(names[k])}".rstrip() for k in chosen]
