"""What the checkpoint of a training must contain. All of it is checked before any of it is used.

The checksum shows that a file is whole; these checks show that it means what this version takes it for.
"""

import reprlib
import sys
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..ops.checks import Shape
from . import checkpoint
from .progress import Progress, progress_from
from .settings import LEAST, VIEWS, Settings

NEEDED = ("settings", "data", "run", "generators")
LATER = ("scale", "classes")
"""Parts of the meta. Checkpoints from before ``classify`` lack the later ones, and the array "mean"."""

NAMED = 40
"""The most wrong tensors that an error names; only the file of another network has more."""

KINDS = {int: "an int", float: "a finite number", bool: "true or false", str: "a text"}


@dataclass(frozen=True)
class Contents:
    """The meta of a checkpoint: every part is of the right kind and in range."""

    settings: dict[str, Any]
    data: str
    progress: Progress
    generators: dict[str, np.random.Generator]
    scale: float | None
    classes: tuple[str, ...] | None


def contents(path: str | Path, meta: Mapping[str, Any]) -> Contents:
    """The contents of a checkpoint of a training, whose arrays ``check_arrays`` checks.

    Errors
        ValueError, which names the file and the part, if a part is missing, unknown, of another kind or out of range.
    """
    if "settings" not in meta:
        raise ValueError(f"{path} must be a checkpoint of python -m tinyalexnet train, but is of something else")
    for name in NEEDED:
        if name not in meta:
            raise ValueError(f"{path} lacks {name!r}, but must have {', '.join(NEEDED)}: take another checkpoint")
    _refuse_unknown(path, "the part", meta.keys() - {*NEEDED, *LATER})
    settings, data = _settings(path, meta["settings"]), meta["data"]
    if not isinstance(data, str):
        raise ValueError(f"{path} has the data {reprlib.repr(data)}, but must have a text")
    progress = progress_from(meta["run"], settings["batch_size"])
    if progress is None:
        raise ValueError(
            f"{path} has the progress {reprlib.repr(meta['run'])}, but must have a number of steps and sums over some "
            f"of them, of {settings['batch_size']} images each"
        )
    generators = _generators(path, meta["generators"])
    return Contents(settings, data, progress, generators, _scale(path, meta), _classes(path, meta))


def misfits(tensors: Mapping[str, np.ndarray], shapes: Mapping[str, Shape]) -> str:
    """What is missing, superfluous or of another shape, in words; "" if nothing is."""
    wrong = [f"lacks {name}" for name in shapes if name not in tensors]
    wrong += [f"should not have {name[:80]!r}" for name in tensors if name not in shapes]
    wrong += [
        f"has {name} of shape {tensors[name].shape} in place of {shape}"
        for name, shape in shapes.items()
        if name in tensors and tensors[name].shape != shape
    ]
    if len(wrong) > NAMED:
        wrong[NAMED:] = [f"and {len(wrong) - NAMED} more"]
    return ", ".join(wrong)


def check_arrays(path: str | Path, variant: str, arrays: Mapping[str, np.ndarray], shapes: Mapping[str, Shape]) -> None:
    """ValueError, which names the arrays, if a checkpoint's are not those of ``shapes``, in float32 and finite.

    ``shapes`` has the parameters' names; the file has each twice, for the weights and the velocities.
    """
    expected = {f"{kind}:{name}": shape for kind in "wv" for name, shape in shapes.items()}
    if wrong := misfits({name: array for name, array in arrays.items() if name != "mean"}, expected):
        raise ValueError(f"{path} does not fit {variant!r}: it {wrong}")
    for name, array in arrays.items():
        if array.dtype != np.float32:
            raise ValueError(f"{path} has {name} of {array.dtype}, but it must be float32: take another checkpoint")
        if not np.isfinite(array).all():
            raise ValueError(f"{path} has elements of {name} that are not finite: take an earlier checkpoint")


def _settings(path: str | Path, saved: Any) -> dict[str, Any]:
    """All settings: a checkpoint that lacks one was trained with that setting's default."""
    if not isinstance(saved, dict):
        raise ValueError(f"{path} must be a checkpoint of python -m tinyalexnet train, but is of something else")
    kinds = typing.get_type_hints(Settings)
    _refuse_unknown(path, "the setting", saved.keys() - kinds.keys())
    settings = {name: saved.get(name, getattr(Settings, name)) for name in kinds}
    for name, value in settings.items():
        kind, least = kinds[name], LEAST.get(name)
        if not _is_of_kind(value, kind):
            raise ValueError(f"{path} has the setting {name} {reprlib.repr(value)}, but it must be {KINDS[kind]}")
        if least is not None and value < least:
            raise ValueError(f"{path} has the setting {name} {reprlib.repr(value)}, but it must be at least {least}")
    if settings["views"] not in VIEWS:
        raise ValueError(f"{path} has the setting views {reprlib.repr(settings['views'])}, but it must be 1 or 10")
    return settings


def _is_of_kind(value: Any, kind: type) -> bool:
    if kind is float:
        largest = sys.float_info.max
        return type(value) in (int, float) and -largest <= value <= largest
    return type(value) is kind


def _generators(path: str | Path, saved: Any) -> dict[str, np.random.Generator]:
    if not isinstance(saved, dict):
        raise ValueError(f"{path} has the generators {reprlib.repr(saved)}, but must have a state for each by its name")
    try:
        return {name: checkpoint.restore_generator(state) for name, state in saved.items()}
    except ValueError as error:
        raise ValueError(f"{path} has a generator that is none: {error}") from None


def _scale(path: str | Path, meta: Mapping[str, Any]) -> float | None:
    if "scale" not in meta:
        return None
    scale = meta["scale"]
    # One over a standard deviation of at least 1.
    if not isinstance(scale, float) or not 0 < scale <= 1:
        raise ValueError(f"{path} has a scale that is no number above 0 and up to 1")
    return scale


def _classes(path: str | Path, meta: Mapping[str, Any]) -> tuple[str, ...] | None:
    if "classes" not in meta:
        return None
    classes = meta["classes"]
    # Any text may be the name of a folder, and so of a class: it is escaped where it is printed.
    if not isinstance(classes, list) or not classes or not all(isinstance(name, str) for name in classes):
        raise ValueError(f"{path} has other classes than a list of names")
    return tuple(classes)


def _refuse_unknown(path: str | Path, what: str, names: Collection[str]) -> None:
    if names:
        found = reprlib.repr(min(names))
        raise ValueError(
            f"{path} has {what} {found}, which this version does not know: use the version of tinyalexnet that wrote it"
        )
