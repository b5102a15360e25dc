"""What a function must return, whatever its elements are: how many outputs, of which type, dtype and shape.

A learner may come from lists, from integers or from float32: one sentence for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..bestiary.subject import Subject
from ..gradcheck.explain import index_text
from .runner import described


class RefusedError(Exception):
    """What a function returned is not what it must return: one sentence."""


class WrongArrayError(RefusedError):
    """An output has a wrong shape, or elements that are not finite; they may still tell which mistake it is."""


def outputs(subject: Subject, returned: Any, right: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs by name, if they keep the contract. ``right`` has what they should be."""
    names = subject.outputs
    if returned is None:
        raise RefusedError(f"{subject.name} returns None: a `return {', '.join(names)}` is missing.")
    if len(names) == 1:
        if isinstance(returned, tuple) and len(returned) == 1 and not isinstance(right[names[0]], tuple):
            raise RefusedError(
                f"{subject.name} returns a tuple, but must return {names[0]} alone: leave out the comma."
            )
        values = [returned]
    else:
        if not isinstance(returned, (tuple, list)):
            found = described(returned)
            raise RefusedError(
                f"{subject.name} returns {found}, but must return {len(names)} values: {', '.join(names)}."
            )
        if len(returned) != len(names):
            wanted = f"{len(names)} values: {', '.join(names)}"
            raise RefusedError(f"{subject.name} returns {_count(len(returned))}, but must return {wanted}.")
        values = list(returned)
    return {
        name: _output(name, value, right[name], _shape_of(subject, name))
        for name, value in zip(names, values, strict=True)
    }


def changed(names: tuple[str, ...]) -> str:
    """The sentence on arguments that a function has changed."""
    return (
        f"Your code changes {' and '.join(names)}, which the caller still needs: "
        f"work on a copy, such as {names[0]}.copy()."
    )


def _count(number: int) -> str:
    return f"{number} value{'' if number == 1 else 's'}"


def _shape_of(subject: Subject, output: str) -> str:
    """Whose shape an output must have, in words."""
    return f", the shape of {subject.gradients[output]}" if output in subject.gradients else ""


def _output(name: str, value: Any, right: Any, whose: str) -> Any:
    if isinstance(right, np.ndarray) and right.ndim:
        return _array(name, value, right, whose)
    if np.asarray(right).dtype.kind in "biu":
        return _integers(name, value, right)
    return _number(name, value)


def _array(name: str, value: Any, right: np.ndarray, whose: str) -> np.ndarray:
    if isinstance(value, (list, tuple)):
        raise RefusedError(
            f"{name} is {described(value)}, but must be a NumPy array: begin with "
            f"`{name} = np.zeros(...)`, or end with `np.array({name})`."
        )
    if not isinstance(value, np.ndarray):
        raise RefusedError(f"{name} is {described(value)}, but must be a NumPy array of shape {right.shape}.")
    if value.dtype != right.dtype:
        advice = f": {_advice(value.dtype, name)}" if right.dtype == np.float64 else "."
        raise RefusedError(f"{name} has dtype {value.dtype}, but must have {right.dtype}{advice}")
    if value.shape != right.shape:
        empty = " A slice that ends at -0, such as a[1:-0], is empty." if right.size and not value.size else ""
        raise WrongArrayError(f"{name} has shape {value.shape}, but must have {right.shape}{whose}.{empty}")
    bad = np.argwhere(np.isfinite(right) & ~np.isfinite(value))
    if len(bad):
        index = tuple(int(at) for at in bad[0])
        raise WrongArrayError(
            f"{index_text(name, index)} is {value[index]}, but every element must be a finite number."
        )
    return value


def _advice(dtype: np.dtype, name: str) -> str:
    if dtype.kind == "f":
        return f"{dtype} keeps too few digits, and the arguments are float64."
    if dtype.kind in "iu":
        return f"integers drop what comes after the point. `np.zeros(shape)` makes {name} of float64."
    if dtype.kind == "b":
        return "multiply the True and False by numbers, or use np.where."
    return "the numbers here are real."


def _integers(name: str, value: Any, right: Any) -> Any:
    """Integers, alone or in tuples: lists and arrays of the same are as good."""
    try:
        found = np.asarray(value)
    except ValueError:  # lists of unequal lengths
        found = np.asarray(None)
    if found.dtype.kind == "f":
        raise RefusedError(f"{name} is {value}, a float, but must be made of ints: divide with // and not with /.")
    if found.dtype.kind not in "iu":
        raise RefusedError(f"{name} is {described(value)}, but must {_form(right)}.")
    if found.shape != np.shape(right):
        raise WrongArrayError(f"{name} is {value}, but must {_form(right)}.")
    return value


def _form(right: Any) -> str:
    """How ints must be nested, without their numbers."""
    return f"look like {_pattern(right)}" if isinstance(right, tuple) else "be an int"


def _pattern(right: Any) -> str:
    return f"({', '.join(map(_pattern, right))})" if isinstance(right, tuple) else "int"


def _number(name: str, value: Any) -> float:
    if isinstance(value, np.ndarray) and value.ndim:
        raise WrongArrayError(f"{name} is an array of shape {value.shape}, but must be one number: is a sum missing?")
    if np.asarray(value).dtype.kind not in "iuf":
        raise RefusedError(f"{name} is {described(value)}, but must be a number.")
    if not np.isfinite(value):
        raise WrongArrayError(f"{name} is {value}, but must be a finite number.")
    dtype = np.asarray(value).dtype
    if dtype.kind == "f" and dtype != np.float64:
        raise RefusedError(f"{name} has dtype {dtype}, but must have float64: {_advice(dtype, name)}")
    return float(value)
