"""Matrix products of a warp on a tensor core: mma.sync, as an emulated GPU computes it.

Products are exact. Their sum with the accumulator is exact too and then cut off to float32, as tensor cores do it;
hardware cuts each of the terms at some bits more, which nobody documents.
"""

from __future__ import annotations

import numpy as np

WARP = 32
LOW_BITS = np.uint32(0x1FFF)
"""The bits of a float32 that TF32 does not have."""


def cut_off(bits: np.ndarray) -> np.ndarray:
    """A float32, given by its bits, without those that a tensor core ignores."""
    return (bits.view(np.uint32) & ~LOW_BITS).view(np.float32)


def rounded(values: np.ndarray) -> np.ndarray:
    """cvt.rna.tf32.f32: to the nearest number of TF32, halves away from 0; NaN stays NaN."""
    values = np.asarray(values, np.float32)
    up = (values.view(np.uint32) + np.uint32(0x1000)) & ~LOW_BITS
    return np.where(np.isfinite(values), up.view(np.float32), values).astype(np.float32)


def towards_zero(exact: np.ndarray) -> np.ndarray:
    """To float32."""
    nearest = exact.astype(np.float32)
    too_large = np.isfinite(nearest) & (np.abs(nearest.astype(np.float64)) > np.abs(exact))
    return np.where(too_large, np.nextafter(nearest, np.float32(0)), nearest)


def matrix_product(a: list[np.ndarray], b: list[np.ndarray], c: list[np.ndarray]) -> list[np.ndarray]:
    """A B + C by whole warps, m16n8k8: the registers of all their threads, as the instruction has them."""
    warps = a[0].size // WARP
    g, t = np.arange(WARP) // 4, np.arange(WARP) % 4
    left, right, total = (np.zeros((warps, *shape), np.float64) for shape in ((16, 8), (8, 8), (16, 8)))
    places = [(g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4)]
    sums = [(g, 2 * t), (g, 2 * t + 1), (g + 8, 2 * t), (g + 8, 2 * t + 1)]
    for (row, column), register in zip(places, a, strict=True):
        left[:, row, column] = cut_off(register).reshape(warps, WARP)
    for row, register in zip((t, t + 4), b, strict=True):
        right[:, row, g] = cut_off(register).reshape(warps, WARP)
    for (row, column), register in zip(sums, c, strict=True):
        total[:, row, column] = register.reshape(warps, WARP)
    result = towards_zero(left @ right + total)
    return [result[:, row, column].ravel() for row, column in sums]
