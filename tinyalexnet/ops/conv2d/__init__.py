"""The convolution and its two adjoints.

Derivation: docs/conv2d.md, by Winograd's algorithm docs/winograd.md. Tests: tests/ops/test_conv2d.py and
tests/ops/test_winograd.py.
"""

import functools
from typing import Any

import numpy as np

from ...devices import device
from ...geometry import Window
from ..checks import ImagesShape, Shape, check_floats, check_shape, images_shape
from ..dispatch import code
from . import winograd
from .winograd.choice import choose_tile
from .winograd.matrices import Tile


def conv2d_forward(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray,
    window: Window,
    groups: int = 1,
    algorithm: str = "auto",
    backend: str = "cpu",
    *,
    precision: str = "float32",
) -> np.ndarray:
    """Convolution of a batch of images with a bank of filters, plus a bias per filter.

    Math
        out[n,oh,ow,f] = b[f] + Σ_{kh,kw,c} x[n,h,i,c] w[kh,kw,c,f]

        with h = oh*stride_h + kh - pad_top and i = ow*stride_w + kw - pad_left, and x = 0 outside the image. The kernel
        is not flipped: as in every deep-learning library, "convolution" means cross-correlation. With ``groups`` > 1,
        channels and filters are cut into that many slices, in order, and each slice of filters sees its own slice of
        channels only.

        With ``algorithm="winograd"`` the same elements, up to rounding, come from ``ops/conv2d/winograd``; beyond 1e36
        it may overflow where this sum does not, and NaN and infinity spread (docs/winograd.md). "gemm" sums as written
        here, and "auto" takes the faster one.

        With ``precision="tf32"``, on the backend "cuda" alone, the factors of products of float32 arrays may be rounded
        to 11 bits: docs/tensor_cores.md.
    Shapes
        x (N, H, W, C), w (KH, KW, C / groups, F), b (F,) -> out (N, OH, OW, F), of x's dtype.
    Errors
        TypeError if an array is not float32 or float64, or the dtypes differ. ValueError if a rank, a size or the
        number of channels does not fit, the output would have size 0, ``algorithm`` is none of "auto", "gemm" and
        "winograd", or cannot be used here, or the backend does not have ``precision``.
    Cost
        N OH OW F KH KW C / groups multiply-adds.
    Source
        LeCun et al., "Gradient-based learning applied to document recognition", 1998, section II.A; groups:
        Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", 2012, section 3.2.
        Derivation in docs/conv2d.md.
    """
    hardware = device(backend)
    check_floats(hardware, w=w, x=x, b=b)
    out_shape = conv2d_shape(x.shape, w.shape, window, groups)
    check_shape("b", b.shape, out_shape[3:], "one element per filter")
    kernels, tile = _chosen(algorithm, backend, x.shape, w.shape[3], window, groups, x.dtype, precision, "out")
    with hardware.precision(precision):
        out: np.ndarray = kernels.conv2d_forward(x, w, b, window, groups, *tile)
    return out


def conv2d_backward_input(
    dout: np.ndarray,
    w: np.ndarray,
    x_shape: Shape,
    window: Window,
    groups: int = 1,
    algorithm: str = "auto",
    backend: str = "cpu",
    *,
    precision: str = "float32",
) -> np.ndarray:
    """Gradient with respect to the images: every output hands its gradient back to the pixels it was made of.

    Math
        dx[n,h,i,c] = Σ dout[n,oh,ow,f] w[kh,kw,c,f]

        over f, and over all kh, kw, oh, ow with oh*stride_h + kh - pad_top = h and ow*stride_w + kw - pad_left = i.
    Shapes
        dout (N, OH, OW, F), w (KH, KW, C / groups, F), x_shape (N, H, W, C) -> dx (N, H, W, C), of dout's dtype.
    Errors
        As ``conv2d_forward``; ValueError if dout does not have the forward's output shape.
    Cost
        N OH OW F KH KW C / groups multiply-adds, as the forward.
    Source
        The adjoint of ``conv2d_forward`` in x; docs/conv2d.md.
    """
    hardware = device(backend)
    check_floats(hardware, w=w, dout=dout)
    check_shape("dout", dout.shape, conv2d_shape(x_shape, w.shape, window, groups), "the output's shape")
    how = window, groups, dout.dtype, precision, "dx"
    kernels, tile = _chosen(algorithm, backend, tuple(x_shape), w.shape[3], *how)
    with hardware.precision(precision):
        dx: np.ndarray = kernels.conv2d_backward_input(dout, w, x_shape, window, groups, *tile)
    return dx


def conv2d_backward_params(
    dout: np.ndarray,
    x: np.ndarray,
    window: Window,
    groups: int = 1,
    algorithm: str = "auto",
    backend: str = "cpu",
    *,
    precision: str = "float32",
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients with respect to the filters and the bias: both were used at every output, so both are sums over it.

    Math
        dw[kh,kw,c,f] = Σ_{n,oh,ow} x[n,h,i,c] dout[n,oh,ow,f]   with h and i as in the forward

        db[f] = Σ_{n,oh,ow} dout[n,oh,ow,f]
    Shapes
        dout (N, OH, OW, F), x (N, H, W, C) -> dw (KH, KW, C / groups, F) and db (F,), of x's dtype.
    Errors
        As ``conv2d_forward``; ValueError if dout does not have the forward's output shape.
    Cost
        N OH OW F KH KW C / groups multiply-adds, as the forward.
    Source
        The adjoint of ``conv2d_forward`` in w and b; docs/conv2d.md.
    """
    hardware = device(backend)
    check_floats(hardware, x=x, dout=dout)
    n, height, width, channels = images_shape("x", x.shape)
    _check_groups(channels, groups)
    filters = dout.shape[-1] if dout.ndim == 4 and dout.shape[-1] and dout.shape[-1] % groups == 0 else groups
    expected = n, *window.output_size((height, width)), filters
    check_shape("dout", dout.shape, expected, "the output's shape")
    kernels, tile = _chosen(algorithm, backend, x.shape, filters, window, groups, x.dtype, precision, "dw")
    with hardware.precision(precision):
        dw, db = kernels.conv2d_backward_params(dout, x, window, groups, *tile)
    return dw, db


def _chosen(algorithm: str, backend: str, *convolution: Any) -> tuple[Any, tuple[Tile, ...]]:
    """The code of the algorithm that computes a convolution, and its last argument if that is Winograd's."""
    tile = choose_tile(algorithm, backend, *convolution)
    return (code(__name__, backend), ()) if tile is None else (code(winograd.__name__, backend), (tile,))


def conv2d_shape(x_shape: Shape, w_shape: Shape, window: Window, groups: int) -> ImagesShape:
    """The output's shape (N, OH, OW, F); ValueError, which names x or w or groups, if they do not fit together."""
    return _conv2d_shape(tuple(x_shape), tuple(w_shape), window, groups)


@functools.lru_cache(maxsize=1024)
def _conv2d_shape(x_shape: Shape, w_shape: Shape, window: Window, groups: int) -> ImagesShape:
    n, height, width, channels = images_shape("x", x_shape)
    filters = w_shape[3] if len(w_shape) == 4 and w_shape[3] and groups > 0 and w_shape[3] % groups == 0 else groups
    depth = w_shape[2] if len(w_shape) == 4 and w_shape[2] else channels // max(groups, 1)
    if groups < 1 or depth == channels:
        _check_groups(channels, groups)
        depth = channels // groups
    check_shape("w", w_shape, (*window.kernel, depth, filters), "shape (KH, KW, C / groups, F)")
    if channels != depth * groups:
        raise ValueError(f"x has {channels} channels, but must have {depth * groups} (N, H, W, C)")
    return n, *window.output_size((height, width)), filters


def _check_groups(channels: int, groups: int) -> None:
    if groups < 1 or channels % groups:
        raise ValueError(f"groups is {groups}, but must divide the {channels} channels of x")
