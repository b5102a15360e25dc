"""Numbers, arrays and lists as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from typing import Any

import numpy as np

from ..gradcheck.explain import map_axes, number
from .runner import described

MOST_INLINE = 16
"""Arrays with more elements than this, all together, are not printed within a sentence."""

MOST_PRINTED = 48
"""An array with more elements is not printed with a case that is wrong."""


def listed(items: Sequence[str]) -> str:
    """ "dx", "dx and dw", "dx, dw and db"."""
    return " and ".join(filter(None, (", ".join(items[:-1]), *items[-1:])))


def are(items: Sized) -> str:
    """The verb for so many."""
    return "is" if len(items) == 1 else "are"


def elements(pool: Mapping[str, Any]) -> int:
    """The elements of all arrays."""
    return sum(np.size(value) for value in pool.values() if isinstance(value, np.ndarray))


def value_text(value: Any) -> str:
    """A value within a sentence: ``[2 -3]``; an array of images as its elements and its shape."""
    if value is None or isinstance(value, (bool, np.bool_)):
        return str(value)
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(value_text, value))})"
    if not isinstance(value, (int, float, np.generic, np.ndarray)):
        return described(value)
    if np.ndim(value) == 0:
        return number(float(value)) if np.isfinite(value) else str(float(value))
    if np.ndim(value) > 2:
        return f"{value_text(np.ravel(value))} of shape {np.shape(value)}"
    return f"[{' '.join(value_text(item) for item in np.asarray(value))}]"


def numbers_text(values: Mapping[str, Any]) -> str:
    """Values by name within a sentence; the names alone if there are many elements."""
    if elements(values) > MOST_INLINE:
        return listed(list(values))
    return ", ".join(f"{name} = {value_text(value)}" for name, value in values.items())


def grid(rows: np.ndarray) -> list[str]:
    """The lines of a matrix, its columns one below the other."""
    written = [[number(float(value)) for value in row] for row in rows]
    width = max(len(word) for row in written for word in row) if len(rows) > 1 else 0
    return [" ".join(word.rjust(width) for word in row) for row in written]


def planes(name: str, array: np.ndarray, channels_first: bool = False) -> list[tuple[str, np.ndarray]]:
    """An array as matrices with their names: ``x[0,:,:,1]`` is rows and columns of an image and channel."""
    rows, columns = map_axes(name, array.ndim, channels_first)
    if rows is None or array.ndim == 2:
        return [(name, np.atleast_2d(array))]
    found = []
    others = [range(1) if axis in (rows, columns) else range(size) for axis, size in enumerate(array.shape)]
    for at in np.ndindex(*map(len, others)):
        index = tuple(slice(None) if axis in (rows, columns) else place for axis, place in enumerate(at))
        title = ",".join(":" if isinstance(place, slice) else str(place) for place in index)
        found.append((f"{name}[{title}]", array[index]))
    return found


def array_lines(name: str, array: np.ndarray, most: int = MOST_PRINTED, channels_first: bool = False) -> list[str]:
    """An array by name with its shape and its elements, if there are at most so many."""
    head = f"{name} of shape {array.shape}"
    if array.size > most or array.size == 0:
        return [head]
    parts = planes(name, array, channels_first)
    if len(parts) == 1:
        lines = grid(parts[0][1])
        return [f"{head}: {lines[0]}"] if len(lines) == 1 else [f"{head}:", *indented(lines)]
    inner = []
    for title, rows in parts:
        lines = grid(rows)
        inner += [f"{title}: {lines[0]}"] if len(lines) == 1 else [f"{title}:", *indented(lines)]
    return [f"{head}:", *indented(inner)]


def pool_lines(
    pool: Mapping[str, Any], names: Sequence[str], most: int = MOST_PRINTED, channels_first: bool = False
) -> list[str]:
    """The arguments of a case: arrays first, then the others on one line."""
    lines = []
    for name in names:
        if isinstance(pool[name], np.ndarray):
            lines += array_lines(name, pool[name], most, channels_first)
    others = [f"{name} = {value_text(pool[name])}" for name in names if not isinstance(pool[name], np.ndarray)]
    return [*lines, ", ".join(others)] if others else lines


def indented(lines: Sequence[str], by: int = 4) -> list[str]:
    return [" " * by + line for line in lines]
