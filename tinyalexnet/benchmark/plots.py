"""The pictures of the benchmark: time by layer and pass, with a roofline; what more processes gain; and ratios to other
frameworks in all cells of a matrix."""

import itertools
from typing import Any

import numpy as np

from ..devices import Peak
from ..plots import COLOURS, save
from .breakdown import LAYER_PASSES, LayerRow
from .cells import Cell
from .scaling import Row
from .shared import Share

MOST_RATIO = 4
"""The ratio that has the full colour, as larger ones have; its inverse has the full other colour. It is the same in all
pictures, so that they can be compared."""

UNMEASURED = "#eeeeee"


def breakdown(rows: list[LayerRow], machine: Peak, title: str, path: str) -> None:
    """Time by layer and pass, and a roofline, as one picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5), layout="constrained")
    figure.suptitle(title)
    times, roofline = figure.subplots(1, 2)
    _times(times, rows)
    _roofline(roofline, [row for row in rows if row.multiply_adds], machine)
    save(figure, path, dpi=120)


def _times(axes: Any, rows: list[LayerRow]) -> None:
    names = [row.name for row in rows]
    begins = [0.0] * len(rows)
    for name in LAYER_PASSES:
        widths = [1e3 * row.seconds.get(name, 0.0) for row in rows]
        if any(widths):
            axes.barh(names, widths, left=begins, color=COLOURS[name], label=name)
            begins = [begin + width for begin, width in zip(begins, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds a batch")
    axes.legend()


def _roofline(axes: Any, rows: list[LayerRow], machine: Peak) -> None:
    """Operations of the products (filled) and of the formula (hollow), against the least bytes that must move."""
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


def scaling(rows: list[Row], shares: list[Share], title: str, path: str) -> None:
    """The speed-up of teams of processes, and what each process of the largest does in a step."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5), layout="constrained")
    figure.suptitle(title)
    speed_ups, parts = figure.subplots(1, 2)
    _speed_ups(speed_ups, rows)
    _shares(parts, shares)
    save(figure, path, dpi=120)


def _speed_ups(axes: Any, rows: list[Row]) -> None:
    """The medians with their quartiles, below the line of a speed-up of one for each process."""
    from matplotlib.ticker import MaxNLocator

    processes = [row.processes for row in rows]
    low, median, high = zip(*(row.speed_up(rows[0]) for row in rows), strict=True)
    axes.plot([0, processes[-1]], [0, processes[-1]], "--", color="grey", label="ideal")
    axes.vlines(processes, low, high, color=COLOURS["forward"])
    axes.plot(processes, median, "o-", color=COLOURS["forward"], label="measured, with quartiles")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("processes")
    axes.set_ylabel("speed-up")
    axes.legend()


def _shares(axes: Any, shares: list[Share]) -> None:
    """For each process a bar of the step, and below it one of its exchanges, which may run beside."""
    ranks = range(len(shares))
    computing, waiting, exchanging = (
        [1e3 * getattr(one, name) for one in shares] for name in ("computing", "waiting", "exchanging")
    )
    above, below = ([rank + shift for rank in ranks] for shift in (-0.15, 0.25))
    axes.barh(above, computing, 0.5, color=COLOURS["forward"], label="computing")
    axes.barh(above, waiting, 0.5, left=computing, color=COLOURS["dx"], label="waiting")
    axes.barh(below, exchanging, 0.3, color=COLOURS["dw"], label="exchanging")
    axes.set_yticks(ranks, [f"process {rank}" for rank in ranks])
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds a step")
    axes.legend()


def matrix(cells: list[Cell], title: str, path: str) -> None:
    """For each framework and pass a map of the ratios: a row for each variant, a column for each batch size."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, LogNorm
    from matplotlib.figure import Figure

    labels = list(dict.fromkeys(label for cell in cells for label in cell.versus))
    passes = list(dict.fromkeys(name for cell in cells for one in cell.versus.values() for name in one.seconds))
    variants = list(dict.fromkeys(cell.variant for cell in cells))
    batches = list(dict.fromkeys(cell.batch_size for cell in cells))
    height = 1.6 + len(labels) * (0.9 + 0.45 * len(variants))
    figure = Figure(figsize=(3 + len(passes) * (1.6 + 0.8 * len(batches)), height), layout="constrained")
    figure.suptitle(title)
    scale = LinearSegmentedColormap.from_list("ratios", [COLOURS["dx"], "#ffffff", COLOURS["forward"]])
    colours = scale.with_extremes(bad=UNMEASURED)
    shades = ScalarMappable(LogNorm(1 / MOST_RATIO, MOST_RATIO, clip=True), colours)
    shown = []
    panels = figure.subplots(len(labels), len(passes), squeeze=False)
    for row, label in zip(panels, labels, strict=True):
        for axes, name in zip(row, passes, strict=True):
            ratios = {
                (variants.index(cell.variant), batches.index(cell.batch_size)): cell.versus[label].ratio(name)
                for cell in cells
                if name in cell.versus[label].seconds
            }
            if ratios:
                _ratios(axes, ratios, (len(variants), len(batches)), shades)
                axes.set_title(f"{cells[0].versus[label].version}, {name}", fontsize="medium")
                axes.set_xticks([i + 0.5 for i in range(len(batches))], batches)
                axes.set_yticks([i + 0.5 for i in range(len(variants))], variants)
                axes.set_xlabel("batch size")
                shown.append(axes)
            else:
                axes.remove()
    bar = figure.colorbar(shades, ax=shown, label="times as fast", aspect=6 * height)
    bar.set_ticks([1 / 4, 1 / 2, 1, 2, 4], labels=["1/4", "1/2", "1", "2", "4"])
    bar.ax.minorticks_off()
    save(figure, path, dpi=120)


def _ratios(
    axes: Any, ratios: dict[tuple[int, int], tuple[float, float, float]], shape: tuple[int, int], shades: Any
) -> None:
    medians = np.full(shape, np.nan)
    for (row, column), (low, median, high) in ratios.items():
        medians[row, column] = median
        for text, below, size in ((f"{median:.2f}", 0.38, "medium"), (f"{low:.2f}  {high:.2f}", 0.76, "x-small")):
            axes.text(column + 0.5, row + below, text, ha="center", va="center", fontsize=size)
    axes.pcolormesh(np.ma.masked_invalid(medians), cmap=shades.cmap, norm=shades.norm, edgecolors="white", linewidth=2)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.set_frame_on(False)
