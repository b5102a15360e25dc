"""Random bits as a function of an index and a seed: any thread can draw any of them, on any machine."""

from typing import TypeVar

Integers = TypeVar("Integers")

MASK = 0xFFFFFFFF
MULTIPLIER = 0xD256D193
INCREMENT = 0x9E3779B9
ROUNDS = 10


def philox(index: Integers, seed: int) -> Integers:
    """32 random bits, as an integer from 0 to 2^32 - 1.

    Its operations mean the same for Python's integers, NumPy's arrays of int64 and both of Numba's compilers: a product
    that does not fit 64 bits loses its upper bits, and each shift is followed by a mask.

    Math
        A pair (l, r) of 32 bits each, which begins as (index mod 2^32, seed / 2^32), is mixed ROUNDS times:
        l, r <- upper(MULTIPLIER l) xor key xor r, lower(MULTIPLIER l), the halves of a product of 64 bits, and
        key <- key + INCREMENT, which begins as seed mod 2^32. The result is l.
    Source
        Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011: Philox-2x32-10. Indices
        that are 2^32 apart have the same bits.
    """
    left, right, key = index & MASK, seed >> 32, seed & MASK  # type: ignore[operator]
    for _ in range(ROUNDS):
        product = left * MULTIPLIER
        left, right = ((product >> 32) & MASK) ^ key ^ right, product & MASK
        key = (key + INCREMENT) & MASK
    return left  # type: ignore[return-value]
