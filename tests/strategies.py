"""Convolutions and poolings with their arrays, for properties of the operations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from tinyalexnet.strategies import Geometry, geometries


@dataclass(frozen=True)
class Case(Geometry):
    """A geometry, and a seed for its arrays."""

    seed: int = 0

    def integers(self, dtype=np.float32):
        """x, w, b and dout of small integers: float32 holds every sum of their products exactly."""
        rng = np.random.default_rng(self.seed)
        return [rng.integers(-4, 5, shape).astype(dtype) for shape in self._shapes()]

    def normals(self, dtype=np.float64):
        """x, w, b and dout of normal numbers."""
        rng = np.random.default_rng(self.seed)
        return [rng.standard_normal(shape).astype(dtype) for shape in self._shapes()]

    def _shapes(self):
        return self.x_shape, self.w_shape, (self.filters,), self.out_shape


@st.composite
def cases(draw, pooling=False):
    """A random geometry with a random seed: the arrays are drawn at once, which is faster than element by element."""
    geometry = draw(geometries(pooling))
    return Case(geometry.window, geometry.x_shape, geometry.filters, geometry.groups, draw(st.integers(0, 2**32 - 1)))
