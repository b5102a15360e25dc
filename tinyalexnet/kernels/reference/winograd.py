"""Winograd's convolution and its adjoints as linear algebra, one line for one step; docs/winograd.md derives them.

    forward           V = Bᵀ x B     U = G w Gᵀ      M = V U        out = Aᵀ M A
    backward_input                   dM = A dout Aᵀ  dV = dM Uᵀ     dx = B dV Bᵀ
    backward_params                  dM = A dout Aᵀ  dU = Vᵀ dM     dw = Gᵀ dU G

for every tile, with one product of matrices for each of a tile's points. A convolution with a stride is one without,
over blocks of stride_h x stride_w pixels taken as one pixel with more channels: "space to depth".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ...geometry import Pair, Window
from ..cook_toom import Tile


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, window: Window, tile: Tile) -> np.ndarray:
    """out, as ``conv2d_forward`` for one group, but with tile.points multiplications where that has m² r².

    Math
        out = Aᵀ [ (G w Gᵀ) ⊙ (Bᵀ x B) ] A for each tile, summed over the channels between the brackets.
    Cost
        tiles · points · C · F multiply-adds, and the transforms.
    Source
        Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016.
    """
    out_h, out_w = window.output_size(x.shape[1:3])
    m = _transform_images(x, window, tile) @ _transform_filters(w, window, tile)
    n, (tiles_h, tiles_w) = x.shape[0], tile.counts((out_h, out_w))
    tiles = m.reshape(*tile.n, n, tiles_h, tiles_w, -1)
    out = _einsum("ia,jb,abntuf->ntiujf", *tile.at(x.dtype), tiles) + b
    return np.ascontiguousarray(out.reshape(n, tiles_h * tile.m[0], tiles_w * tile.m[1], -1)[:, :out_h, :out_w])


def backward_input(dout: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], window: Window, tile: Tile) -> np.ndarray:
    """dx, as ``conv2d_backward_input`` for one group: the forward's steps transposed, last to first.

    Math
        dx = Σ_tiles B [ (A dout Aᵀ) (G w Gᵀ)ᵀ ] Bᵀ. Tiles overlap in what they read of x, so here they add.
    Source
        The adjoint of ``forward`` in x.
    """
    u = _transform_filters(w, window, tile)
    dv = _transform_gradient(dout, tile) @ u.swapaxes(1, 2)
    n, (tiles_h, tiles_w) = x_shape[0], tile.counts(dout.shape[1:3])
    tiles = dv.reshape(*tile.n, n, tiles_h, tiles_w, -1)
    dx_tiles = _einsum("ai,bj,abntuc->ntuijc", *tile.bt(dout.dtype), tiles)
    padded = np.zeros(_padded_blocks(dx_tiles.shape, tile), dout.dtype)
    for t in range(tiles_h):
        for u_ in range(tiles_w):
            top, left = t * tile.m[0], u_ * tile.m[1]
            padded[:, top : top + tile.n[0], left : left + tile.n[1]] += dx_tiles[:, t, u_]
    return _from_blocks(padded, x_shape, window)


def backward_params(dout: np.ndarray, x: np.ndarray, window: Window, tile: Tile) -> tuple[np.ndarray, np.ndarray]:
    """dw and db, as ``conv2d_backward_params`` for one group.

    Math
        dw = Gᵀ [ Σ_tiles (Bᵀ x B)ᵀ (A dout Aᵀ) ] G, and db = Σ dout.
    Source
        The adjoint of ``forward`` in w and b.
    """
    du = _transform_images(x, window, tile).swapaxes(1, 2) @ _transform_gradient(dout, tile)
    g_h, g_w = tile.g(x.dtype)
    dw = _einsum("ai,bj,abcf->ijcf", g_h, g_w, du.reshape(*tile.n, *du.shape[1:]))
    return filters_from_blocks(dw, window), dout.sum(axis=(0, 1, 2))


def _einsum(subscripts: str, *operands: np.ndarray) -> np.ndarray:
    """``np.einsum`` in the order of fewest operations, contiguous: its own result has its axes in any order."""
    result: Any = np.einsum(subscripts, *operands, optimize=True)
    return np.ascontiguousarray(result)


def filters_to_blocks(w: np.ndarray, stride: Pair) -> np.ndarray:
    """The filters over blocks of pixels: (KH, KW, C, F) -> (r_h, r_w, stride_h stride_w C, F), r = ceil(K / stride).

    The taps past the kernel are 0.
    """
    if stride == (1, 1):
        return w
    (kernel_h, kernel_w, channels, filters), (stride_h, stride_w) = w.shape, stride
    r_h, r_w = -(-kernel_h // stride_h), -(-kernel_w // stride_w)
    whole = np.zeros((r_h * stride_h, r_w * stride_w, channels, filters), w.dtype)
    whole[:kernel_h, :kernel_w] = w
    split = whole.reshape(r_h, stride_h, r_w, stride_w, channels, filters)
    return split.transpose(0, 2, 1, 3, 4, 5).reshape(r_h, r_w, -1, filters)


def filters_from_blocks(dw: np.ndarray, window: Window) -> np.ndarray:
    """The adjoint of ``filters_to_blocks``: (r_h, r_w, stride_h stride_w C, F) -> (KH, KW, C, F), contiguous."""
    (r_h, r_w, _, filters), (stride_h, stride_w) = dw.shape, window.stride
    split = dw.reshape(r_h, r_w, stride_h, stride_w, -1, filters).transpose(0, 2, 1, 3, 4, 5)
    whole = split.reshape(r_h * stride_h, r_w * stride_w, -1, filters)
    return np.ascontiguousarray(whole[: window.kernel[0], : window.kernel[1]])


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
    """The images of ``x_shape`` that padded blocks of pixels were made from."""
    (n, height, width, channels), (stride_h, stride_w) = x_shape, window.stride
    top, left = window.before((height, width))
    split = blocks.reshape(*blocks.shape[:3], stride_h, stride_w, channels).transpose(0, 1, 3, 2, 4, 5)
    padded = split.reshape(n, blocks.shape[1] * stride_h, blocks.shape[2] * stride_w, channels)
    dx = np.zeros(x_shape, blocks.dtype)
    inside = padded[:, top : top + height, left : left + width]
    # Pixels past the last block are read by no window and have no gradient.
    dx[:, : inside.shape[1], : inside.shape[2]] = inside
    return dx
