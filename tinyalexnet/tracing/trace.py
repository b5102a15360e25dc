"""All arrays of one forward and backward of a network, copied as they are made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from ..devices import to_host
from ..layers import Layer
from ..losses import L2Loss, Loss, l2_loss
from ..network import named

LOSS = "loss"
"""The name of the last step of a trace; no layer can be called so in a network that is traced with a loss."""


@dataclass
class Step:
    """A layer, or the loss, with copies of its arrays: x, out, dout, dx, parameters and their gradients, and others.

    The loss has no out but the array "loss" of one element, and no dout.
    """

    name: str
    computes: Any
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


class Trace:
    """One forward and backward: ``trace``. The arrays are copies, on the host, and stay as they are.

    ``steps`` has the layers by name, in order, also those of networks inside, as "block.conv1"; the last is the loss,
    under the name "loss".
    """

    def __init__(self, steps: Mapping[str, Step]) -> None:
        self.steps = dict(steps)
        names = list(steps)
        self._behind = dict(pairwise(names))
        self._before = {behind: name for name, behind in self._behind.items()}

    def array(self, layer: str, name: str) -> np.ndarray:
        """An array of a layer; ValueError, which names those that there are, if there is none of this name."""
        step = self.step(layer)
        if name not in step.arrays:
            raise ValueError(f"array is {name!r}, but must be one of {', '.join(step.arrays)} of {layer!r}")
        return step.arrays[name]

    def step(self, layer: str) -> Step:
        """A layer and its arrays; ValueError, which names those that there are, if there is none of this name."""
        if layer not in self.steps:
            raise ValueError(f"layer is {layer!r}, but must be one of {', '.join(self.steps)}")
        return self.steps[layer]

    def maker(self, layer: str, name: str) -> tuple[str, str]:
        """The layer that computes an array, and its name there.

        The x of a layer is the out of the one before it, and its dout the dx of the one behind it.
        """
        if name == "x" and layer in self._before:
            return self._before[layer], "out"
        if name == "dout" and layer in self._behind:
            return self._behind[layer], "dx"
        return layer, name

    @property
    def loss(self) -> float | None:
        """The loss; None if the trace was made without one."""
        return float(self.steps[LOSS].arrays["loss"]) if LOSS in self.steps else None

    def __repr__(self) -> str:
        arrays = {id(array): array for step in self.steps.values() for array in step.arrays.values()}
        size = sum(array.nbytes for array in arrays.values()) / 1e6
        return f"<Trace of {', '.join(self.steps)}: {size:,.1f} MB>"


def trace(net: Layer, x: np.ndarray, loss: Loss | None = None) -> Trace:
    """Runs a forward, and with a loss a backward, and keeps a copy of every array.

    Shapes
        ``x`` as the network takes it. ``loss`` is a function of the output that returns the loss and its gradient, such
        as ``l2_loss``; ``CrossEntropyLoss(labels)``, ``L2Loss()`` and ``OneOutput(index)`` also tell their terms.
    State
        The network's ``grads`` and what its layers save are those of this pass, and random layers have drawn. The dx of
        the first layer is computed too, if it leaves it out else. The network may be a layer.
    Errors
        As the network's; ValueError if a layer is called "loss".
    """
    leaves = list(net.leaves("layer" if not hasattr(net, "output_shapes") else ""))
    if loss is not None and LOSS in dict(leaves):
        raise ValueError("a layer is called 'loss', but this is the name of the last step of a trace")
    steps = {name: Step(name, layer) for name, layer in leaves}
    value: Any = x
    copied = _copy(x)
    for name, layer in leaves:
        step = steps[name]
        value = named(name, layer.forward, value)
        step.arrays |= {"x": copied, **{key: _copy(array) for key, array in layer.params.items()}}
        copied = step.arrays["out"] = _copy(value)
        step.arrays |= {key: _copy(array) for key, array in layer.kept().items()}
    if loss is not None:
        tells = L2Loss() if loss is l2_loss else loss
        result, gradient = tells(value)
        last = steps[LOSS] = Step(LOSS, tells)
        dout = _copy(gradient)
        last.arrays = {"x": copied, "loss": np.asarray(_copy(result), np.float64).reshape(()), "dx": dout}
        last.arrays |= tells.kept(copied) if hasattr(tells, "kept") else {}
        _backward(leaves, steps, gradient, dout)
    return Trace(steps)


def _backward(leaves: list[tuple[str, Layer]], steps: dict[str, Step], gradient: Any, copied: np.ndarray) -> None:
    with _all_gradients([layer for _, layer in leaves]):
        for name, layer in reversed(leaves):
            arrays = steps[name].arrays
            arrays["dout"] = copied
            gradient = named(name, layer.backward, gradient)
            copied = arrays["dx"] = _copy(gradient)
            arrays |= {f"d{key}": _copy(array) for key, array in layer.grads.items()}


@contextmanager
def _all_gradients(layers: list[Layer]) -> Iterator[None]:
    """Meanwhile no layer leaves out its dx."""
    without = [layer for layer in layers if not layer.needs_dx]
    for layer in without:
        layer.needs_dx = True
    try:
        yield
    finally:
        for layer in without:
            layer.needs_dx = False


def _copy(array: Any) -> np.ndarray:
    """A copy on the host: of a NumPy array, and of scalars, ``to_host`` makes none."""
    return np.array(array if isinstance(array, (float, np.generic)) else to_host(array))
