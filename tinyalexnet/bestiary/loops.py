"""The loops that beasts share: which output pixel, kernel position and pixel of the image belong together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..geometry import Pads, Pair

Index = tuple[int, ...]


def meetings(
    size: Index, out_size: Index, kernel: Index, stride: Pair, pads: Pads, dilation: Pair = (1, 1)
) -> Iterator[tuple[Pair, Pair, Pair]]:
    """Each (oh, ow), (kh, kw), (h, i): at the output pixel, the kernel position lies on the image's pixel.

    Padding is left out. ``size`` is (H, W), ``out_size`` (OH, OW).
    """
    for oh, ow, kh, kw in np.ndindex(*out_size, *kernel):
        h, i = oh * stride[0] + kh * dilation[0] - pads[0][0], ow * stride[1] + kw * dilation[1] - pads[1][0]
        if 0 <= h < size[0] and 0 <= i < size[1]:
            yield (oh, ow), (kh, kw), (h, i)


def by_position(size: Index, out_size: Index, kernel: Index, stride: Pair, pads: Pads) -> list[tuple[Pair, Pair, Pair]]:
    """The same as ``meetings``, all outputs of one kernel position before those of the next."""
    return sorted(meetings(size, out_size, kernel, stride, pads), key=lambda meeting: meeting[1])


def windows(size: Index, out_size: Index, kernel: Index, stride: Pair, pads: Pads) -> Iterator[tuple[Pair, list[Pair]]]:
    """Each output pixel (oh, ow) with the pixels (h, i) of its window, row by row, without padding."""
    for oh, ow in np.ndindex(*out_size):
        top, left = oh * stride[0] - pads[0][0], ow * stride[1] - pads[1][0]
        rows = range(max(top, 0), min(top + kernel[0], size[0]))
        columns = range(max(left, 0), min(left + kernel[1], size[1]))
        yield (oh, ow), [(h, i) for h in rows for i in columns]


def products(
    out_shape: Index, x_shape: Index, w_shape: Index, stride: Pair, pads: Pads, groups: int = 1, dilation: Pair = (1, 1)
) -> Iterator[tuple[Index, Index, Index]]:
    """Each multiplication of a convolution: the indices of the output, of the pixel and of the weight.

    The pixel times the weight is added to the output. They are (n, oh, ow, f), (n, h, i, channel) and (kh, kw, c, f).
    """
    depth, filters = w_shape[2:]
    for (oh, ow), (kh, kw), (h, i) in meetings(x_shape[1:3], out_shape[1:3], w_shape[:2], stride, pads, dilation):
        for n, c, f in np.ndindex(out_shape[0], depth, filters):
            group = f // (filters // groups)
            yield (n, oh, ow, f), (n, h, i, group * depth + c), (kh, kw, c, f)


def turned(weight: Index, w_shape: Index) -> Index:
    """The index (kh, kw, c, f) of a weight in the kernel turned by 180 degrees."""
    kh, kw, c, f = weight
    return w_shape[0] - 1 - kh, w_shape[1] - 1 - kw, c, f


def exchanged(pads: Pads) -> Pads:
    """The padding of the top at the bottom, that of the left at the right, and the other way round."""
    (top, bottom), (left, right) = pads
    return (bottom, top), (right, left)
