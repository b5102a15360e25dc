"""Pictures, drawn by matplotlib, which is an optional extra and imported when a picture is asked for."""

from __future__ import annotations

import itertools
import math
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from .breakdown import PASSES, Machine, Row
from .files import replacing

FORMATS = (".png", ".svg")

COLOURS = {"forward": "#4477aa", "dx": "#ee6677", "dw": "#ccbb44"}
"""Paul Tol's bright scheme, which colour-blind readers can tell apart."""


def check(path: str) -> None:
    """ValueError where ``path`` does not end in one of FORMATS, ImportError where there is no matplotlib."""
    if Path(path).suffix.lower() not in FORMATS:
        raise ValueError(f"plot is {path!r}, but must end in {' or '.join(FORMATS)}")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ImportError("plot needs matplotlib: pip install 'tinyalexnet[plot]'") from None


def breakdown(rows: list[Row], machine: Machine, title: str, path: str) -> None:
    """Time by layer and pass, and a roofline, as one picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5), layout="constrained")
    figure.suptitle(title)
    times, roofline = figure.subplots(1, 2)
    _times(times, rows)
    _roofline(roofline, [row for row in rows if row.multiply_adds], machine)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _times(axes: Any, rows: list[Row]) -> None:
    names = [row.name for row in rows]
    begins = [0.0] * len(rows)
    for name in PASSES:
        widths = [1e3 * row.seconds.get(name, 0.0) for row in rows]
        if any(widths):
            axes.barh(names, widths, left=begins, color=COLOURS[name], label=name)
            begins = [begin + width for begin, width in zip(begins, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds a batch")
    axes.legend()


def _roofline(axes: Any, rows: list[Row], machine: Machine) -> None:
    """What products do (filled) and what the formula needs (hollow), against the bytes that must move at least."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    ridge = machine.peak / machine.bandwidth
    low = ridge / 10
    high = 2 * max(ridge, *(2 * row.multiply_adds / row.bytes_moved for row in rows))
    roof = [rate / 1e9 for rate in (low * machine.bandwidth, machine.peak, machine.peak)]
    axes.plot([low, ridge, high], roof, "k-")
    axes.annotate(f"{roof[1]:.0f} GFLOP/s", (ridge, roof[1]), xytext=(0, 4), textcoords="offset points")
    axes.annotate(f"{machine.bandwidth / 1e9:.0f} GB/s", (low, roof[0]), xytext=(14, 4), textcoords="offset points")
    for row, marker in zip(rows, itertools.cycle("os^Dv<>P"), strict=False):
        axes.plot([], [], marker, color="grey", label=row.name)
        for name, seconds in row.seconds.items():
            for multiply_adds, style in ((row.performed, "full"), (row.multiply_adds, "none")):
                at = 2 * multiply_adds / row.bytes_moved, 2 * multiply_adds / seconds / 1e9
                axes.plot(*at, marker, color=COLOURS[name], fillstyle=style)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_locator(NullLocator())
    axes.set_xlabel("float operations a byte: input, output and weights, each moved once")
    axes.set_ylabel("GFLOP/s: filled, of the products; hollow, of the formula")
    axes.legend()


def training(
    log: list[dict[str, Any]],
    filters: np.ndarray,
    pixels: np.ndarray,
    probabilities: np.ndarray,
    labels: np.ndarray,
    classes: tuple[str, ...],
    path: str,
) -> None:
    """The curves of a log, the filters (KH, KW, C, F) of the first layer, and what the network says of some images."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 10), layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=(1, 1.1))
    above, below = halves
    left, right = above.subfigures(1, 2, width_ratios=(2, 1))
    _curves(left, log)
    right.suptitle("filters of conv1")
    columns = math.ceil(math.sqrt(filters.shape[3]))
    grid = right.subplots(math.ceil(filters.shape[3] / columns), columns, squeeze=False).reshape(-1)
    for axes in grid:
        axes.axis("off")
    for axes, one in zip(grid, np.moveaxis(filters, 3, 0), strict=False):
        spread = max(float(np.abs(one).max()), 1e-12)
        axes.imshow(one.squeeze() / (2 * spread) + 0.5, vmin=0, vmax=1, cmap="gray")
    below.suptitle("test images, and the three classes that the network finds likeliest; the right one in bold")
    for axes, image, row, label in zip(
        below.subplots(2, math.ceil(len(pixels) / 2), squeeze=False).reshape(-1),
        pixels,
        probabilities,
        labels,
        strict=False,
    ):
        axes.imshow(image.squeeze(), cmap="gray")
        axes.axis("off")
        for line, k in enumerate(np.argsort(-row)[:3]):
            weight = "bold" if k == label else "normal"
            text = f"{row[k]:.0%} {classes[k]}"
            axes.text(0.0, -0.1 - 0.13 * line, text, transform=axes.transAxes, fontsize=8, fontweight=weight)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=100)


def classified(
    paths: list[str],
    pixels: list[np.ndarray],
    probabilities: np.ndarray,
    likeliest: np.ndarray,
    names: list[str],
    path: str,
) -> None:
    """Each image (H, W, C) beside bars of its likeliest classes, of which ``likeliest`` (N, top) has the numbers."""
    from matplotlib.figure import Figure

    count = len(paths)
    figure = Figure(figsize=(9, 0.4 + 2.2 * count), layout="constrained")
    rows = figure.subplots(count, 2, squeeze=False, width_ratios=(1, 2))
    for (left, right), name, image, row, chosen in zip(rows, paths, pixels, probabilities, likeliest, strict=True):
        left.imshow(image.squeeze(), cmap="gray")
        left.axis("off")
        left.set_title(Path(name).name, fontsize=9, parse_math=False)
        bars = right.barh(range(len(chosen)), row[chosen], color=COLOURS["forward"])
        right.bar_label(bars, [f"{row[k]:.1%}" for k in chosen], padding=3, fontsize=8)
        right.set_yticks(range(len(chosen)), [textwrap.shorten(names[k], 40) for k in chosen], parse_math=False)
        right.invert_yaxis()
        right.set_xlim(0, 1.1)
        right.set_xticks([])
        right.spines[["top", "right", "bottom"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=100)


def _curves(figure: Any, log: list[dict[str, Any]]) -> None:
    loss, accuracy = figure.subplots(1, 2)
    running = [record for record in log if "whole_epoch" not in record]
    epochs = [record for record in log if "whole_epoch" in record]
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        for records, key, style, colour, label in (
            (running, name, ".-", COLOURS["forward"], "training"),
            (epochs, f"test_{name}", "o-", COLOURS["dx"], "test"),
        ):
            axes.plot([r["step"] for r in records], [r[key] for r in records], style, color=colour, label=label)
        axes.set_title(name)
        axes.set_xlabel("steps")
        axes.legend()
