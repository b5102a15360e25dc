"""Shards that a process computes together: of more images at once, filters are read less often."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from ..devices import Device
from ..layers.base import Layer
from ..network import Sequential, check_gradient, named
from ..ops.conv2d.winograd.kept import unchanged_filters

RUN_IMAGES = 128
"""Shards are computed together up to so many images: then filters are read seldom enough. The arrays of a run are those
of its images, so more would need more memory."""


class Run:
    """Some shards, neighbours in the batch, whose forward and backward go through a network together.

    A layer that ``rounds_alike`` takes the images of all at once, the others take one shard after the other. So each
    element has the bits that it has if its shard is alone, and each shard has gradients of its own.
    """

    is_only = False
    """If the process has no other shards."""

    def __init__(self, net: Sequential, first: int, rows: list[slice], hardware: Device) -> None:
        self.first, self.rows, self._hardware = first, rows, hardware
        self._leaves = list(net.leaves())
        self._saved: list[list[Any]] = []

    def images(self, first: int = 0) -> slice:
        """The images of the run, by their numbers in the batch, counted from image ``first``."""
        return slice(self.rows[0].start - first, self.rows[-1].stop - first)

    def forward(self, x: Any) -> Any:
        """The network's output for the images of the run; errors as the layers'."""
        self._saved = []
        for name, layer in self._leaves:
            outs, saved = [], []
            together = self._together(layer, x)
            for rows, images in zip(self.rows, [x] if together else self.parts(x), strict=not together):
                layer.part(rows.start)
                outs.append(named(name, layer.forward, images))
                saved.append(layer._saved)
            x = joined(outs, self._hardware.joined)
            self._saved.append(saved)
        return x

    def backwards(self, dout: Any) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """The backward of the last forward, layer by layer: the gradients of each shard, with its number."""
        every, self._saved = list(self._saved), []
        for name, layer in reversed(self._leaves):
            check_gradient(dout, name)
            saved = every.pop()
            if len(saved) < len(self.rows):
                layer._saved = saved[0]
                passes = dict(layer.backward_passes())
                if "dw" in passes:
                    yield from self._of_each(name, layer, passes["dw"], dout)
                dout = named(name, passes["dx"], dout) if "dx" in passes else None
                continue
            found = []
            for shard, (gradient, of) in enumerate(zip(self.parts(dout), saved, strict=True), self.first):
                layer._saved = of
                found.append(named(name, layer.backward, gradient))
                yield name, shard, layer.grads
            dout = joined(found, self._hardware.joined)

    def parts(self, array: Any) -> list[Any]:
        """The rows of each shard."""
        if len(self.rows) == 1:  # the array itself: one of a GPU cannot be cut
            return [array]
        start = self.rows[0].start
        return [array[rows.start - start : rows.stop - start] for rows in self.rows]

    def _together(self, layer: Layer, x: Any) -> bool:
        """If a layer's bits are alike for all images at once."""
        if len(self.rows) == 1:
            return False
        sizes = {rows.stop - rows.start for rows in self.rows}
        return all(layer.rounds_alike((size, *x.shape[1:]), x.shape) for size in sizes)

    def _of_each(
        self, name: str, layer: Layer, backward: Callable[[Any], Any], dout: Any
    ) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """The gradients of each shard, by a layer that has saved the images of all."""
        (every,) = layer._restored()
        for shard, (x, gradient) in enumerate(zip(self.parts(every), self.parts(dout), strict=True), self.first):
            layer._saved = (x,)
            named(name, backward, gradient)
            yield name, shard, layer.grads
        layer._saved = (every,)


def runs_of(net: Sequential, shards: list[slice], first: int, hardware: Device) -> list[Run]:
    """Neighbouring shards of a batch in runs of up to RUN_IMAGES images, where kernels take each image by itself.

    The first one has number ``first``. A shard without images is in no run.
    """
    most = RUN_IMAGES if hardware.by_image else 0
    found: list[Run] = []
    for number, rows in enumerate(shards, first):
        if rows.start == rows.stop:
            continue
        if found and rows.stop - found[-1].rows[0].start <= most:
            found[-1].rows.append(rows)
        else:
            found.append(Run(net, number, [rows], hardware))
    if len(found) == 1:
        found[0].is_only = True
    return found


def same_weights(runs: list[Run]) -> AbstractContextManager[None]:
    """``with`` it, a process transforms the filters of a convolution once for all its runs, if it has several."""
    return unchanged_filters() if len(runs) > 1 else nullcontext()


def joined(parts: list[Any], join: Callable[[list[Any]], Any] = np.concatenate) -> Any:
    """The arrays of all shards as one, or None."""
    return parts[0] if len(parts) == 1 or parts[0] is None else join(parts)
