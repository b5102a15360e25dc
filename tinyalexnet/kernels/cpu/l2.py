"""The loss of TensorFlow's benchmark, compiled."""

from __future__ import annotations

import numba
import numpy as np

from ..contract import check_l2_loss
from .memory import empty
from .runtime import parallel, run_of

PARTIAL_SUMS = 64
"""The sum is taken in this many parts, however many threads there are: so its rounding does not depend on them."""


def l2_loss(y: np.ndarray) -> tuple[float, np.ndarray]:
    """Half the sum of squares, and its gradient; see reference.

    Schedule
        Parallel over runs of numbers, each copied and squared in one pass; the partial sums are added in one order.
    """
    check_l2_loss(y)
    dout, sums = empty(y.shape, y.dtype), np.empty(PARTIAL_SUMS)
    _squares(np.ascontiguousarray(y).reshape(-1), dout.reshape(-1), sums)
    return 0.5 * float(sums.sum()), dout


@parallel
def _squares(y, dout, sums):  # type: ignore[no-untyped-def]
    parts = sums.size
    for part in numba.prange(parts):
        first, last = run_of(np.intp(part), parts, y.size)
        source, target = y[first:last], dout[first:last]
        total = 0.0
        for i in range(source.size):
            target[i] = source[i]
            total += np.float64(source[i]) * np.float64(source[i])
        sums[part] = total
