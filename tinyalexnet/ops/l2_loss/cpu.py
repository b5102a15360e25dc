"""Half the sum of squares, compiled."""

import numba
import numpy as np

from ...devices.cpu.compiler import slice_bounds, streaming
from ...devices.cpu.memory import empty
from ...devices.cpu.recording import contiguous

SLICES = 64
"""Slices of the elements, whatever the number of threads: so the rounding does not depend on it."""

LANES = 64
"""Partial sums of a slice, side by side: one vector instruction adds to many, and none waits for the one before."""


def l2_loss(y: np.ndarray) -> tuple[float, np.ndarray]:
    """Schedule: parallel over slices, each copied and squared in one pass; the partial sums are added in order."""
    dout, sums = empty(y.shape, y.dtype), np.zeros((SLICES, LANES))
    _squares(contiguous(y).reshape(-1), dout.reshape(-1), sums)
    return 0.5 * float(sums.sum()), dout


@streaming
def _squares(y, dout, sums):  # type: ignore[no-untyped-def]
    slices, lanes = sums.shape
    for index in numba.prange(slices):
        first, last = slice_bounds(np.intp(index), slices, y.size)
        partial = sums[index]
        for start in range(first, last, lanes):
            source, target = y[start : min(start + lanes, last)], dout[start : min(start + lanes, last)]
            for k in range(source.size):
                target[k] = source[k]
                partial[k] += np.float64(source[k]) * np.float64(source[k])
