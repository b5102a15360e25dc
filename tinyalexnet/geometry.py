"""The sliding window: kernel size, stride and padding give the output's size.

Convolution and pooling share this arithmetic. The rules are TensorFlow's:
``"VALID"`` pads nothing, ``"SAME"`` pads until the output has ``ceil(size / stride)`` positions, the odd row or
column at the bottom and right.
"""

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Real
from operator import index
from typing import Literal

Pair = tuple[int, int]
Pads = tuple[Pair, Pair]
"""``((top, bottom), (left, right))``, rows and columns added on each side."""

Padding = Literal["SAME", "VALID"] | int | Pads
"""The argument of a layer; an int pads all four sides alike."""

LARGEST = 2**63 - 1
"""No size, count or seed is larger: NumPy and compiled code have integers of 64 bits."""

_PADDING_RULE = "'SAME', 'VALID', an int >= 0, or ((top, bottom), (left, right)) of ints >= 0"


def as_integer(name: str, value: object, least: int) -> int:
    """``value`` as an int from ``least`` to LARGEST; bools and floats are refused. ValueError names the argument."""
    try:
        # Before NumPy 2.4 a truth value of NumPy is an index.
        if isinstance(value, bool) or str(getattr(value, "dtype", "")) == "bool":
            raise TypeError
        number = index(value)  # type: ignore[arg-type]
    except TypeError:
        number = least - 1
    if number < least:
        raise ValueError(f"{name} is {value!r}, but must be an int >= {least}")
    if number > LARGEST:
        raise ValueError(f"{name} is {value!r}, but must be an int from {least} to {LARGEST}")
    return number


def as_number(
    name: str,
    value: object,
    allowed: str = "a finite number >= 0",
    fits: Callable[[float], bool] = lambda number: number >= 0,
) -> float:
    """``value`` as Python's float if it is a finite number that ``fits``; texts and bools are none.

    Scalars of NumPy are numbers, but a float64 of NumPy would make float32 arrays compute in float64.
    """
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.inf
    if not (math.isfinite(number) and fits(number)):
        raise ValueError(f"{name} is {value!r}, but must be {allowed}")
    return number


def as_pair(name: str, value: object, least: int) -> Pair:
    """An int as ``(value, value)``, a pair as it is. ValueError names the argument."""
    allowed = f"{name} is {value!r}, but must be an int >= {least} or a pair of them"
    items = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(items) != 2:
        raise ValueError(allowed)
    try:
        return as_integer(name, items[0], least), as_integer(name, items[1], least)
    except ValueError:
        raise ValueError(allowed) from None


def _as_padding(value: object) -> Literal["SAME", "VALID"] | Pads:
    if isinstance(value, str) and value in ("SAME", "VALID"):
        return value  # type: ignore[return-value]
    try:
        if isinstance(value, (tuple, list)):
            rows, columns = value
            if isinstance(rows, (tuple, list)) and isinstance(columns, (tuple, list)):
                return as_pair("padding", rows, 0), as_pair("padding", columns, 0)
            raise ValueError
        both = as_pair("padding", value, 0)
        return both, both
    except ValueError:
        raise ValueError(f"padding is {value!r}, but must be {_PADDING_RULE}") from None


@dataclass(frozen=True, init=False)
class Window:
    """A kernel that slides over the rows and columns of an image.

    Shapes
        ``kernel`` (KH, KW) and ``stride`` (stride_h, stride_w) in pixels; ``padding`` ``"SAME"``, ``"VALID"`` or
        ((top, bottom), (left, right)).
    Errors
        ValueError if a size is below 1, or the padding is none of those.
    Source
        Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, section 2; for ``"SAME"``
        the notes on padding in TensorFlow's ``tf.nn``.
    """

    kernel: Pair
    stride: Pair
    padding: Literal["SAME", "VALID"] | Pads

    def __init__(self, kernel: int | Pair, stride: int | Pair = 1, padding: Padding = "VALID") -> None:
        object.__setattr__(self, "kernel", as_pair("kernel_size", kernel, 1))
        object.__setattr__(self, "stride", as_pair("stride", stride, 1))
        object.__setattr__(self, "padding", _as_padding(padding))

    def pads(self, size: Pair) -> Pads:
        """((top, bottom), (left, right)) for an image of ``size`` (H, W) pixels."""
        return _pads(self, tuple(size))

    def before(self, size: tuple[int, ...]) -> Pair:
        """(top, left) of ``pads``: the rows and columns of the first window outside an image of ``size`` (H, W)."""
        (top, _), (left, _) = self.pads((size[0], size[1]))
        return top, left

    def output_size(self, size: Pair) -> Pair:
        """(OH, OW) of an image of ``size`` (H, W) pixels.

        Math
            OH = floor((H + top + bottom - KH) / stride_h) + 1, and likewise OW.
        Errors
            ValueError if the kernel does not fit the padded image even once.
        """
        return _output_size(self, tuple(size))

    def description(self, size: tuple[int, ...]) -> dict[str, object]:
        """The window as plain data, for an image of ``size`` (H, W); ``padding`` is None unless it has a name."""
        named = self.padding if isinstance(self.padding, str) else None
        pads = self.pads((size[0], size[1]))
        return {"kernel": self.kernel, "stride": self.stride, "pads": pads, "padding": named}

    def options(self) -> str:
        """The arguments of a layer that has this window, for its ``repr``."""
        return f"kernel_size={self.kernel}, stride={self.stride}, padding={self.padding!r}"

    def positions(self, output_size: Pair) -> Iterator[tuple[int, int, slice, slice]]:
        """For each kernel position (kh, kw), row-major: the padded rows and columns that it meets.

        Position (kh, kw) meets row ``oh * stride_h + kh`` and column ``ow * stride_w + kw`` of the padded image for
        every output (oh, ow), so ``padded[:, rows, columns]`` has the output's height and width.
        """
        (kernel_h, kernel_w), (stride_h, stride_w), (out_h, out_w) = self.kernel, self.stride, output_size
        for kh in range(kernel_h):
            rows = slice(kh, kh + stride_h * (out_h - 1) + 1, stride_h)
            for kw in range(kernel_w):
                yield kh, kw, rows, slice(kw, kw + stride_w * (out_w - 1) + 1, stride_w)


# Each step asks for the same few sizes many times, so they are computed once.


@functools.lru_cache(maxsize=1024)
def _pads(window: Window, size: Pair) -> Pads:
    """``Window.pads``."""
    if window.padding == "VALID":
        return (0, 0), (0, 0)
    if window.padding == "SAME":
        top_bottom, left_right = (
            _same_pads(length, kernel, stride)
            for length, kernel, stride in zip(size, window.kernel, window.stride, strict=True)
        )
        return top_bottom, left_right
    return window.padding


@functools.lru_cache(maxsize=1024)
def _output_size(window: Window, size: Pair) -> Pair:
    """``Window.output_size``."""
    pads = window.pads(size)
    height, width = (
        (length + before + after - kernel) // stride + 1
        for length, (before, after), kernel, stride in zip(size, pads, window.kernel, window.stride, strict=True)
    )
    if height < 1 or width < 1:
        raise ValueError(
            f"x has {size[0]} x {size[1]} pixels, padded by {pads}, and a kernel_size of {window.kernel} fits "
            "nowhere; the padded image must be at least as large as the kernel"
        )
    return height, width


def _same_pads(length: int, kernel: int, stride: int) -> Pair:
    out = -(-length // stride)
    total = max((out - 1) * stride + kernel - length, 0)
    return total // 2, total - total // 2
