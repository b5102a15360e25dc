"""Which algorithm computes a convolution: a pure function of shapes and dtype, the size of the batch among them.

So one layer on one shape always gives the same bits, but an image may round differently in another batch size.
"""

from __future__ import annotations

import functools

import numpy as np

from ..geometry import Window
from .contract import Shape
from .cook_toom import MOST_POINTS, Tile, cook_toom

ALGORITHMS = ("auto", "gemm", "winograd")

# The cost model counts in multiply-adds of Winograd's matrix products. Measured on two AVX-512 cores (Zen 4) with the
# layers of "tf2015" at batch 128, each stage of kernels/cpu/winograd.py by itself.
TRANSFORMED_NUMBER = 40
"""Cost of one number of V, M or U: written by one stage, read by the next."""

GEMM_MULTIPLY_ADD = 1.15
"""Cost of one multiply-add of im2col and matrix product, the copying included."""

FILTER_BLOCK = 64
"""Winograd's products take filters by so many at a time."""


def check_algorithm(algorithm: str) -> None:
    """ValueError where ``algorithm`` is not one of ALGORITHMS."""
    if algorithm not in ALGORITHMS:
        raise ValueError(f"algorithm is {algorithm!r}, but must be one of {', '.join(map(repr, ALGORITHMS))}")


def winograd_tile(algorithm: str, x_shape: Shape, w_shape: Shape, window: Window, dtype: np.dtype) -> Tile | None:
    """The tile to compute one group with by Winograd, or None for gemm.

    ``"auto"`` takes Winograd where the cost model says that it is faster, and only in float32: float64 is for checking,
    and gemm rounds less. Up to MOST_POINTS points the relative L2 error stays below 2e-5; no tile has more.

    Shapes
        x_shape (N, H, W, C) and w_shape (KH, KW, C, F) of one group.
    Errors
        ValueError where ``algorithm`` is not one of ALGORITHMS, or is "winograd" and the filter has more taps, counted
        in strides, than there are points.
    """
    check_algorithm(algorithm)
    if algorithm == "gemm" or (algorithm == "auto" and dtype != np.float32):
        return None
    tile, cost = _best_tile(x_shape, w_shape, window)
    if algorithm == "winograd":
        if tile is None:
            raise ValueError(
                f"algorithm is 'winograd', but that allows a kernel_size of at most {MOST_POINTS} strides, and "
                f"{window.kernel} with stride {window.stride} is more"
            )
        return tile
    out_h, out_w = window.output_size((x_shape[1], x_shape[2]))
    return tile if cost < GEMM_MULTIPLY_ADD * x_shape[0] * out_h * out_w * np.prod(w_shape, dtype=float) else None


@functools.cache
def _best_tile(x_shape: Shape, w_shape: Shape, window: Window) -> tuple[Tile | None, float]:
    """The cheapest tile and its cost."""
    n, height, width, channels = x_shape
    (stride_h, stride_w), (kernel_h, kernel_w) = window.stride, window.kernel
    r_h, r_w = -(-kernel_h // stride_h), -(-kernel_w // stride_w)
    depth = stride_h * stride_w * channels
    filters = -(-w_shape[3] // FILTER_BLOCK) * FILTER_BLOCK
    best: tuple[Tile | None, float] = None, float("inf")
    for m_h in range(1, MOST_POINTS - r_h + 2):
        for m_w in range(1, MOST_POINTS - r_w + 2):
            # Where there is one tap there is nothing to gain, and a tile is a pixel.
            if (r_h == 1 and m_h > 1) or (r_w == 1 and m_w > 1):
                continue
            tile = Tile(cook_toom(m_h, r_h), cook_toom(m_w, r_w))
            size = window.output_size((height, width))
            # A transform gains nothing from smaller tiles: each size is a run of its own, and short runs are slow.
            tiles_h, tiles_w = tile.counts(size)
            transformed = tile.points * (n * tiles_h * tiles_w * (depth + filters) + depth * filters)
            cost = n * tile.points_of(size) * depth * filters + TRANSFORMED_NUMBER * transformed
            if cost < best[1]:
                best = tile, float(cost)
    return best
