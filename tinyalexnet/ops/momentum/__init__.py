"""The update of stochastic gradient descent with momentum, in place.

Derivation: docs/momentum.md. Tests: tests/ops/test_momentum.py.
"""

import math
from typing import Any

import numpy as np

from ...geometry import as_number
from ..checks import check_floats, check_shape, check_writeable
from ..dispatch import resolve

FINITE = "a finite number", math.isfinite


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
    device, kernels = resolve(__name__, backend)
    check_floats(device, w=w, v=v, dw=dw)
    for name, array in (("v", v), ("dw", dw)):
        check_shape(name, array.shape, w.shape, "the shape of w")
    for name, array in (("w", w), ("v", v)):
        check_writeable(device, name, array)
    rate, momentum = (
        factor if not device.on_host and device.holds(factor) else as_number(name, factor, *FINITE)
        for name, factor in (("rate", rate), ("momentum", momentum))
    )
    decay = as_number("decay", decay, *FINITE)
    kernels.momentum_step(w, v, dw, rate, momentum, decay, loss)
