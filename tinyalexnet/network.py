"""A network as a list of named layers: forward from the first to the last, backward from the last to the first."""

import math
import textwrap
from collections.abc import Callable, Iterable, Iterator
from html import escape
from typing import Any

import numpy as np

from .captured import CapturedStep, Optimizer
from .layers.base import Cost, Layer
from .ops.checks import Shape


class Sequential(Layer):
    """Layers one after the other, each with a name. A Sequential is a layer itself and may be part of another one.

    Shapes
        ``params`` and ``grads`` are dicts from "layer.parameter", as in "conv1.w", to the layers' own arrays: writing
        to ``net.params["conv1.w"][...]`` changes the layer. ``x_shape``, if given, is that of an input of one image: it
        lets ``summary`` know the shapes.
    Errors
        TypeError if an item is not a pair of a name and a layer. ValueError if there is no layer, a name is empty, has
        a dot or occurs twice, or the same layer object occurs twice: its second forward would overwrite what its first
        one saved. Errors of a layer begin with its name.
    """

    def __init__(self, layers: Iterable[tuple[str, Layer]], x_shape: Shape | None = None) -> None:
        self.x_shape = x_shape
        self._layers: dict[str, Layer] = {}
        for pair in layers:
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise TypeError(
                    f"layers has an object of type {type(pair).__name__}, but must have pairs (name, layer)"
                )
            name, layer = pair
            if not isinstance(layer, Layer):
                raise TypeError(
                    f"layers has an object of type {type(layer).__name__} as {name!r}, but must have a Layer"
                )
            if not isinstance(name, str) or not name or "." in name or name in self._layers:
                raise ValueError(
                    f"layers has a layer named {name!r}, but names must be unique, not empty, without dots"
                )
            self._layers[name] = layer
        if not self._layers:
            raise ValueError("layers is empty, but must hold at least one (name, layer)")
        names: dict[int, str] = {}
        for name, layer in self.leaves():
            first = names.setdefault(id(layer), name)
            if first != name:
                raise ValueError(
                    f"layers has one object as {first!r} and {name!r}, but must have a layer for each name"
                )

    def __getitem__(self, name: str) -> Layer:
        return self._layers[name]

    def __iter__(self) -> Iterator[tuple[str, Layer]]:
        return iter(self._layers.items())

    def __len__(self) -> int:
        return len(self._layers)

    def leaves(self, name: str = "") -> Iterator[tuple[str, Layer]]:
        """Every layer, also those of networks inside, by its name with dots."""
        for inner, layer in self:
            yield from layer.leaves(f"{name}.{inner}" if name else inner)

    def can_be_recorded(self) -> bool:
        """As ``Layer.can_be_recorded``, for all layers."""
        return type(self) is Sequential and all(layer.can_be_recorded() for _, layer in self)

    @property
    def params(self) -> dict[str, np.ndarray]:  # type: ignore[override]
        """Every layer's parameters."""
        return {f"{name}.{key}": value for name, layer in self for key, value in layer.params.items()}

    @property
    def grads(self) -> dict[str, np.ndarray]:  # type: ignore[override]
        """Every layer's gradients; without those of layers whose backward has not run."""
        return {f"{name}.{key}": value for name, layer in self for key, value in layer.grads.items()}

    @property
    def cache(self) -> tuple[np.ndarray, ...]:
        """The arrays that the layers save. A convolution and the ReLU before it save the same one."""
        return tuple(array for _, layer in self for array in layer.cache)

    @property
    def train(self) -> bool:
        """If all layers that behave differently in training do so. Setting it sets them all."""
        return all(getattr(layer, "train", True) for _, layer in self)

    @train.setter
    def train(self, value: bool) -> None:
        for _, layer in self:
            if hasattr(layer, "train"):
                layer.train = value

    def output_shapes(self, x_shape: Shape) -> dict[str, Shape]:
        """Each layer's output shape for an input of ``x_shape``, without computing the layers."""
        shapes: dict[str, Shape] = {}
        for name, layer in self:
            x_shape = shapes[name] = named(name, layer.output_shape, x_shape)
        return shapes

    def output_shape(self, x_shape: Shape) -> Shape:
        """The last layer's output shape."""
        return list(self.output_shapes(x_shape).values())[-1]

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The last layer's output; errors as the layers'."""
        for name, layer in self:
            x = named(name, layer.forward, x)
        return x

    def backward(self, dout: np.ndarray) -> np.ndarray | None:
        """Writes every layer's ``grads``; returns the first layer's dx, or None if that layer leaves it out.

        Errors
            As the layers'; ValueError if a layer in the middle leaves out the dx that the one before it needs.
        """
        return list(self.backwards(dout))[-1][2]

    def backwards(self, dout: np.ndarray) -> Iterator[tuple[str, Layer, np.ndarray | None]]:
        """``backward`` layer by layer, from the last to the first: the name, the layer whose ``grads`` are written now,
        and its dx."""
        gradient: np.ndarray | None = dout
        for name, layer in reversed(self._layers.items()):
            if gradient is not dout:
                check_gradient(gradient, name)
            gradient = named(name, layer.backward, gradient)
            yield name, layer, gradient

    def captured(
        self, loss: Callable[..., tuple[Any, Any]] | None = None, optimizer: Optimizer | None = None, graph: bool = True
    ) -> CapturedStep:
        """A step of this network as one function ``step(x, *targets)``, which a GPU replays without Python.

        It computes the forward; with ``loss``, a function of the output and the targets that returns the loss and its
        gradient, the backward too; with ``optimizer``, an ``SGD`` of this network's parameters, the update. Without
        ``graph`` each call launches the kernels one by one, to compare.
        """
        return CapturedStep(self, [layer for _, layer in self.leaves()], loss, optimizer, graph)

    def cost(self, x_shape: Shape) -> Cost:
        """The sums over the layers."""
        multiply_adds = performed = 0
        for _, layer in self:
            cost = layer.cost(x_shape)
            multiply_adds, performed = multiply_adds + cost.multiply_adds, performed + cost.performed
            x_shape = layer.output_shape(x_shape)
        return Cost(multiply_adds, performed)

    def _rows(self, x_shape: Shape | None = None) -> list[tuple[str, str, str, str, str]]:
        """The table of ``summary``: name, layer, output, parameters and multiply-adds, with a head and a sum."""
        shape = x_shape or self.x_shape
        rows = [("name", "layer", "output", "parameters", "multiply-adds")]
        sizes, adds = 0, 0
        for name, layer in self.leaves():
            size = sum(math.prod(value.shape) for value in layer.params.values())
            sizes += size
            output, cost = "", ""
            if shape is not None:
                cost_of = named(name, layer.cost, shape).multiply_adds
                shape, adds = named(name, layer.output_shape, shape), adds + cost_of
                output, cost = " x ".join(map(str, shape)), f"{cost_of:,}" if cost_of else ""
            rows.append((name, repr(layer), output, f"{size:,}" if size else "", cost))
        return [*rows, ("sum", "", "", f"{sizes:,}", f"{adds:,}" if shape is not None else "")]

    def summary(self, x_shape: Shape | None = None) -> str:
        """A table of the layers: print it. Outputs and multiply-adds need ``x_shape``, or that of the network.

        Errors
            ValueError, with the layer's name, if an input of ``x_shape`` does not fit.
        """
        rows = self._rows(x_shape)
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for row in rows:
            left = [f"{cell:<{width}}" for cell, width in zip(row[:3], widths[:3], strict=True)]
            right = [f"{cell:>{width}}" for cell, width in zip(row[3:], widths[3:], strict=True)]
            lines.append("  ".join([*left, *right]).rstrip())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The table of ``summary``, for notebooks."""
        head, *rows = (tuple(map(escape, row)) for row in self._rows())
        cells = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in rows)
        return f"<table>\n<tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>\n{cells}</table>"

    def __repr__(self) -> str:
        lines = "".join(f"({name!r}, {layer!r}),\n" for name, layer in self)
        return f"Sequential([\n{textwrap.indent(lines, '    ')}])"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def check_gradient(gradient: object, name: str) -> None:
    """ValueError if the layer after layer ``name`` has left out its dx."""
    if gradient is None:
        raise ValueError(f"needs_dx is False in a layer after {name!r}, but must be True in all but the first")


def named(name: str, call: Callable[..., Any], argument: Any) -> Any:
    """``call(argument)``, with the layer's name before the message of an error."""
    try:
        return call(argument)
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name}: {error}") from error
