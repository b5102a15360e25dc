"""From the name of a backend to its code of an operation."""

import functools
from importlib import import_module
from typing import Any

from ..devices import Device, device


def resolve(package: str, backend: str) -> tuple[Device, Any]:
    """The device of ``backend`` and its code in the folder ``package``, imported at the first call.

    Errors
        As ``devices.device``.
    """
    return device(backend), code(package, backend)


@functools.cache
def code(package: str, backend: str) -> Any:
    """The module of ``backend`` in the folder ``package``."""
    return import_module(f"{package}.{backend}")
