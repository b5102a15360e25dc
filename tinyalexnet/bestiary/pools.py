"""Small arrays of integers for cases, and random geometries."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..geometry import Pads, Pair, Window

REFERENCE = "reference"
"""The backend of every right answer: it compiles nothing."""

LARGEST = 4
"""The arrays hold integers from -4 to 4: every sum of their products is exact, in any order."""


def integers(seed: int, *shape: int) -> np.ndarray:
    """Integers from -4 to 4 as float64, the same for the same seed.

    From a generator of its own: the streams of NumPy's may change with its version, and the cases are chosen.
    """
    values = []
    for _ in range(math.prod(shape)):
        seed = (1103515245 * seed + 12345) % 2**31
        values.append((seed >> 16) % (2 * LARGEST + 1) - LARGEST)
    return np.array(values, np.float64).reshape(shape)


def drawn(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Random integers from -4 to 4 as float64."""
    return rng.integers(-LARGEST, LARGEST + 1, shape).astype(np.float64)


def array(*rows: Any) -> np.ndarray:
    """A float64 array from its rows."""
    return np.array(rows, np.float64)


def image(*rows: Any) -> np.ndarray:
    """One image of one channel, (1, H, W, 1), from its rows."""
    return np.array(rows, np.float64)[np.newaxis, :, :, np.newaxis]


def draw_window(
    rng: np.random.Generator, most: int = 5, pads_below_kernel: bool = False
) -> tuple[Pair, Pair, Pair, Pads]:
    """Random size, kernel, stride and pads that fit together."""
    size = int(rng.integers(1, most + 1)), int(rng.integers(1, most + 1))
    kernel = int(rng.integers(1, min(size[0], 3) + 1)), int(rng.integers(1, min(size[1], 3) + 1))
    stride = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    limits = [k - 1 if pads_below_kernel else 2 for k in kernel]
    top, bottom = (int(rng.integers(0, limits[0] + 1)) for _ in range(2))
    left, right = (int(rng.integers(0, limits[1] + 1)) for _ in range(2))
    return size, kernel, stride, ((top, bottom), (left, right))


def out_size(size: tuple[int, ...], kernel: tuple[int, ...], stride: Pair, pads: Pads) -> Pair:
    """(OH, OW) of a window, for the (H, W) of an image and (KH, KW)."""
    return Window((kernel[0], kernel[1]), stride, pads).output_size((size[0], size[1]))
