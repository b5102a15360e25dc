"""The update, compiled."""

import math
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np

from ...devices.cpu.addresses import address_of, elements_at
from ...devices.cpu.compiler import inner, slice_bounds, streaming
from ...devices.cpu.threads import call_for

SLICES = 64
"""Slices of all elements, whichever parameter they are of, that threads take one after the other."""


def momentum_steps(moves: Sequence[Any], loss: float | None) -> None:
    """Schedule: parallel over SLICES slices of the elements of all parameters, of each dtype; each element is read and
    written once. One parallel region for each parameter would cost more than a small parameter itself."""
    if loss is not None and not math.isfinite(loss):
        return
    for dtype in {move.w.dtype for move in moves}:
        addresses: list[int] = []
        factors: list[float] = []
        ends = [0]
        kept = []  # a copy of a gradient must last until all is done
        for w, v, dw, *numbers in moves:
            if w.size and w.dtype == dtype:
                kept.append(np.ascontiguousarray(dw))
                addresses += address_of(w), address_of(v), address_of(kept[-1])
                factors += numbers
                ends.append(ends[-1] + w.size)
        tables = np.array(ends, np.intp), np.array(addresses, np.intp), np.array(factors, dtype)
        call_for(3 * dtype.itemsize * ends[-1], _step, *tables)


@streaming
def _step(ends, addresses, factors):  # type: ignore[no-untyped-def]
    for index in numba.prange(SLICES):
        first, last = slice_bounds(np.intp(index), SLICES, ends[-1])
        for k in range(ends.size - 1):
            begin, end = max(first, ends[k]), min(last, ends[k + 1])
            if begin < end:
                before = factors.itemsize * (begin - ends[k])
                w = elements_at(addresses[3 * k] + before, end - begin, factors)
                v = elements_at(addresses[3 * k + 1] + before, end - begin, factors)
                dw = elements_at(addresses[3 * k + 2] + before, end - begin, factors)
                _move(w, v, dw, factors[3 * k], factors[3 * k + 1], factors[3 * k + 2])


@inner
def _move(w, v, dw, rate, momentum, decay):  # type: ignore[no-untyped-def]
    for i in range(w.size):
        v[i] = momentum * v[i] - rate * (decay * w[i] + dw[i])
        w[i] += v[i]
