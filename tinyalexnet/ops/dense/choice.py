"""On "cpu", which products of the dense layer go through copies in panels (``cpu_panels``): those of many vectors."""

MANY = {"out": 48, "dx": 16, "dw": 48}
"""From so many vectors on, by what is computed, the copies pay. Of fewer they would take most of the time."""

MANY_WEIGHTS = {"out": 1 << 17, "dx": 0, "dw": 1 << 17}
"""And from so many weights on: fewer, 512 KB, stay in a cache of the core as they are. For dx only dout is copied."""


def has_many(result: str, n: int, weights: int) -> bool:
    """If n vectors are many for it.

    A vector's dx has the same bits among any number of others that are many; its out, among any number.
    """
    return n >= MANY[result] and weights >= MANY_WEIGHTS[result]
