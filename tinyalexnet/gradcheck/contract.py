"""What a layer must keep to before its gradients mean anything. Each breach is one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .adapters import Differentiable
from .explain import index_text
from .slopes import gradients_of

AGAIN = 3
"""Further forwards of the same x: in a small layer two masks of dropout may be the same, or differ only at zeros."""


@dataclass(frozen=True)
class Breach:
    """One sentence about an argument, or about "forward" or "backward"."""

    where: str
    sentence: str


def breaches(layer: Differentiable, x: np.ndarray, dout_of: Any, needs_dx: bool) -> Iterator[Breach]:
    """The breaches, in the order in which to mend them; those that hide all that follows come alone."""
    yield from (found := list(_interface(layer)))
    if found:
        return
    yield from (found := list(_forward(layer, x)))
    if found:
        return
    out = np.asarray(layer.forward(x.copy()))
    yield from _backward(layer, x, dout_of(out.shape), needs_dx)


def _interface(layer: Any) -> Iterator[Breach]:
    for name in ("forward", "backward"):
        if not callable(getattr(layer, name, None)):
            yield Breach(
                name, f"The layer has no {name}(): it must have forward(x) and backward(dout), or use as_layer."
            )
    for name in ("params", "grads"):
        # ``grads`` may come with the first backward.
        if not isinstance(getattr(layer, name, {} if name == "grads" else None), dict):
            yield Breach(name, f"The layer has no dict {name}: it must have one, which is empty without parameters.")
    params = getattr(layer, "params", None)
    for name, value in params.items() if isinstance(params, dict) else ():
        if not isinstance(value, np.ndarray):
            yield Breach(name, f"params[{name!r}] is a {type(value).__name__}, but must be a NumPy array.")
        elif not np.shares_memory(value, layer.params[name]):
            yield Breach(
                name,
                f"params[{name!r}] is another array each time that it is asked for: it must be the array that "
                "forward uses.",
            )
        else:
            yield from _values(name, f"params[{name!r}]", value)


def _forward(layer: Differentiable, x: np.ndarray) -> Iterator[Breach]:
    given, params = x.copy(), {name: value.copy() for name, value in layer.params.items()}
    found = layer.forward(given)
    # A layer may declare that it works in the memory of its input; then a copy is needed before the next forward.
    if not np.array_equal(given, x, equal_nan=True) and not _works_in_place(layer):
        yield Breach(
            "forward", f"forward changes x in place, first at {_first('x', given != x)}: it must work on a copy."
        )
    changed = [name for name, value in params.items() if not np.array_equal(value, layer.params[name])]
    for name in changed:
        yield Breach("forward", f"forward changes params[{name!r}]: only an optimizer may do so.")
        layer.params[name][...] = params[name]
    if changed:
        return
    if not isinstance(found, np.ndarray):
        yield Breach("forward", f"forward returns a {type(found).__name__}, but must return a NumPy array.")
        return
    out = found.copy()
    if (values := list(_values("forward", "out", out))) and np.isfinite(x).all():
        yield from values
        return
    if not all(np.array_equal(out, layer.forward(x.copy()), equal_nan=True) for _ in range(AGAIN)):
        yield Breach(
            "forward",
            "forward gives another result for the same x: it draws random numbers, or keeps something from the call "
            "before. For dropout, check frozen(layer), which draws the same numbers each time.",
        )


def _backward(layer: Differentiable, x: np.ndarray, dout: np.ndarray, needs_dx: bool) -> Iterator[Breach]:
    params = {name: value.copy() for name, value in layer.params.items()}
    given = dout.copy()
    dx = layer.backward(given)
    if not np.array_equal(given, dout) and not _works_in_place(layer):
        yield Breach("backward", f"backward changes dout in place, first at {_first('dout', given != dout)}.")
    for name, value in params.items():
        if not np.array_equal(value, layer.params[name]):
            yield Breach("backward", f"backward changes params[{name!r}]: only an optimizer may do so.")
            layer.params[name][...] = value
    first = {}
    for name, gradient, value in gradients_of(layer, dx, x, needs_dx):
        faults = list(_gradient(name, gradient, value))
        yield from faults
        if not faults:
            first[name] = np.array(gradient)
    layer.forward(x.copy())
    dx = layer.backward(dout.copy())
    for name, gradient, _ in gradients_of(layer, dx, x, needs_dx):
        if name in first and gradient is not None and not np.array_equal(first[name], gradient):
            if np.allclose(gradient, 2 * first[name], rtol=1e-6, atol=0):
                sentence = f"d{name} doubles with a second backward: it adds to the old gradient, but must replace it."
            else:
                sentence = (
                    f"d{name} differs after a second forward and backward of the same x and dout: if it draws random "
                    "numbers, check frozen(layer)."
                )
            yield Breach(name, sentence)


def _gradient(name: str, gradient: Any, value: np.ndarray) -> Iterator[Breach]:
    if gradient is None:
        how = (
            "backward must return it, or check with needs_dx=False"
            if name == "x"
            else f"backward must write grads[{name!r}]"
        )
        yield Breach(name, f"d{name} is missing: {how}.")
    elif not isinstance(gradient, np.ndarray):
        yield Breach(name, f"d{name} is a {type(gradient).__name__}, but must be a NumPy array.")
    elif gradient.shape != value.shape:
        yield Breach(name, f"d{name} has shape {gradient.shape}, but must have the shape of {name}, {value.shape}.")
    else:
        yield from _values(name, f"d{name}", gradient)


def _values(where: str, name: str, array: np.ndarray) -> Iterator[Breach]:
    if np.iscomplexobj(array):
        yield Breach(where, f"{name} is complex ({array.dtype}), but must be real.")
    elif array.dtype != np.float64:
        yield Breach(
            where, f"{name} has dtype {array.dtype}, but must have float64: a check needs its digits from end to end."
        )
    elif not np.isfinite(array).all():
        bad = ~np.isfinite(array)
        yield Breach(where, f"{name} is not finite: {_first(name, bad)} is {array[bad][0]}.")


def unseen_params(layer: Differentiable, x: np.ndarray, gradients: dict[str, np.ndarray]) -> Iterator[Breach]:
    """A breach for each parameter that can be changed without a change of the output, though its gradient is not 0."""
    before = np.array(layer.forward(x.copy()))
    for name, value in layer.params.items():
        if np.any(gradients[name]):
            kept = value.copy()
            value[...] = kept + 1 + np.abs(kept)
            changed = np.array(layer.forward(x.copy()))
            value[...] = kept
            if np.array_equal(before, changed, equal_nan=True):
                yield Breach(
                    name,
                    f"forward does not see a change of params[{name!r}]: it leaves it out, or uses a copy that it took "
                    "before, so an optimizer would change nothing.",
                )


def _works_in_place(layer: Any) -> bool:
    """If the layer, or one inside, says that its output is in the memory of its input."""
    leaves = layer.leaves("") if hasattr(layer, "leaves") else [("", layer)]
    return any(getattr(leaf, "in_place", False) for _, leaf in leaves)


def _first(name: str, wrong: np.ndarray) -> str:
    return index_text(name, tuple(int(i) for i in np.argwhere(wrong)[0]) if wrong.ndim else ())
