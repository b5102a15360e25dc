"""Half the sum of squares, compiled."""

import numba
import numpy as np

from ...devices.cpu.compiler import parallel, slice_bounds
from ...devices.cpu.memory import empty

PARTIAL_SUMS = 64
"""Partial sums, whatever the number of threads: so the rounding does not depend on it."""


def l2_loss(y: np.ndarray) -> tuple[float, np.ndarray]:
    """Schedule: parallel over slices, each copied and squared in one pass; the partial sums are added in order."""
    dout, sums = empty(y.shape, y.dtype), np.empty(PARTIAL_SUMS)
    _squares(np.ascontiguousarray(y).reshape(-1), dout.reshape(-1), sums)
    return 0.5 * float(sums.sum()), dout


@parallel
def _squares(y, dout, sums):  # type: ignore[no-untyped-def]
    slices = sums.size
    for index in numba.prange(slices):
        first, last = slice_bounds(np.intp(index), slices, y.size)
        source, target = y[first:last], dout[first:last]
        total = 0.0
        for i in range(source.size):
            target[i] = source[i]
            total += np.float64(source[i]) * np.float64(source[i])
        sums[index] = total
