"""A network as a list of named layers: forward from the first to the last, backward from the last to the first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from .kernels.contract import Shape
from .layers import Layer


class Sequential:
    """Layers one after the other, each with a name. A Sequential is a layer itself and may stand in another one.

    Shapes
        ``params`` and ``grads`` are dicts from "layer.parameter", as in "conv1.w", to the layers' own arrays: writing
        to ``net.params["conv1.w"][...]`` changes the layer.
    Errors
        ValueError where there is no layer, a name is empty, has a dot or occurs twice.
    """

    def __init__(self, layers: Iterable[tuple[str, Layer]]) -> None:
        self._layers: dict[str, Layer] = {}
        for name, layer in layers:
            if not isinstance(name, str) or not name or "." in name or name in self._layers:
                raise ValueError(
                    f"layers has a layer named {name!r}, but names must be unique, not empty, without dots"
                )
            self._layers[name] = layer
        if not self._layers:
            raise ValueError("layers is empty, but must hold at least one (name, layer)")

    def __getitem__(self, name: str) -> Layer:
        return self._layers[name]

    def __iter__(self) -> Iterator[tuple[str, Layer]]:
        return iter(self._layers.items())

    def __len__(self) -> int:
        return len(self._layers)

    @property
    def params(self) -> dict[str, np.ndarray]:
        """Every layer's parameters."""
        return {f"{name}.{key}": value for name, layer in self for key, value in layer.params.items()}

    @property
    def grads(self) -> dict[str, np.ndarray]:
        """Every layer's gradients; without those of layers whose backward has not run."""
        return {f"{name}.{key}": value for name, layer in self for key, value in layer.grads.items()}

    @property
    def cache(self) -> tuple[np.ndarray, ...]:
        """What the layers keep for their backward. A convolution and the ReLU before it keep the same array."""
        return tuple(array for _, layer in self for array in layer.cache)

    @property
    def train(self) -> bool:
        """Whether layers that behave differently in training do so: all of them. Setting it sets them all."""
        return all(getattr(layer, "train", True) for _, layer in self)

    @train.setter
    def train(self, value: bool) -> None:
        for _, layer in self:
            if hasattr(layer, "train"):
                layer.train = value

    def output_shapes(self, x_shape: Shape) -> dict[str, Shape]:
        """Each layer's output shape for an input of ``x_shape``, computed without computing the layers."""
        shapes: dict[str, Shape] = {}
        for name, layer in self:
            x_shape = shapes[name] = layer.output_shape(x_shape)
        return shapes

    def output_shape(self, x_shape: Shape) -> Shape:
        """The last layer's output shape."""
        return list(self.output_shapes(x_shape).values())[-1]

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The last layer's output; errors as the layers'."""
        for _, layer in self:
            x = layer.forward(x)
        return x

    def backward(self, dout: np.ndarray) -> np.ndarray | None:
        """Writes every layer's ``grads``; returns the first layer's dx, or None where that layer leaves it out.

        Errors
            As the layers'; ValueError where a layer in the middle leaves out the dx that the one before it needs.
        """
        gradient: np.ndarray | None = dout
        for name, layer in reversed(self._layers.items()):
            if gradient is None:
                raise ValueError(f"needs_dx is False in a layer after {name!r}, but must be True in all but the first")
            gradient = layer.backward(gradient)
        return gradient
