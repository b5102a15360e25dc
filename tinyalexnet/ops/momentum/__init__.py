"""The update of stochastic gradient descent with momentum, in place.

Derivation: docs/momentum.md. Tests: tests/ops/test_momentum.py.
"""

from typing import Any

import numpy as np

from ..checks import check_floats, check_shape, check_writeable
from ..dispatch import resolve


def momentum_step(
    w: np.ndarray,
    v: np.ndarray,
    dw: np.ndarray,
    rate: Any,
    momentum: float,
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
        the rate may be a device array of one element of w's dtype, and the loss is one of float64: both are read when
        the kernel runs.
    Errors
        TypeError if an array is not float32 or float64, or dtypes differ; ValueError if shapes differ, or w or v is
        strided or read-only.
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
    kernels.momentum_step(w, v, dw, rate, momentum, decay, loss)
