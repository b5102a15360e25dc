"""Implicit GEMM without a check of bounds: images with their padding in memory, and two tables of offsets.

A row of a window is a run of KW C neighbouring elements, if there are no groups; with groups, each of its pixels is a
run of C / groups. Runs are read in chunks of four elements. An element of im2col(x) lies in the images at the sum of
two offsets: one of its output pixel, and one of its chunk.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from ...geometry import Pair
from .memory import empty, to_device
from .runtime import check_size, cuda, divide, kernel, launch, load, load4, store4

SPARE = 256
"""Entries behind the end of a table, all 0: kernels look up to a tile of lines, or four of the depth, too far."""


class Windows(NamedTuple):
    """Images, the tables of their output pixels and of the chunks of a window (``taps``), and the ``runs`` of a window
    with their ``length``."""

    images: Any
    pixels: Any
    taps: Any
    runs: int
    length: int

    @property
    def chunks(self) -> int:
        """Of each run; the last one may be incomplete."""
        return -(-self.length // 4)

    @property
    def depth(self) -> int:
        """Elements of a window, with those that fill up the last chunks."""
        return 4 * self.runs * self.chunks

    @property
    def is_whole(self) -> bool:
        """If all chunks are complete."""
        return self.length % 4 == 0


def windows_of(x: Any, kernel: Pair, stride: Pair, before: Pair, groups: int, out_size: Pair) -> Windows:
    """The windows of images. Images with padding, or with rows that are no multiple of 16 bytes, are copied."""
    n, height, width, channels = x.shape
    needed_h, needed_w = ((o - 1) * s + k for o, s, k in zip(out_size, stride, kernel, strict=True))
    images, row = x, width * channels
    if tuple(before) != (0, 0) or needed_h > height or needed_w > width or row % 4:
        row = -(-needed_w * channels // 4) * 4
        check_size("an array of padded images", n * needed_h * row)
        images = empty((n, needed_h, row), x.dtype)
        _place(x, (height, width * channels), images, (needed_h, row), (before[0], before[1] * channels))
        height = needed_h
    runs, length = (kernel[0], kernel[1] * channels) if groups == 1 else (math.prod(kernel), channels // groups)
    pixels = _pixels(n, height * row, (stride[0] * row, stride[1] * channels), tuple(out_size))
    return Windows(images, pixels, _taps(tuple(kernel), row, channels, groups), runs, length)


# Tables are kept for good: a graph that has been captured refers to their memory.


@functools.cache
def _pixels(n: int, image: int, steps: Pair, out_size: Pair) -> Any:
    """Where each output pixel's window begins."""
    image_at, oh, ow = (step * np.arange(count) for step, count in zip((image, *steps), (n, *out_size), strict=True))
    return _table(image_at[:, None, None] + oh[:, None] + ow)


@functools.cache
def _taps(kernel: Pair, row: int, channels: int, groups: int) -> Any:
    """Where each chunk of a window lies in it. The lowest two bits, which would be 0, count its elements less one."""
    kh, kw = row * np.arange(kernel[0]), channels * np.arange(kernel[1])
    starts, length = (kh, kernel[1] * channels) if groups == 1 else (np.add.outer(kh, kw), channels // groups)
    chunk = np.arange(0, length, 4)
    return _table(starts.reshape(-1, 1) + chunk | np.minimum(length - chunk, 4) - 1)


def _table(entries: np.ndarray) -> Any:
    return to_device(np.append(entries.ravel(), np.zeros(SPARE)).astype(np.int32))


def padded_filters(w: Any, windows: Windows) -> Any:
    """The filters with rows of 0 for the elements that fill up the last chunk of each run."""
    if windows.is_whole:
        return w
    filters = w.shape[3]
    padded = empty((windows.depth, filters), w.dtype)
    _place(w, (windows.length, filters), padded, (4 * windows.chunks, filters), (0, 0))
    return padded


def unpadded_filters(padded: Any, windows: Windows, w: Any) -> None:
    """Writes to ``w`` the filters without these rows."""
    filters = w.shape[3]
    _place(padded, (4 * windows.chunks, filters), w, (windows.length, filters), (0, 0))


class Placement(NamedTuple):
    """Rows and elements of a row, of each image, before and after; rows and elements before the image; and if the
    elements are read by vectorised loads."""

    height: int
    row: int
    new_height: int
    new_row: int
    top: int
    left: int
    vectorised: bool


def _place(images: Any, size: Pair, target: Any, target_size: Pair, before: Pair) -> None:
    """Writes to ``target`` images with other borders: ``before`` rows and elements more, or less if negative.

    Schedule: a thread for each four elements of the target, whose rows are multiples of four, and one store.
    """
    vectorised = before[1] % 4 == 0 and size[1] % 4 == 0
    placement = Placement(*size, *target_size, *before, vectorised)
    launch(_pad, target.size // 4, images.flat(), placement, target.flat())


@kernel
def _pad(images, placement, target):  # type: ignore[no-untyped-def]
    index = cuda.grid(1)
    if index >= target.size // 4:
        return
    row, chunk = divide(index, placement.new_row // 4)
    n, row = divide(row, placement.new_height)
    row -= placement.top
    at = 4 * chunk - placement.left
    zero = target.dtype.type(0)
    a = b = c = d = zero
    if np.uint32(row) < np.uint32(placement.height):
        length, start = np.uint32(placement.row), (n * placement.height + row) * placement.row + at
        if placement.vectorised:
            if np.uint32(at) < length:
                a, b, c, d = load4(images, start)
        else:
            a = load(images, start) if np.uint32(at) < length else zero
            b = load(images, start + 1) if np.uint32(at + 1) < length else zero
            c = load(images, start + 2) if np.uint32(at + 2) < length else zero
            d = load(images, start + 3) if np.uint32(at + 3) < length else zero
    store4(target, 4 * index, (a, b, c, d))
