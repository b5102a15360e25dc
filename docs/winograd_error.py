"""The picture in winograd.md: the error of Winograd's convolution in float32 against the number of points.

python docs/winograd_error.py FILE.svg     draws it, and prints the same as a table
"""

from __future__ import annotations

import sys
from fractions import Fraction

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from tinyalexnet.geometry import Window
from tinyalexnet.ops.conv2d import conv2d_forward
from tinyalexnet.ops.conv2d.winograd import reference
from tinyalexnet.ops.conv2d.winograd.matrices import POINTS, Tile, at_points, cook_toom

CHANNELS, FILTERS, SIZE = 256, 32, 26
LABELS = ("the points of matrices.py", "1/4 besides", "4 besides", "0, 1, -1, 2, -2, 3, ... in their place")


def transforms(r: int) -> dict[str, list[tuple[int, object]]]:
    """By label: (points, F(m, r)) for up to nine points, infinity counted."""
    whole = tuple(map(Fraction, ("0", "1", "-1", "2", "-2", "3", "-3", "4")))
    return {
        LABELS[0]: [(n, cook_toom(n - r + 1, r)) for n in range(r + 1, 9)],
        LABELS[1]: [(9, at_points(10 - r, r, (*POINTS, Fraction(1, 4))))],
        LABELS[2]: [(9, at_points(10 - r, r, (*POINTS, Fraction(4))))],
        LABELS[3]: [(n, at_points(n - r + 1, r, whole[: n - 1])) for n in range(7, 10)],
    }


def main(path: str) -> None:
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, r in zip(figure.subplots(1, 2, sharey=True), (3, 5), strict=True):
        normal = np.random.default_rng(0).standard_normal
        shapes = (1, SIZE, SIZE, CHANNELS), (r, r, CHANNELS, FILTERS), (FILTERS,)
        x, w, b = (normal(shape).astype(np.float32) for shape in shapes)
        exact = conv2d_forward(x.astype(float), w.astype(float), b.astype(float), Window(r), backend="reference")

        def error(out: np.ndarray, exact: np.ndarray = exact) -> float:
            return float(np.linalg.norm(out - exact) / np.linalg.norm(exact))

        direct = error(conv2d_forward(x, w, b, Window(r), backend="reference"))
        print(f"{r}x{r} filter: direct {direct:.1e}")
        for (label, variants), marker in zip(transforms(r).items(), "o^vs", strict=True):
            errors = [error(reference.conv2d_forward(x, w, b, Window(r), 1, Tile(f, f))) for _, f in variants]
            for (n, f), value in zip(variants, errors, strict=True):
                print(f"  {n} points, F({f.m}, {r}), {label}: {value:.1e}")
            axes.plot([n for n, _ in variants], errors, f"{marker}-", label=label)
        axes.axhline(direct, color="grey", linestyle=":", label="direct, in float32")
        axes.axhline(2e-5, color="black", linestyle="--", label="the bound of choice.py")
        axes.set_yscale("log")
        axes.set_title(f"{r}x{r} filter, {CHANNELS} channels, normal numbers")
        axes.set_xticks(range(r + 1, 10))
        axes.set_xlabel("points each way, infinity counted")
    figure.axes[0].set_ylabel("relative L2 error")
    figure.axes[0].legend(fontsize="small")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "tinyalexnet"})
    figure.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
