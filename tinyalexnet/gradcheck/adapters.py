"""What can be checked: layers, and pairs of functions, losses and random layers made into such."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np


class Differentiable(Protocol):
    """A layer to check. ``params`` and ``grads`` hold arrays under the same names, or nothing."""

    @property
    def params(self) -> dict[str, np.ndarray]: ...

    @property
    def grads(self) -> dict[str, np.ndarray]: ...

    def forward(self, x: np.ndarray) -> np.ndarray: ...

    def backward(self, dout: np.ndarray) -> np.ndarray | None: ...


class FunctionLayer:
    """The layer that ``as_layer`` and ``as_loss`` return."""

    def __init__(
        self,
        forward: Callable[..., Any],
        backward: Callable[..., Any],
        params: Mapping[str, np.ndarray],
        options: Mapping[str, Any],
    ) -> None:
        self.functions = forward, backward
        self.params = dict(params)
        self.grads: dict[str, np.ndarray] = {}
        self.options = options
        self._saved: tuple[Any, ...] = ()

    def forward(self, x: np.ndarray) -> np.ndarray:
        """forward(x, *params, **options); of a pair (out, cache) it returns the first."""
        found = self.functions[0](x, *self.params.values(), **self.options)
        if isinstance(found, tuple):
            if len(found) != 2:
                raise ValueError(f"forward returns a tuple of {len(found)}, but must return out or (out, cache)")
            self._saved = (found[1],)
            return np.asarray(found[0])
        self._saved = ()
        self._x = x
        return np.asarray(found)

    def backward(self, dout: np.ndarray) -> np.ndarray | None:
        """backward(dout, cache), or backward(dout, x, *params, **options): dx, (dx, *gradients), or (dx, a dict)."""
        found = (
            self.functions[1](dout, *self._saved)
            if self._saved
            else self.functions[1](dout, self._x, *self.params.values(), **self.options)
        )
        dx, *rest = found if isinstance(found, tuple) else (found,)
        if len(rest) == 1 and isinstance(rest[0], dict):
            self.grads = dict(rest[0])
        elif len(rest) == len(self.params):
            self.grads = dict(zip(self.params, rest, strict=True))
        else:
            expected = ", ".join(["dx", *(f"d{name}" for name in self.params)])
            raise ValueError(f"backward returns {1 + len(rest)} gradients, but must return {expected}")
        return dx  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return getattr(self.functions[0], "__name__", "function")


def as_layer(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    params: Mapping[str, np.ndarray] | None = None,
    **options: Any,
) -> FunctionLayer:
    """A layer made of two functions.

    Shapes
        Either ``forward(x, *params, **options)`` returns out, and then ``backward(dout, x, *params, **options)`` is
        called; or it returns ``(out, cache)``, as in CS231n's assignments, and then ``backward(dout, cache)`` is.
        backward returns dx, or ``(dx, dw, db)`` with a gradient for each of ``params``, in their order.
    Errors
        TypeError if one of the two cannot be called, or a parameter is no array. A backward that returns another number
        of gradients is a ValueError when it runs.
    """
    for name, function in (("forward", forward), ("backward", backward)):
        if not callable(function):
            raise TypeError(f"{name} is {function!r}, but must be a function")
    for name, value in (params or {}).items():
        if not isinstance(value, np.ndarray):
            raise TypeError(f"params has a {type(value).__name__} as {name!r}, but must have NumPy arrays")
    return FunctionLayer(forward, backward, params or {}, options)


def as_loss(loss: Callable[..., Any], *arguments: Any, **options: Any) -> FunctionLayer:
    """A layer made of a loss ``loss(y, *arguments, **options)``, such as ``as_loss(softmax_cross_entropy, labels)``.

    Shapes
        The loss returns its value and its gradient (loss, dy), y's shape. The layer's output is the value, of shape ().
    Errors
        TypeError if it cannot be called. A loss that returns something else is a ValueError when it runs.
    """
    if not callable(loss):
        raise TypeError(f"loss is {loss!r}, but must be a function")

    def forward(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = loss(y, *arguments, **options)
        if not isinstance(found, tuple) or len(found) != 2 or np.size(found[0]) != 1:
            raise ValueError(f"{layer!r} returns {_kind(found)}, but must return its value and its gradient")
        return np.asarray(found[0], np.float64).reshape(()), found[1]

    layer = FunctionLayer(forward, lambda dout, dy: dout * dy, {}, {})
    forward.__name__ = getattr(loss, "__name__", "loss")
    return layer


class Frozen:
    """The layer that ``frozen`` returns."""

    def __init__(self, layer: Differentiable) -> None:
        self.layer = layer
        self._restore = [_restoring(generator) for generator in (np.random, *_generators(layer, set()))]

    @property
    def params(self) -> dict[str, np.ndarray]:
        return self.layer.params

    @property
    def grads(self) -> dict[str, np.ndarray]:
        return self.layer.grads

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The layer's forward, with every generator as it was in the beginning."""
        for restore in self._restore:
            restore()
        return self.layer.forward(x)

    def backward(self, dout: np.ndarray) -> np.ndarray | None:
        return self.layer.backward(dout)

    def __repr__(self) -> str:
        return f"frozen({self.layer!r})"


def frozen(layer: Differentiable) -> Frozen:
    """The layer with the same random numbers in every forward, so that its gradients can be checked: for dropout.

    State
        Before each forward every ``numpy.random.Generator`` found in the layer's attributes, also in those of layers
        inside, and NumPy's global generator get the state that they had when ``frozen`` was called. A layer that makes
        a new generator without a seed in each forward cannot be frozen.
    """
    return Frozen(layer)


def _generators(value: object, seen: set[int]) -> Iterator[object]:
    """The generators in an object's attributes, and in those of the objects and containers inside."""
    if id(value) in seen or isinstance(value, (np.ndarray, str, bytes, type)):
        return
    seen.add(id(value))
    if isinstance(value, (np.random.Generator, np.random.RandomState)):
        yield value
        return
    inside: list[object] = list(getattr(value, "__dict__", {}).values())
    if isinstance(value, dict):
        inside += value.values()
    elif isinstance(value, (list, tuple, set)):
        inside += value
    for one in inside:
        yield from _generators(one, seen)


def _restoring(generator: Any) -> Callable[[], None]:
    """A function that gives the generator the state that it has now; NumPy's global one has the older interface."""
    if isinstance(generator, np.random.Generator):
        state = generator.bit_generator.state
        return lambda: setattr(generator.bit_generator, "state", state)
    old_state = generator.get_state()
    return lambda: generator.set_state(old_state)


def _kind(value: object) -> str:
    return f"a tuple of {len(value)}" if isinstance(value, tuple) else f"a {type(value).__name__}"
