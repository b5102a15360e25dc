"""The picture of a training: curves of the log, filters of conv1, and test images with their likeliest classes."""

import math
from typing import Any

import numpy as np

from ..console import printable
from ..plots import COLOURS, save

WHY_TEST_IS_BETTER = (
    "Training is measured with dropout and while the weights improve, the test without and at the end of an epoch:\n"
    "so early the test may be the better one."
)


def training(
    log: list[dict[str, Any]],
    filters: np.ndarray,
    pixels: np.ndarray,
    probabilities: np.ndarray,
    labels: np.ndarray,
    classes: tuple[str, ...],
    path: str,
) -> None:
    """Draws the records of a log, the filters (KH, KW, C, F) of the first layer, and images with their classes.

    Shapes
        pixels (N, H, W, C), uint8; probabilities (N, K); labels (N,).
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 10), layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=(1, 1.1))
    above, below = halves
    left, right = above.subfigures(1, 2, width_ratios=(2, 1))
    _curves(left, log)
    right.suptitle("filters of conv1")
    _filters(right, filters)
    left.supxlabel(WHY_TEST_IS_BETTER, fontsize=8)
    below.suptitle("test images, and the three classes that the network finds likeliest; the right one in bold")
    _images(below, pixels, probabilities, labels, classes)
    save(figure, path, dpi=100)


def _curves(figure: Any, log: list[dict[str, Any]]) -> None:
    loss, accuracy = figure.subplots(1, 2)
    running = [record for record in log if "whole_epoch" not in record]
    epochs = [record for record in log if "whole_epoch" in record]
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        for records, key, style, colour, label in (
            (running, name, "-", COLOURS["forward"], "training"),
            (epochs, name, "s", COLOURS["forward"], "training, mean of an epoch"),
            (epochs, f"test_{name}", "o-", COLOURS["dx"], "test"),
        ):
            axes.plot([r["step"] for r in records], [r[key] for r in records], style, color=colour, label=label)
        axes.set_title(name)
        axes.set_xlabel("steps")
        axes.legend()


def _filters(figure: Any, filters: np.ndarray) -> None:
    columns = math.ceil(math.sqrt(filters.shape[3]))
    grid = figure.subplots(math.ceil(filters.shape[3] / columns), columns, squeeze=False).reshape(-1)
    for axes in grid:
        axes.axis("off")
    for axes, one in zip(grid, np.moveaxis(filters, 3, 0), strict=False):
        spread = max(float(np.abs(one).max()), 1e-12)
        axes.imshow(one.squeeze() / (2 * spread) + 0.5, vmin=0, vmax=1, cmap="gray")


def _images(
    figure: Any, pixels: np.ndarray, probabilities: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]
) -> None:
    grid = figure.subplots(2, math.ceil(len(pixels) / 2), squeeze=False).reshape(-1)
    for axes, image, row, label in zip(grid, pixels, probabilities, labels, strict=False):
        axes.imshow(image.squeeze(), cmap="gray")
        axes.axis("off")
        for line, k in enumerate(np.argsort(-row)[:3]):
            weight = "bold" if k == label else "normal"
            text = f"{row[k]:.0%} {printable(classes[k])}"
            below = 0.0, -0.1 - 0.13 * line
            axes.text(*below, text, transform=axes.transAxes, fontsize=8, fontweight=weight, parse_math=False)
