"""The matrices of the transforms, of a large tile and of a smaller one, as the kernels take them."""

import functools
from typing import NamedTuple

import numpy as np

from ..matrices import MOST_POINTS, Matrices, Tile


class Sides(NamedTuple):
    """The two matrices of a transform left[0] @ tile @ right[0].T of a large tile, each filled up to 8 x 8.

    ``left[1]`` and ``right[1]`` belong to a smaller tile, which has one row and one term less.
    """

    left: np.ndarray
    right: np.ndarray
    rows_h: int
    rows_w: int
    terms_h: int
    terms_w: int


def sides(large: Matrices, smaller: Matrices) -> Sides:
    """The matrices of a large tile and of a smaller one, for rows and columns."""
    filled = np.zeros((2, 2, MOST_POINTS, MOST_POINTS), large[0].dtype)
    for side, matrices in enumerate(zip(large, smaller, strict=True)):
        for size, matrix in enumerate(matrices):
            filled[side, size, : matrix.shape[0], : matrix.shape[1]] = matrix
    (rows_h, terms_h), (rows_w, terms_w) = (matrix.shape for matrix in large)
    return Sides(filled[0], filled[1], rows_h, rows_w, terms_h, terms_w)


# A step asks for the same ones again and again, and to make one takes longer than a small kernel.


@functools.cache
def to_points(tile: Tile, dtype: np.dtype) -> Sides:
    """V = Bᵀ d B, of the pixels of an input."""
    return sides(tile.bt(dtype), tile.smaller.bt(dtype))


@functools.cache
def to_pixels(tile: Tile, dtype: np.dtype) -> Sides:
    """Aᵀ M A, the pixels of an output."""
    return sides(tile.at(dtype), tile.smaller.at(dtype))


@functools.cache
def from_pixels(tile: Tile, dtype: np.dtype) -> Sides:
    """dM = A dy Aᵀ, of the gradients of an output."""
    return sides(_transposed(tile.at(dtype)), _transposed(tile.smaller.at(dtype)))


@functools.cache
def of_filters(tile: Tile, dtype: np.dtype, turned: bool) -> Sides:
    """U = G g Gᵀ; of filters ``turned`` by 180°, which is reading the columns of G backwards."""
    g = tile.g(dtype)
    if turned:
        g = g[0][:, ::-1], g[1][:, ::-1]
    return sides(g, g)


@functools.cache
def to_filters(tile: Tile, dtype: np.dtype) -> Sides:
    """dg = Gᵀ dU G, the gradients of filters."""
    gt = _transposed(tile.g(dtype))
    return sides(gt, gt)


def _transposed(matrices: Matrices) -> Matrices:
    return matrices[0].T, matrices[1].T
