"""The slices of the inputs of a dense layer, whose partial sums are the forward."""

from ...devices.cpu.compiler import inner

SLICES = 16
"""Slices of the inputs, whatever the number of threads: so every rounding is the same on any."""


@inner
def add_slices(b, sums, n, total):  # type: ignore[no-untyped-def]
    """total = b + the partial sums of vector n, added in the order of the slices."""
    for f in range(total.size):
        total[f] = b[f]
    for index in range(sums.shape[0]):
        terms = sums[index, n]
        for f in range(total.size):
            total[f] += terms[f]
