"""The differences between the variants, as a table."""

from dataclasses import replace

from ..network import Sequential
from ..ops.checks import Shape
from . import alexnet
from .variants import VARIANTS


def comparison() -> list[str]:
    """The lines of two tables, with a column for each variant. Multiply-adds are of one image."""
    names = list(VARIANTS)
    return [*_table(names[: len(names) // 2]), "", *_table(names[len(names) // 2 :])]


def _table(names: list[str]) -> list[str]:
    head = ["", "images", "conv1 padding", "convolutions", "two groups", "last image", "normalisation"]
    columns = [[*head, "dense", "dropout", "parameters", "multiply-adds"], *map(_column, names)]
    # A library for tables (rich, tabulate) would be one more dependency, in place of these three lines.
    widths = [max(map(len, column)) for column in columns]
    rows = zip(*columns, strict=True)
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _column(name: str) -> list[str]:
    table = VARIANTS[name]
    # Zeros need no time to draw, and no memory until they are read.
    net = alexnet(replace(table, weight_std=0.0), backend="reference")
    x_shape: Shape = (1, *table.image_shape)
    shapes = net.output_shapes(x_shape)
    (top, bottom), (left, right) = net["conv1"].description(x_shape)["pads"]
    norms = _of_kind(net, "lrn")
    return [
        name,
        _times(table.image_shape),
        f"{top} {bottom}, {left} {right}",
        " ".join(str(shapes[conv][3]) for conv in _of_kind(net, "conv")),
        " ".join(conv for conv in _of_kind(net, "conv") if net[conv].description(x_shape)["groups"] > 1) or "-",
        _times([shape for shape in shapes.values() if len(shape) == 4][-1][1:]),
        net[norms[0]].brief() if norms else "-",
        " ".join(str(shapes[dense][1]) for dense in _of_kind(net, "dense")) or "-",
        " ".join(_of_kind(net, "dropout")) or "-",
        f"{sum(value.size for value in net.params.values()):,}",
        f"{net.cost(x_shape).multiply_adds:,}",
    ]


def _of_kind(net: Sequential, kind: str) -> list[str]:
    return [name for name, layer in net if layer.kind == kind]


def _times(shape: Shape) -> str:
    return " x ".join(map(str, shape))
