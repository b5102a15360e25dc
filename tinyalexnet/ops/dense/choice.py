"""On "cpu", which products of the dense layer go through copies in panels (``cpu_panels``): those of many vectors."""

MANY = {"out": 48, "dx": 16, "dw": 32}
"""From so many vectors on, by what is computed, the copies pay. Of fewer, products are cut until OpenBLAS copies
nothing: that would take most of the time."""

MANY_WEIGHTS = 1 << 17
"""Fewer, 512 KB, stay in a cache of the core, and OpenBLAS's copies of them cost little."""


def has_many(result: str, n: int, weights: int) -> bool:
    """If n vectors are many for it. Of few weights the copies are most of the work.

    Then each of them is computed by itself: it has the same bits among any number of others that are many.
    """
    return n >= MANY[result] and weights >= MANY_WEIGHTS
