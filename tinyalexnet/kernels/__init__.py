"""The layers' arithmetic, once per backend: pure functions, arrays in and arrays out.

A backend is a module with the functions of ``contract.Kernels``, split over files of the same names in every backend.
``reference`` is the math as written and has the full docstrings; ``cpu`` is compiled by Numba, and so is ``cuda``, for
arrays on a GPU. Nothing in here imports from the layers above.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

import numpy as np

from .contract import Kernels

BACKENDS = ("reference", "cpu", "cuda")


def load(backend: str) -> Kernels:
    """The module of ``backend``, imported at the first call.

    Errors
        ValueError where there is none of that name; ImportError where "cuda" finds no GPU, or cannot use it.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend is {backend!r}, but must be one of {', '.join(map(repr, BACKENDS))}")
    if backend == "cuda":
        _cuda().check()
    return cast(Kernels, import_module(f"{__name__}.{backend}"))


def to_device(array: np.ndarray) -> Any:
    """A copy of a NumPy array on the GPU, for layers of ``backend="cuda"``; errors as ``load``."""
    _cuda().check()
    return _cuda("memory").to_device(array)


def to_host(array: Any) -> np.ndarray:
    """A copy of an array on the GPU, when what computes it is done, as a NumPy array; which is returned as it is."""
    return array if isinstance(array, np.ndarray) else cast(np.ndarray, _cuda().to_host(array))


def placed(array: np.ndarray, backend: str) -> Any:
    """The array where the functions of ``backend`` want it: a copy on the GPU for "cuda", else the array itself."""
    return to_device(array) if backend == "cuda" else array


def write(target: Any, array: np.ndarray) -> None:
    """Copies the numbers of a NumPy array to one of a layer, which may be on the GPU."""
    if isinstance(target, np.ndarray):
        target[...] = array
    else:
        _cuda().write(target, array)


def for_checks(name: str, array: Any, backend: str) -> np.ndarray:
    """What checks can ask for its shape and dtype: the array itself, or what stands in for one on the GPU.

    Errors
        TypeError where the backend is "cuda" and the array is not there.
    """
    return cast(np.ndarray, _cuda().stand_in(name, array)) if backend == "cuda" else array


def _cuda(module: str = "runtime") -> Any:
    return import_module(f"{__name__}.cuda.{module}")
