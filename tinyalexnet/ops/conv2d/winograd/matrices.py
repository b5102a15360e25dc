"""The matrices of Winograd's minimal filtering F(m, r), exactly, for any m and r up to eight points.

F(m, r) computes m outputs of a filter with r elements by n = m + r - 1 multiplications in place of m r. The
construction is by Cook and Toom: polynomials are evaluated at n - 1 rational points and at infinity, multiplied there,
and interpolated. docs/winograd.md derives it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ....geometry import Pair

Matrix = tuple[tuple[Fraction, ...], ...]
Matrices = tuple[np.ndarray, np.ndarray]
"""One matrix for the rows of a tile, one for its columns."""

POINTS = tuple(map(Fraction, ("1", "0", "-1", "2", "-2", "1/2", "-1/2")))
"""The points at which polynomials are evaluated, in order: the smallest numbers and their reciprocals. Infinity comes
before them all."""

MOST_POINTS = len(POINTS) + 1
"""With infinity, eight. A ninth, be it 4 or 1/4, takes the relative error of float32 from 6e-6 to 4e-5 or more (with
C = 256 and normal data, docs/winograd.md): above the bound of 2e-5."""


@dataclass(frozen=True, eq=False)
class Transform:
    """F(m, r) in one dimension: y = at [(g w) ⊙ (bt x)] for n = m + r - 1 inputs x, r elements of w, m outputs y.

    There is one object for each m and r, compared and hashed by identity and not fraction by fraction.
    """

    m: int
    r: int
    at: Matrix
    g: Matrix
    bt: Matrix

    @functools.cached_property
    def n(self) -> int:
        """The number of points, which is also the number of inputs."""
        return self.m + self.r - 1


@functools.cache
def cook_toom(m: int, r: int) -> Transform:
    """The exact matrices of F(m, r).

    Math
        With infinity, row 0, and points p_1 ... p_{n-1}: at[k][i] = p_i^k; g[i][k] = p_i^k; row i of bt holds the
        coefficients of Π_{j≠i} (t - p_j) / (p_i - p_j). At infinity: at[m-1] = g[r-1] = 1, and bt has Π_j (t - p_j).
        Row i of g is divided, and row i of bt multiplied, by the power of two nearest to the sum of |p_i^k|. That is
        exact: it changes neither y nor its rounding, only the size of the intermediate values. So g at a point does not
        depend on m, and the g of F(m - 1, r) is that of F(m, r) without its last row.
    Shapes
        at (m, n), g (n, r), bt (n, n), of fractions.
    Errors
        ValueError if m or r is below 1 or n above MOST_POINTS.
    Source
        Winograd, "Arithmetic complexity of computations", 1980; Lavin and Gray, "Fast algorithms for convolutional
        neural networks", 2016.
    """
    n = m + r - 1
    if m < 1 or r < 1 or n > MOST_POINTS:
        raise ValueError(f"m and r are {m} and {r}, but must be at least 1 with m + r - 1 <= {MOST_POINTS}")
    return at_points(m, r, POINTS[: n - 1])


def at_points(m: int, r: int, points: tuple[Fraction, ...]) -> Transform:
    """The matrices of F(m, r) as ``cook_toom`` has them, but at infinity and any other m + r - 2 different points."""
    at = [[Fraction(k == m - 1)] + [point**k for point in points] for k in range(m)]
    bt = [_coefficients(points)]
    g = [[Fraction(k == r - 1) for k in range(r)]]
    for i, point in enumerate(points):
        others = points[:i] + points[i + 1 :]
        power = Fraction(2) ** round(math.log2(sum(abs(point) ** k for k in range(r))))
        scale = power / math.prod((point - other for other in others), start=Fraction(1))
        bt.append([*(scale * value for value in _coefficients(others)), Fraction(0)])
        g.append([point**k / power for k in range(r)])
    return Transform(m, r, _frozen(at), _frozen(g), _frozen(bt))


class Tile(NamedTuple):
    """A Winograd tile, F(m, r) along rows and columns: ``m`` outputs, ``n`` inputs, ``points`` multiplications.

    A tuple, because each step looks things up by it many times, and no other class is hashed as fast.
    """

    height: Transform
    width: Transform

    @property
    def m(self) -> Pair:
        """Outputs of a tile, (rows, columns)."""
        return self.height.m, self.width.m

    @property
    def r(self) -> Pair:
        """Elements of the filter, (rows, columns)."""
        return self.height.r, self.width.r

    @property
    def n(self) -> Pair:
        """Inputs of a tile, (rows, columns)."""
        return self.height.n, self.width.n

    @property
    def points(self) -> int:
        """Multiplications of a tile, for each channel and filter."""
        return self.height.n * self.width.n

    @property
    def sum_point(self) -> int:
        """A point that Aᵀ adds to every output as it is, so that A adds up all outputs there: (1, 1).

        A tile of one pixel and a filter of one element has the point at infinity only, which does the same.
        """
        return min(1, self.height.n - 1) * self.width.n + min(1, self.width.n - 1)

    @property
    def smaller(self) -> Tile:
        """The tile with one output and one point less along each axis that has more than one output."""
        return Tile(*(cook_toom(max(axis.m - 1, 1), axis.r) for axis in (self.height, self.width)))

    def counts(self, size: Pair) -> Pair:
        """The number of tiles that cover an output of ``size`` pixels, (down, across)."""
        return -(-size[0] // self.height.m), -(-size[1] // self.width.m)

    def large_counts(self, size: Pair) -> Pair:
        """The number of them, (down, across), that need all m outputs, if the others have m - 1: 13 = 5 + 4 + 4."""
        tiles_h, tiles_w = self.counts(size)
        return max(size[0] - tiles_h * (self.height.m - 1), 0), max(size[1] - tiles_w * (self.width.m - 1), 0)

    def points_of(self, size: Pair) -> int:
        """The points of all tiles, large and smaller, that cover an output of ``size`` pixels."""
        tiles, large = self.counts(size), self.large_counts(size)
        down, across = (count * (n - 1) + more for count, n, more in zip(tiles, self.n, large, strict=True))
        return down * across

    def at(self, dtype: np.dtype) -> Matrices:
        """Aᵀ, (m, n), for rows and columns; read-only, as are the others."""
        return _rounded(self.height, "at", dtype), _rounded(self.width, "at", dtype)

    def g(self, dtype: np.dtype) -> Matrices:
        """G, (n, r), for rows and columns."""
        return _rounded(self.height, "g", dtype), _rounded(self.width, "g", dtype)

    def bt(self, dtype: np.dtype) -> Matrices:
        """Bᵀ, (n, n), for rows and columns."""
        return _rounded(self.height, "bt", dtype), _rounded(self.width, "bt", dtype)


@functools.cache
def _rounded(transform: Transform, name: str, dtype: np.dtype) -> np.ndarray:
    matrix = np.array(getattr(transform, name), dtype)
    matrix.flags.writeable = False
    return matrix


def _coefficients(roots: Iterable[Fraction]) -> list[Fraction]:
    """Of Π (t - root), the constant first."""
    result = [Fraction(1)]
    for root in roots:
        times_t, times_root = [Fraction(0), *result], [*(root * value for value in result), Fraction(0)]
        result = [a - b for a, b in zip(times_t, times_root, strict=True)]
    return result


def _frozen(rows: list[list[Fraction]]) -> Matrix:
    return tuple(map(tuple, rows))
