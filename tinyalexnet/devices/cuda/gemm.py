"""The convolution and its gradients as matrix products: on tensor cores if they can, else in plain multiply-adds.

Implicit GEMM: matrix A is im2col(x), a row for each output pixel, a column for each (kh, kw, c). It is never stored.
For dw, A is transposed. A dense layer, and the products of a Winograd tile, are convolutions with a kernel of one
element: there A is x itself. docs/gpu.md, docs/tensor_cores.md.

An infinite element may give NaN on tensor cores, and so may one within 0.03 % of the largest float32. Never does a NaN
or an infinity give something finite.
"""

import functools
import math
from typing import Any

import numpy as np

from ...geometry import Pair
from . import simt_gemm, tensor_gemm
from .memory import empty, to_device
from .runtime import cuda, kernel, launch, unravel
from .tensor_gemm import Matrix
from .tensor_windows import padded_filters, unpadded_filters, windows_of

FLOAT32 = np.dtype(np.float32)

TENSOR_CORES = (8, 0)
"""The first compute capability that has TF32 and copies beside the arithmetic."""


def convolve(
    x: Any, w: Any, b: Any, stride: Pair, before: Pair, groups: int, out: Any, keeps: bool = False, ranges: Any = None
) -> None:
    """Writes to ``out`` the convolution of x with w, plus b: a row for each output pixel, a sum over (kh, kw, c).

    The first window begins ``before`` rows and columns outside the images; inside if that is negative. If x must be
    copied, with a border, and ``keeps``, the copy is kept for ``correlate``. ``ranges`` is for tensor cores and a
    kernel of one element alone: ``tensor_gemm.multiply``.
    """
    if not uses_tensor_cores(x.dtype, x.shape[3], w.shape[3], stride, groups):
        simt_gemm.convolve(x, w, b, stride, before, groups, out)
        return
    pixels, columns = math.prod(out.shape[:3]), w.shape[3] // groups
    if _is_pointwise(w.shape[:2], before, x, out):
        a, filters, depth = _by_rows(x, groups), w, x.shape[3] // groups
    else:
        place = w.shape[:2], stride, before, groups, out.shape[1:3]
        windows = windows_of(x, *place)
        if keeps and windows.images is not x:
            x.keep(place, windows)
        a = Matrix(windows.images, True, 0, x.shape[3] // groups, windows.pixels, windows.taps)
        filters, depth = padded_filters(w, windows), windows.depth
    b_matrix = Matrix(filters, False, w.shape[3], columns)
    tensor_gemm.multiply(a, b_matrix, b, (pixels, depth, columns), groups, out, ranges)


def convolve_back(dout: Any, w: Any, before: Pair, groups: int, dx: Any) -> None:
    """Writes to ``dx`` the gradient of the images of a convolution with stride 1, which is a convolution of dout.

    If the kernel has one element, on tensor cores, w is read as it lies, as wᵀ by rows: no transposed copy is made.
    """
    filters, channels = dout.shape[3], dx.shape[3]
    if _is_pointwise(w.shape[:2], before, dout, dx) and uses_tensor_cores(dx.dtype, filters, channels, (1, 1), groups):
        sizes = math.prod(dx.shape[:3]), filters // groups, channels // groups
        b = Matrix(w, True, filters, filters // groups)
        tensor_gemm.multiply(_by_rows(dout, groups), b, zeros(channels, dx.dtype), sizes, groups, dx)
    else:
        filters, before = turned(w, before, groups)
        convolve(dout, filters, zeros(channels, dx.dtype), (1, 1), before, groups, dx)


def correlate(dout: Any, x: Any, stride: Pair, before: Pair, groups: int, dw: Any, ranges: Any = None) -> None:
    """Writes to ``dw`` the product im2col(x)ᵀ dout: a row for each (kh, kw, c), a sum over the output pixels.

    ``ranges`` as for ``convolve``.
    """
    filters, channels = dout.shape[3], x.shape[3] // groups
    if not uses_tensor_cores(x.dtype, x.shape[3], filters, stride, groups):
        simt_gemm.correlate(dout, x, stride, before, groups, dw)
        return
    pixels, columns = math.prod(dout.shape[:3]), filters // groups
    b, bias = Matrix(dout, False, filters, columns), zeros(filters, dw.dtype)
    if _is_pointwise(dw.shape[:2], before, x, dout):
        a = Matrix(x, False, x.shape[3], channels)
        tensor_gemm.multiply(a, b, bias, (channels, pixels, columns), groups, dw, ranges)
        return
    place = dw.shape[:2], stride, before, groups, dout.shape[1:3]
    windows = x.kept(place) or windows_of(x, *place)
    a = Matrix(windows.images, False, 0, channels, windows.taps, windows.pixels)
    result = dw if windows.is_whole else empty((windows.depth, filters), dw.dtype)
    tensor_gemm.multiply(a, b, bias, (windows.depth, pixels, columns), groups, result)
    if result is not dw:
        unpadded_filters(result, windows, dw)


def uses_tensor_cores(dtype: np.dtype, channels: int, filters: int, stride: Pair, groups: int) -> bool:
    """The rule that chooses the kernel, by dtype, alignment, compute capability and shapes alone.

    A tensor core takes float32. Copies have 16 bytes, and every run of elements begins at a multiple of them. That is
    so if a group's channels and filters are multiples of four, or if, without groups, the
    filters are and the windows of a row are a multiple of four elements apart: in AlexNet's conv1, 4 x 3.
    """
    runs = channels // groups % 4 == 0 or (groups == 1 and stride[1] * channels % 4 == 0)
    return runs and filters // groups % 4 == 0 and dtype == FLOAT32 and tensor_gemm.compute_capability() >= TENSOR_CORES


def _is_pointwise(kernel: Pair, before: Pair, x: Any, out: Any) -> bool:
    """If im2col(x) is x: windows of one pixel, one for each pixel."""
    return tuple(kernel) == (1, 1) and tuple(before) == (0, 0) and x.shape[1:3] == out.shape[1:3]


def _by_rows(x: Any, groups: int) -> Matrix:
    return Matrix(x, True, x.shape[3], x.shape[3] // groups)


def turned(w: Any, before: Pair, groups: int) -> tuple[Any, Pair]:
    """The filters of the adjoint of a convolution with stride 1, and how far outside its first window begins.

    Each of its windows ends where one of the forward begins: the kernel's length, less one, less ``before``.
    """
    kernel_h, kernel_w, channels, filters = w.shape
    result = empty((kernel_h, kernel_w, filters // groups, channels * groups), w.dtype)
    launch(_turn, result.size, w, result)
    return result, (kernel_h - 1 - before[0], kernel_w - 1 - before[1])


@functools.cache
def zeros(count: int, dtype: np.dtype) -> Any:
    """The bias of a product without one."""
    return to_device(np.zeros(count, dtype))


@kernel
def _turn(w, turned):  # type: ignore[no-untyped-def]
    """turned[kh, kw, f, c] = w[KH - 1 - kh, KW - 1 - kw, c, f], within each group."""
    index = cuda.grid(1)
    if index >= turned.size:
        return
    kh, kw, f, channel = unravel(index, turned.shape)
    group, c = divmod(channel, w.shape[2])
    turned[kh, kw, f, channel] = w[w.shape[0] - 1 - kh, w.shape[1] - 1 - kw, c, group * turned.shape[2] + f]
