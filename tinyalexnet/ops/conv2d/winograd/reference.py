"""Winograd's convolution and its adjoints in NumPy, one line for one step; docs/winograd.md derives them.

    forward           V = Bᵀ x B     U = G w Gᵀ      M = V U        out = Aᵀ M A
    backward_input                   dM = A dout Aᵀ  dV = dM Uᵀ     dx = B dV Bᵀ
    backward_params                  dM = A dout Aᵀ  dU = Vᵀ dM     dw = Gᵀ dU G

for every tile, with one matrix product for each of a tile's points: tile.points multiplications in place of m² r². A
convolution with a stride is one without, over blocks of pixels: ``blocks.py``.
"""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ....geometry import Window
from ..groups import by_groups
from .blocks import filters_from_blocks, filters_to_blocks
from .matrices import Tile


def conv2d_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, window: Window, groups: int, tile: Tile) -> np.ndarray:
    def of_group(channels: slice, filters: slice) -> np.ndarray:
        return _forward(x[..., channels], w[..., filters], b[filters], window, tile)

    return by_groups(of_group, x.shape[3], w.shape[3], groups)


def conv2d_backward_input(
    dout: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], window: Window, groups: int, tile: Tile
) -> np.ndarray:
    group_shape = *x_shape[:3], x_shape[3] // groups

    def of_group(_: slice, filters: slice) -> np.ndarray:
        return _backward_input(dout[..., filters], w[..., filters], group_shape, window, tile)

    return by_groups(of_group, x_shape[3], w.shape[3], groups)


def conv2d_backward_params(
    dout: np.ndarray, x: np.ndarray, window: Window, groups: int, tile: Tile
) -> tuple[np.ndarray, np.ndarray]:
    def of_group(channels: slice, filters: slice) -> np.ndarray:
        return _backward_filters(dout[..., filters], x[..., channels], window, tile)

    return by_groups(of_group, x.shape[3], dout.shape[3], groups), dout.sum(axis=(0, 1, 2))


def _forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, window: Window, tile: Tile) -> np.ndarray:
    """out = Aᵀ [ (G w Gᵀ) ⊙ (Bᵀ x B) ] A for each tile, summed over the channels between the brackets."""
    out_h, out_w = window.output_size(x.shape[1:3])
    m = _transform_images(x, window, tile) @ _transform_filters(w, window, tile)
    n, (tiles_h, tiles_w) = x.shape[0], tile.counts((out_h, out_w))
    tiles = m.reshape(*tile.n, n, tiles_h, tiles_w, -1)
    out = _einsum("ia,jb,abntuf->ntiujf", *tile.at(x.dtype), tiles) + b
    return np.ascontiguousarray(out.reshape(n, tiles_h * tile.m[0], tiles_w * tile.m[1], -1)[:, :out_h, :out_w])


def _backward_input(
    dout: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], window: Window, tile: Tile
) -> np.ndarray:
    """dx = Σ_tiles B [ (A dout Aᵀ) (G w Gᵀ)ᵀ ] Bᵀ. Tiles overlap in x, so here they add."""
    u = _transform_filters(w, window, tile)
    dv = _transform_gradient(dout, tile) @ u.swapaxes(1, 2)
    n, (tiles_h, tiles_w) = x_shape[0], tile.counts(dout.shape[1:3])
    tiles = dv.reshape(*tile.n, n, tiles_h, tiles_w, -1)
    dx_tiles = _einsum("ai,bj,abntuc->ntuijc", *tile.bt(dout.dtype), tiles)
    padded = np.zeros(_padded_blocks(dx_tiles.shape, tile), dout.dtype)
    for t in range(tiles_h):
        for s in range(tiles_w):
            top, left = t * tile.m[0], s * tile.m[1]
            padded[:, top : top + tile.n[0], left : left + tile.n[1]] += dx_tiles[:, t, s]
    return _from_blocks(padded, x_shape, window)


def _backward_filters(dout: np.ndarray, x: np.ndarray, window: Window, tile: Tile) -> np.ndarray:
    """dw = Gᵀ [ Σ_tiles (Bᵀ x B)ᵀ (A dout Aᵀ) ] G."""
    du = _transform_images(x, window, tile).swapaxes(1, 2) @ _transform_gradient(dout, tile)
    g_h, g_w = tile.g(x.dtype)
    dw = _einsum("ai,bj,abcf->ijcf", g_h, g_w, du.reshape(*tile.n, *du.shape[1:]))
    return filters_from_blocks(dw, window)


def _einsum(subscripts: str, *operands: np.ndarray) -> np.ndarray:
    """``np.einsum`` in the order of fewest operations, made contiguous: its own result has its axes in any order."""
    result: Any = np.einsum(subscripts, *operands, optimize=True)
    return np.ascontiguousarray(result)


def _transform_images(x: np.ndarray, window: Window, tile: Tile) -> np.ndarray:
    """V = Bᵀ x B as (points, tiles, C)."""
    (n, height, width, channels), (stride_h, stride_w) = x.shape, window.stride
    top, left = window.before((height, width))
    tiles_h, tiles_w = tile.counts(window.output_size((height, width)))
    blocks_h, blocks_w = (count * m + r - 1 for count, m, r in zip((tiles_h, tiles_w), tile.m, tile.r, strict=True))
    padded = np.zeros(
        (n, max(blocks_h * stride_h, top + height), max(blocks_w * stride_w, left + width), channels), x.dtype
    )
    padded[:, top : top + height, left : left + width] = x
    blocks = padded[:, : blocks_h * stride_h, : blocks_w * stride_w]
    blocks = blocks.reshape(n, blocks_h, stride_h, blocks_w, stride_w, channels).transpose(0, 1, 3, 2, 4, 5)
    blocks = blocks.reshape(n, blocks_h, blocks_w, -1)
    tiles = sliding_window_view(blocks, tile.n, axis=(1, 2))[:, :: tile.m[0], :: tile.m[1]]
    v = _einsum("ai,bj,ntucij->abntuc", *tile.bt(x.dtype), tiles)
    return v.reshape(tile.points, -1, blocks.shape[3])


def _transform_filters(w: np.ndarray, window: Window, tile: Tile) -> np.ndarray:
    """U = G w Gᵀ as (points, C, F)."""
    blocks = filters_to_blocks(w, window.stride)
    u = _einsum("ai,bj,ijcf->abcf", *tile.g(w.dtype), blocks)
    return u.reshape(tile.points, *blocks.shape[2:])


def _transform_gradient(dout: np.ndarray, tile: Tile) -> np.ndarray:
    """dM = A dout Aᵀ as (points, tiles, F): the adjoint of out = Aᵀ M A."""
    n, out_h, out_w, filters = dout.shape
    tiles_h, tiles_w = tile.counts((out_h, out_w))
    padded = np.zeros((n, tiles_h * tile.m[0], tiles_w * tile.m[1], filters), dout.dtype)
    padded[:, :out_h, :out_w] = dout
    tiles = padded.reshape(n, tiles_h, tile.m[0], tiles_w, tile.m[1], filters)
    dm = _einsum("ia,jb,ntiujf->abntuf", *tile.at(dout.dtype), tiles)
    return dm.reshape(tile.points, -1, filters)


def _padded_blocks(tiles_shape: tuple[int, ...], tile: Tile) -> tuple[int, ...]:
    n, tiles_h, tiles_w, _, _, channels = tiles_shape
    return n, tiles_h * tile.m[0] + tile.r[0] - 1, tiles_w * tile.m[1] + tile.r[1] - 1, channels


def _from_blocks(blocks: np.ndarray, x_shape: tuple[int, ...], window: Window) -> np.ndarray:
    """The images of ``x_shape`` from their padded blocks of pixels."""
    (n, height, width, channels), (stride_h, stride_w) = x_shape, window.stride
    top, left = window.before((height, width))
    split = blocks.reshape(*blocks.shape[:3], stride_h, stride_w, channels).transpose(0, 1, 3, 2, 4, 5)
    padded = split.reshape(n, blocks.shape[1] * stride_h, blocks.shape[2] * stride_w, channels)
    dx = np.zeros(x_shape, blocks.dtype)
    inside = padded[:, top : top + height, left : left + width]
    # No window reads the pixels past the last block: they have no gradient.
    dx[:, : inside.shape[1], : inside.shape[2]] = inside
    return dx
