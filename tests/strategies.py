"""Geometries for hypothesis: small, odd, and everything that multiples of a tile would hide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tinyalexnet.geometry import Window


@dataclass(frozen=True)
class Case:
    """One convolution or pooling: its window, its input's shape, and a seed for its numbers."""

    window: Window
    x_shape: tuple[int, int, int, int]
    filters: int
    groups: int
    seed: int

    @property
    def pads(self):
        return self.window.pads(self.x_shape[1:3])

    @property
    def out_size(self):
        return self.window.output_size(self.x_shape[1:3])

    def integers(self, dtype=np.float32):
        """x, w, b and dout of small integers: float32 holds every sum of their products exactly."""
        rng = np.random.default_rng(self.seed)
        return [rng.integers(-4, 5, shape).astype(dtype) for shape in self._shapes()]

    def normals(self, dtype=np.float64):
        """x, w, b and dout of normal numbers."""
        rng = np.random.default_rng(self.seed)
        return [rng.standard_normal(shape).astype(dtype) for shape in self._shapes()]

    def _shapes(self):
        n, _, _, channels = self.x_shape
        w_shape = (*self.window.kernel, channels // self.groups, self.filters)
        return self.x_shape, w_shape, (self.filters,), (n, *self.out_size, self.filters)


@st.composite
def cases(draw, pooling=False):
    """Strides that do not divide the size, padding on one side only, 1x1 outputs, kernels as large as the image."""
    size = st.integers(1, 9)
    height, width = draw(size), draw(size)
    kernel = draw(st.integers(1, min(height, 5))), draw(st.integers(1, min(width, 5)))
    if draw(st.sampled_from([False, False, False, True])):
        kernel = height, width
    stride = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    most = tuple(k - 1 if pooling else k + 1 for k in kernel)
    sides = [draw(st.integers(0, most[axis])) for axis in (0, 0, 1, 1)]
    padding = draw(st.sampled_from(["SAME", "VALID", ((sides[0], sides[1]), (sides[2], sides[3]))]))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels = groups * draw(st.integers(1, 3))
    filters = channels if pooling else groups * draw(st.integers(1, 3))
    case = Case(
        window=Window(kernel, stride, padding),
        x_shape=(draw(st.integers(1, 3)), height, width, channels),
        filters=filters,
        groups=groups,
        seed=draw(st.integers(0, 2**32 - 1)),
    )
    assume(np.prod(case.out_size) > 0)
    return case
