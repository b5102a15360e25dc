"""The update of stochastic gradient descent with momentum, in place.

Derivation: docs/momentum.md. Tests: tests/ops/test_momentum.py.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...devices import Device
from ...geometry import as_number
from ..checks import check_floats, check_shape, check_writeable
from ..dispatch import resolve

FINITE = "a finite number", math.isfinite


class Move(NamedTuple):
    """The arguments of ``momentum_step``."""

    w: Any
    v: Any
    dw: Any
    rate: Any
    momentum: Any
    decay: float


def momentum_step(
    w: np.ndarray,
    v: np.ndarray,
    dw: np.ndarray,
    rate: Any,
    momentum: Any,
    decay: float,
    backend: str = "cpu",
    *,
    loss: Any = None,
) -> None:
    """Changes the velocity by the gradient and the decay, then moves the parameter by the velocity.

    Math
        v <- momentum v - rate (decay w + dw), then w <- w + v.
    Shapes
        w, v and dw of one shape. w and v are overwritten, unless a ``loss`` is given and is infinite or NaN. On a GPU
        the rate and the momentum may be device arrays of one element of w's dtype, and the loss is one of float64: they
        are read when the kernel runs.
    Errors
        TypeError if an array is not float32 or float64, or dtypes differ; ValueError if shapes differ, w or v is
        strided or read-only, or the rate, momentum or decay is not a finite number.
    Cost
        Six operations per element; three elements read and two written. The reference makes temporaries of that size.
    Source
        Krizhevsky, Sutskever and Hinton, 2012, section 5; docs/momentum.md.
    """
    momentum_steps([Move(w, v, dw, rate, momentum, decay)], backend, loss=loss)


def momentum_steps(moves: Sequence[Move], backend: str = "cpu", *, loss: Any = None) -> None:
    """``momentum_step`` of several parameters, or of none if a ``loss`` is given and is infinite or NaN.

    Math
        v <- momentum v - rate (decay w + dw), then w <- w + v, of each.
    Shapes
        Those of ``momentum_step`` for each. No two may share memory.
    Errors
        As ``momentum_step``; nothing has moved then.
    Cost
        As ``momentum_step`` of all elements, with one parallel loop.
    Source
        As ``momentum_step``; docs/momentum.md.
    """
    device, kernels = resolve(__name__, backend)
    checked = []
    numbers: dict[tuple[int, ...], tuple[Any, ...]] = {}  # by their identities: most parameters have the same ones
    moves = tuple(moves)  # which keep them meanwhile
    for w, v, dw, *factors in moves:
        check_floats(device, w=w, v=v, dw=dw)
        check_shape("v", v.shape, w.shape, "the shape of w")
        check_shape("dw", dw.shape, w.shape, "the shape of w")
        check_writeable(device, "w", w)
        check_writeable(device, "v", v)
        key = tuple(map(id, factors))
        if key not in numbers:
            numbers[key] = _numbers(device, *factors)
        checked.append(Move(w, v, dw, *numbers[key]))
    kernels.momentum_steps(checked, loss)


def _numbers(device: Device, rate: Any, momentum: Any, decay: Any) -> tuple[Any, ...]:
    """The factors, checked; a GPU's arrays as they are."""
    first = (
        factor if not device.on_host and device.holds(factor) else as_number(name, factor, *FINITE)
        for name, factor in (("rate", rate), ("momentum", momentum))
    )
    return *first, as_number("decay", decay, *FINITE)
