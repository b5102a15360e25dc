"""Hypothesis strategies for property tests of layers: geometries, arrays of integers, separated arrays, labels.

    @given(geometries(), st.data())
    def test_my_convolution(geometry, data):
        x = data.draw(integer_arrays(geometry.x_shape))

They need the extra ``test``. A failing example shrinks to a small geometry and to zeros. See docs/strategies.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

try:
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hnp
except ImportError as error:
    raise ImportError(f"tinyalexnet.strategies needs hypothesis ({error}): pip install 'tinyalexnet[test]'") from None

from .geometry import Padding, Pads, Pair, Window, as_integer

ELEMENTWISE = 64
"""Arrays of up to this many elements are drawn element by element, and shrink so; larger ones come from a seed."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Geometry:
    """The sizes of one convolution or pooling; for a pooling ``filters`` is the number of channels."""

    window: Window
    x_shape: tuple[int, int, int, int]
    filters: int
    groups: int = 1

    @property
    def pads(self) -> Pads:
        """((top, bottom), (left, right))."""
        return self.window.pads(self.x_shape[1:3])

    @property
    def out_size(self) -> Pair:
        """(OH, OW)."""
        return self.window.output_size(self.x_shape[1:3])

    @property
    def w_shape(self) -> tuple[int, int, int, int]:
        """(KH, KW, C / groups, F)."""
        return (*self.window.kernel, self.x_shape[3] // self.groups, self.filters)

    @property
    def out_shape(self) -> tuple[int, int, int, int]:
        """(N, OH, OW, F)."""
        return (self.x_shape[0], *self.out_size, self.filters)


@st.composite
def geometries(
    draw: st.DrawFn,
    pooling: bool = False,
    largest_size: int = 9,
    largest_kernel: int = 5,
    largest_stride: int = 4,
    largest_batch: int = 3,
    groups: tuple[int, ...] = (1, 2, 3),
) -> Geometry:
    """Convolutions, or poolings, in all the ways that multiples of a tile would hide.

    Strides that do not divide the size, padding on one side only, outputs of 1 x 1, kernels as large as the image,
    several groups. The padding is below the kernel for a pooling; for a convolution a window may be all padding.

    Errors
        ValueError if a largest size is below 1, or ``groups`` is empty or has another element than ints from 1 up.
    """
    for name, value in (
        *(("largest_size", largest_size), ("largest_kernel", largest_kernel), ("largest_stride", largest_stride)),
        *(("largest_batch", largest_batch), ("groups", min(groups, default=0))),
    ):
        as_integer(name, value, 1)
    size = st.integers(1, largest_size)
    height, width = draw(size), draw(size)
    kernel = draw(st.integers(1, min(height, largest_kernel))), draw(st.integers(1, min(width, largest_kernel)))
    if draw(st.sampled_from([False, False, False, True])):
        kernel = height, width
    stride = draw(st.integers(1, largest_stride)), draw(st.integers(1, largest_stride))
    most = [k - 1 if pooling else k + 1 for k in kernel]
    top, bottom, left, right = (draw(st.integers(0, most[axis])) for axis in (0, 0, 1, 1))
    choices: list[Padding] = ["VALID", "SAME", ((top, bottom), (left, right))]
    padding = draw(st.sampled_from(choices))
    count = draw(st.sampled_from(groups))
    channels = count * draw(st.integers(1, 3))
    filters = channels if pooling else count * draw(st.integers(1, 3))
    x_shape = draw(st.integers(1, largest_batch)), height, width, channels
    return Geometry(Window(kernel, stride, padding), x_shape, filters, count)


@st.composite
def integer_arrays(
    draw: st.DrawFn, shape: Shape | st.SearchStrategy[Shape], dtype: Any = np.float32, largest: int = 4
) -> np.ndarray:
    """Arrays of integers from -largest to largest, as floats: sums of their products are exact, in any order.

    Shapes
        ``shape`` is a shape, or a strategy for one. float32 holds each sum of up to 2**24 / largest**2 products.
    Errors
        ValueError if largest is below 1.
    """
    as_integer("largest", largest, 1)
    size = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    if math.prod(size) <= ELEMENTWISE:
        elements = st.integers(-largest, largest)
        return draw(hnp.arrays(dtype, size, elements=elements, fill=st.nothing()))
    return _generator(draw).integers(-largest, largest + 1, size).astype(dtype)


@st.composite
def separated_arrays(
    draw: st.DrawFn, shape: Shape | st.SearchStrategy[Shape], dtype: Any = np.float64, gap: float = 0.01
) -> np.ndarray:
    """Arrays without kinks nearby: no two elements closer than ``gap``, and none closer to 0 than half of it.

    No maximum of a window changes hands at a small step, and no ReLU changes sides. The smallest example is sorted.

    Errors
        ValueError if gap is not above 0.
    """
    if not gap > 0:
        raise ValueError(f"gap is {gap}, but must be above 0")
    size = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    count = math.prod(size)
    values = gap * (np.arange(count) - count // 2 + 0.5)
    order = draw(st.permutations(range(count))) if count <= ELEMENTWISE else _generator(draw).permutation(count)
    return values[list(order)].reshape(size).astype(dtype)


@st.composite
def labels(draw: st.DrawFn, count: int, classes: int) -> np.ndarray:
    """Labels of ``count`` images, int64 from 0 to ``classes`` - 1.

    Errors
        ValueError if count or classes is below 1.
    """
    as_integer("count", count, 1)
    as_integer("classes", classes, 1)
    return draw(hnp.arrays(np.int64, count, elements=st.integers(0, classes - 1), fill=st.nothing()))


def _generator(draw: st.DrawFn) -> np.random.Generator:
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
