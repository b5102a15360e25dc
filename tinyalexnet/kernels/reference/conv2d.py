"""The convolution and its two adjoints, written as a sum over the positions of the kernel.

At one kernel position (kh, kw) a convolution is a matrix product: every pixel that the position meets, times the
filters there. The forward adds these products up. Both backwards are the same loop with the product transposed.
"""

from __future__ import annotations

import numpy as np

from ...geometry import Window
from ..algorithm import winograd_tile
from ..contract import (
    by_groups,
    check_conv2d_backward_input,
    check_conv2d_backward_params,
    check_conv2d_forward,
    group_shapes,
    group_slices,
)
from ..cook_toom import Tile
from . import winograd
from .padding import padded_zeros


def conv2d_forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, window: Window, groups: int = 1, algorithm: str = "auto"
) -> np.ndarray:
    """Convolution of a batch of images with a bank of filters, plus a bias per filter.

    Math
        out[n,oh,ow,f] = b[f] + Σ_{kh,kw,c} x[n,h,i,c] w[kh,kw,c,f]

        with h = oh*stride_h + kh - pad_top and i = ow*stride_w + kw - pad_left, and x = 0 outside the image. The kernel
        is not flipped: as in every deep-learning library, "convolution" means cross-correlation. With ``groups`` > 1,
        channels and filters are cut into that many runs, in order, and each run of filters sees its own run of
        channels only.

        With ``algorithm="winograd"`` the same numbers, up to rounding, come from ``reference/winograd.py``; otherwise
        they are computed as written here.
    Shapes
        x (N, H, W, C), w (KH, KW, C / groups, F), b (F,) -> out (N, OH, OW, F), of x's dtype.
    Errors
        TypeError where an array is not float32 or float64, or the dtypes differ. ValueError where a rank, a size or
        the number of channels does not fit, the output would have size 0, or ``algorithm`` is none of "auto", "gemm"
        and "winograd".
    Cost
        N OH OW F KH KW C / groups multiply-adds.
    Source
        LeCun et al., "Gradient-based learning applied to document recognition", 1998, section II.A; groups:
        Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", 2012, section 3.2.
        Derivation in docs/convolution.md.
    """
    out_shape = check_conv2d_forward(x, w, b, window, groups)
    tile = _tile(algorithm, x.shape, w.shape[3], window, groups)
    if tile is not None:
        return by_groups(
            lambda channels, filters: winograd.forward(x[..., channels], w[..., filters], b[filters], window, tile),
            x.shape[3],
            w.shape[3],
            groups,
        )
    padded = _pad(x, window)
    out = np.empty(out_shape, x.dtype)
    out[...] = b
    for channels, filters in group_slices(x.shape[3], w.shape[3], groups):
        for kh, kw, rows, columns in window.positions(out_shape[1:3]):
            out[..., filters] += padded[:, rows, columns, channels] @ w[kh, kw, :, filters]
    return out


def conv2d_backward_input(
    dout: np.ndarray,
    w: np.ndarray,
    x_shape: tuple[int, ...],
    window: Window,
    groups: int = 1,
    algorithm: str = "auto",
) -> np.ndarray:
    """Gradient with respect to the images: every output hands its gradient back to the pixels it was made of.

    Math
        dx[n,h,i,c] = Σ dout[n,oh,ow,f] w[kh,kw,c,f]

        over f, and over all kh, kw, oh, ow with oh*stride_h + kh - pad_top = h and ow*stride_w + kw - pad_left = i.
    Shapes
        dout (N, OH, OW, F), w (KH, KW, C / groups, F), x_shape (N, H, W, C) -> dx (N, H, W, C), of dout's dtype.
    Errors
        As ``conv2d_forward``; ValueError where dout does not have the forward's output shape.
    Cost
        N OH OW F KH KW C / groups multiply-adds, as the forward.
    Source
        The adjoint of ``conv2d_forward`` in x; docs/convolution.md.
    """
    check_conv2d_backward_input(dout, w, x_shape, window, groups)
    tile = _tile(algorithm, x_shape, w.shape[3], window, groups)
    if tile is not None:
        group_shape, _ = group_shapes(x_shape, w.shape[3], window, groups)
        return by_groups(
            lambda _, filters: winograd.backward_input(dout[..., filters], w[..., filters], group_shape, window, tile),
            x_shape[3],
            w.shape[3],
            groups,
        )
    dx, padded = padded_zeros(x_shape, window, dout.dtype)
    for channels, filters in group_slices(x_shape[3], w.shape[3], groups):
        for kh, kw, rows, columns in window.positions(dout.shape[1:3]):
            # Forward: out += pixels @ w. The pixels' gradient is dout times w transposed; windows overlap, so it adds.
            padded[:, rows, columns, channels] += dout[..., filters] @ w[kh, kw, :, filters].T
    return np.ascontiguousarray(dx)


def conv2d_backward_params(
    dout: np.ndarray, x: np.ndarray, window: Window, groups: int = 1, algorithm: str = "auto"
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients with respect to the filters and the bias: both were used at every output, so both are sums over it.

    Math
        dw[kh,kw,c,f] = Σ_{n,oh,ow} x[n,h,i,c] dout[n,oh,ow,f]   with h and i as in the forward

        db[f] = Σ_{n,oh,ow} dout[n,oh,ow,f]
    Shapes
        dout (N, OH, OW, F), x (N, H, W, C) -> dw (KH, KW, C / groups, F) and db (F,), of x's dtype.
    Errors
        As ``conv2d_forward``; ValueError where dout does not have the forward's output shape.
    Cost
        N OH OW F KH KW C / groups multiply-adds, as the forward.
    Source
        The adjoint of ``conv2d_forward`` in w and b; docs/convolution.md.
    """
    check_conv2d_backward_params(dout, x, window, groups)
    tile = _tile(algorithm, x.shape, dout.shape[3], window, groups)
    if tile is not None:
        dw = by_groups(
            lambda channels, filters: winograd.backward_params(dout[..., filters], x[..., channels], window, tile)[0],
            x.shape[3],
            dout.shape[3],
            groups,
        )
        return dw, dout.sum(axis=(0, 1, 2))
    channels_total, filters_total = x.shape[3], dout.shape[3]
    padded = _pad(x, window)
    dw = np.empty((*window.kernel, channels_total // groups, filters_total), x.dtype)
    for channels, filters in group_slices(channels_total, filters_total, groups):
        for kh, kw, rows, columns in window.positions(dout.shape[1:3]):
            # Forward: out += pixels @ w. The filters' gradient is the pixels transposed times dout, over all images.
            pixels = padded[:, rows, columns, channels]
            dw[kh, kw, :, filters] = np.tensordot(pixels, dout[..., filters], axes=((0, 1, 2), (0, 1, 2)))
    return dw, dout.sum(axis=(0, 1, 2))


def _pad(x: np.ndarray, window: Window) -> np.ndarray:
    inner, padded = padded_zeros(x.shape, window, x.dtype)
    inner[...] = x
    return padded


def _tile(algorithm: str, x_shape: tuple[int, ...], filters: int, window: Window, groups: int) -> Tile | None:
    """A tile where Winograd is asked for by name; the choice by speed is no matter of the reference."""
    asked = "gemm" if algorithm == "auto" else algorithm
    return winograd_tile(asked, *group_shapes(x_shape, filters, window, groups), window, np.dtype(np.float64))
