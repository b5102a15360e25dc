"""The layers' arithmetic, once per backend: pure functions, arrays in and arrays out.

A backend is a module with the functions of ``contract.Kernels``, split over files of the same names in every backend.
``reference`` is the math as written and has the full docstrings; ``cpu`` is compiled by Numba.
Nothing in here imports from the layers above.
"""

from __future__ import annotations

from importlib import import_module
from typing import cast

from .contract import Kernels

BACKENDS = ("reference", "cpu")


def load(backend: str) -> Kernels:
    """The module of ``backend``, imported at the first call. ValueError where there is none of that name."""
    if backend not in BACKENDS:
        raise ValueError(f"backend is {backend!r}, but must be one of {', '.join(map(repr, BACKENDS))}")
    return cast(Kernels, import_module(f"{__name__}.{backend}"))
