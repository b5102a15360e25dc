"""The picture of classified images: each beside bars of its likeliest classes."""

import textwrap
from pathlib import Path

import numpy as np

from ..console import printable
from ..plots import COLOURS, save


def classified(
    paths: list[str],
    pixels: list[np.ndarray],
    probabilities: np.ndarray,
    likeliest: np.ndarray,
    names: list[str],
    path: str,
) -> None:
    """Draws each image (H, W, C) beside bars of its likeliest classes, whose indices are in ``likeliest`` (N, top)."""
    from matplotlib.figure import Figure

    count = len(paths)
    figure = Figure(figsize=(9, 0.4 + 2.2 * count), layout="constrained")
    rows = figure.subplots(count, 2, squeeze=False, width_ratios=(1, 2))
    for (left, right), name, image, row, chosen in zip(rows, paths, pixels, probabilities, likeliest, strict=True):
        left.imshow(image.squeeze(), cmap="gray")
        left.axis("off")
        left.set_title(printable(Path(name).name), fontsize=9, parse_math=False)
        bars = right.barh(range(len(chosen)), row[chosen], color=COLOURS["forward"])
        right.bar_label(bars, [f"{row[k]:.1%}" for k in chosen], padding=3, fontsize=8)
        right.set_yticks(
            range(len(chosen)), [textwrap.shorten(printable(names[k]), 40) for k in chosen], parse_math=False
        )
        right.invert_yaxis()
        right.set_xlim(0, 1.1)
        right.set_xticks([])
        right.spines[["top", "right", "bottom"]].set_visible(False)
    save(figure, path, dpi=100)
