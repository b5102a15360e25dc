"""Products of matrices whose second factor is a panel, with rows that follow each other: what a tile reads as it is.

A library for products first copies both matrices into panels. Winograd's convolution writes its matrices so from the
beginning, and has no need of the copy. The elements of a row of ``out`` are sums in the order of k, whatever the sizes.
"""

import numpy as np
from numba import types
from numba.extending import overload

from .by_name import by_name, integers
from .microkernel import FETCHED_APART, ROWS, VECTORS, multiply_tile
from .vectors import KINDS, VECTOR_BYTES

DEPTH = 96
"""Rows of b in one tile: with four vectors of columns 24 KB, which stay in a core's fastest cache for all rows of a."""

RIGHT = 2
"""Tiles to the right, from which on lines are fetched if the rows of b are apart: memory takes longer than one tile."""


def add_panel_product(a: np.ndarray, b: np.ndarray, keep: bool, out: np.ndarray) -> None:
    """out = a b; or, to ``keep`` what is in it, out += a b.

    Shapes
        a (M, K), b (K, N), out (M, N). Each may be a part of a larger array, and a the transpose of one. In b and out
        elements of a row are neighbours in memory. Of no k the sum is 0.
    Source
        Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008: panels and tiles.
    """
    assert all(x.strides[1] == x.itemsize for x in (b, out) if x.shape[1] > 1 and x.size > 0)
    if not keep:
        out[:] = 0
    # Not ``a @ b``: NumPy's product may add a row in another order among more rows.
    for k in range(a.shape[1]):
        out += a[:, k : k + 1] * b[k]


@overload(add_panel_product)
def _compiled_product(a, b, keep, out):  # type: ignore[no-untyped-def]
    zero, lanes = np.dtype(str(out.dtype)).type(0), KINDS[out.dtype][2]

    def product(a, b, keep, out):  # type: ignore[no-untyped-def]
        (rows, depth), columns = a.shape, b.shape[1]
        if depth == 0 and not keep:
            out[:] = 0
        # Addresses and steps: so one function serves all layouts.
        of_a = np.intp(a.ctypes.data), a.strides[0], a.strides[1]
        of_b, of_out = (np.intp(b.ctypes.data), b.strides[0]), (np.intp(out.ctypes.data), out.strides[0])
        _product(zero, np.intp(lanes), of_a, of_b, of_out, (rows, depth, columns), bool(keep))

    return product


@by_name(lambda real: (real, types.intp, *map(integers, (3, 2, 2, 3)), types.boolean), add_panel_product)
def _product(zero, lanes, a, b, out, sizes, keep):  # type: ignore[no-untyped-def]
    (of_a, a_row, a_column), (of_b, b_row), (of_out, out_row), (rows, depth, columns) = a, b, out, sizes
    # While tiles multiply, two of them fetch four lines of each row: of the next DEPTH rows of b, or, if there are no
    # more of them and what lies behind them is not for this product, of the same rows further on.
    apart = depth <= DEPTH and b_row > VECTORS[0] * VECTOR_BYTES
    left = 0
    while left < columns:
        width = VECTORS[0] * lanes
        while width > max(columns - left, lanes):
            width //= 2
        byte = left * VECTOR_BYTES // lanes
        for first in range(0, depth, DEPTH):
            some = min(DEPTH, depth - first)
            for top in range(0, rows, ROWS):
                tile_of_a = of_a + top * a_row + first * a_column, a_row, a_column
                panel = of_b + first * b_row + byte, b_row
                tile = of_out + top * out_row + byte, out_row
                ahead = RIGHT * width * VECTOR_BYTES // lanes if apart else DEPTH * b_row
                ahead += top // ROWS % FETCHED_APART * VECTOR_BYTES
                of_tile = some, min(ROWS, rows - top), columns - left
                multiply_tile(zero, tile_of_a, panel, tile, ahead, of_tile, keep or first > 0)
        left += width
