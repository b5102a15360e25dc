"""The time of a step, layer by layer, and how near that is to the peak of the device."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..devices import Device, Peak
from ..devices.host import PEAK_SIZE
from ..layers import Layer
from ..losses import Loss
from ..network import Sequential
from ..ops.checks import Shape

LAYER_PASSES = ("forward", "dx", "dw")


@dataclass
class LayerRow:
    """One layer: its name, the shape of its output, the seconds of each pass, and the work of a pass.

    ``multiply_adds`` is the number that the formula needs for the whole batch, ``performed`` the number of the
    algorithm's matrix products, both for one pass. ``bytes_moved`` is the input, the output and the weights, each once;
    ``output_bytes`` is 0 if the output overwrites the input.
    """

    name: str
    shape: Shape
    parameters: int = 0
    multiply_adds: int = 0
    performed: int = 0
    bytes_moved: int = 0
    algorithm: str = ""
    output_bytes: int = 0
    cache_bytes: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Seconds of all its passes."""
        return math.fsum(self.seconds.values())

    def rate(self, multiply_adds: int) -> float:
        """Float operations per second, over all passes, if each pass has so many multiply-adds."""
        return 2 * multiply_adds * len(self.seconds) / self.total


def measure(
    net: Sequential, images: np.ndarray, loss: Loss | None, rounds: int, done: Callable[[], object], device: Device
) -> list[LayerRow]:
    """A row for each layer, with the median seconds of its passes over ``rounds`` steps.

    ``done`` is called after each step. Without a ``loss`` a step is the forward alone.
    """
    caches: dict[str, int] = {}

    def step(lap: Callable[[tuple[str, str]], None]) -> None:
        x = images
        for name, layer in net:
            x = layer.forward(x)
            lap((name, "forward"))
        caches.update({name: sum(array.nbytes for array in layer.cache) for name, layer in net})
        if loss is not None:
            dout: Any = loss(x)[1]
            lap(("", "loss"))
            for name, layer in reversed(list(net)):
                for what, half in layer.backward_passes():
                    dx = half(dout)
                    lap((name, what))
                dout = dx

    def prepare() -> None:
        for _, layer in net.leaves():
            layer.draw()

    samples = device.laps(step, prepare, rounds, done)
    rows, x_shape = [], images.shape
    for name, layer in net:
        row = _row(name, layer, x_shape, images.dtype.itemsize)
        row.cache_bytes = caches[name]
        row.seconds = {what: float(np.median(samples[name, what])) for what in LAYER_PASSES if (name, what) in samples}
        rows.append(row)
        x_shape = row.shape
    return rows


def _row(name: str, layer: Layer, x_shape: Shape, itemsize: int) -> LayerRow:
    shape, cost = layer.output_shape(x_shape), layer.cost(x_shape)
    parameters = sum(value.size for value in layer.params.values())
    return LayerRow(
        name,
        shape,
        parameters,
        cost.multiply_adds,
        cost.performed,
        itemsize * (math.prod(x_shape) + math.prod(shape) + parameters),
        cost.algorithm,
        0 if layer.in_place else itemsize * math.prod(shape),
    )


def table(rows: list[LayerRow], peak: Peak, passes: tuple[str, ...]) -> list[str]:
    """The rows as lines of text; times in milliseconds per batch.

    GFLOP/s are effective: the operations that the formula needs, over the time. The share of the peak is that of the
    operations that the products do.
    """
    whole = math.fsum(row.total for row in rows)
    wide = max(6, *(len(row.name) for row in rows))
    head = f"{'layer':<{wide}} {'output':<20} {'parameters':>10} {'multiply-adds':>14} {'algorithm':<13}"
    lines = [head + "".join(f" {name:>8}" for name in passes) + f" {'GFLOP/s':>8} {'of peak':>8} {'of step':>8}"]
    for row in rows:
        line = f"{row.name:<{wide}} {list(row.shape)!s:<20} {row.parameters or '':>10} {row.multiply_adds or '':>14}"
        line += f" {row.algorithm:<13}"
        for name in passes:
            line += f" {1e3 * row.seconds[name]:8.2f}" if name in row.seconds else f" {'':>8}"
        if row.multiply_adds:
            line += f" {row.rate(row.multiply_adds) / 1e9:8.0f} {row.rate(row.performed) / peak.peak:8.0%}"
        else:
            line += f" {'':>8} {'':>8}"
        lines.append(f"{line} {row.total / whole:8.1%}")
    sums = "".join(f" {1e3 * math.fsum(row.seconds.get(name, 0.0) for row in rows):8.2f}" for name in passes)
    parameters, multiply_adds = (sum(getattr(row, name) for row in rows) for name in ("parameters", "multiply_adds"))
    lines.append(f"{'sum':<{wide}} {'':<20} {parameters:>10} {multiply_adds:>14} {'':<13}{sums}")
    lines.append(
        f"peak {peak.peak / 1e9:.0f} GFLOP/s, {peak.how or f'of a product of {PEAK_SIZE} x {PEAK_SIZE} matrices'}; "
        f"memory {peak.bandwidth / 1e9:.0f} GB/s, of a copy"
    )
    return lines
