"""The tiles of a product on tensor cores: how they come to shared memory, and how a warp reads and multiplies them.

A *line* is a row of A or a column of B; the *depth* is the index of the sums. A matrix lies *by rows* if the elements
of a line are neighbours in memory, *by columns* if the lines are; its tile in shared memory lies alike. A tile is TILE
lines by DEPTH, in chunks of 16 bytes. A thread copies four chunks. docs/tensor_cores.md has a picture.
"""

import functools
from typing import Any, NamedTuple

import numpy as np

from .runtime import device, load, load4
from .tensor_cores import copy16, high_part, plus_matrix_product, rounded
from .unrolled import unrolled_loop, unrolled_tuple

TILE = 64
"""Lines of a tile. A block computes TILE x TILE elements of the product."""

DEPTH = 16
"""Terms of the sums in one tile."""

THREADS = 64
"""Threads of a block: two warps, each for all rows of the tile and half of its columns."""

TILE_SIZE = TILE * DEPTH


class Layout(NamedTuple):
    """The device functions for a matrix that lies by rows or by columns.

    A tile's chunks are numbered as they lie in shared memory. A thread copies the chunks thread + THREADS i, and
    ``own(thread, i)`` is the line and the depth at which such a chunk begins. In memory it begins at
    ``line_offset(line, lines, pitch)`` + ``depth_offset(depth, pitch)``, or where the entries of two tables say, which
    ``line_entry`` and ``depth_entry`` load. Lines beyond the last one are copies of it: nobody uses their sums.
    ``read(tiles, tile, line, depth)`` is the block of 4 x 4 elements, [depth][line], that a lane reads.
    """

    own: Any
    line_offset: Any
    depth_offset: Any
    line_entry: Any
    depth_entry: Any
    read: Any


def _rows() -> Layout:
    @device
    def own(thread, i):  # type: ignore[no-untyped-def]
        line = (thread >> 2) + 16 * i
        return line ^ (line >> 4 & 1), (thread & 3) << 2

    @device
    def place(line, depth):  # type: ignore[no-untyped-def]
        # Two lines fill the banks, and eight lanes read two lines that are 16 apart: of these, every second 16 have
        # neighbours that swap places.
        return ((line ^ (line >> 4 & 1)) << 4) + depth

    @device
    def read(tiles, tile, line, depth):  # type: ignore[no-untyped-def]
        a = load4(tiles, tile + place(line, depth))
        b = load4(tiles, tile + place(line + 1, depth))
        c = load4(tiles, tile + place(line + 2, depth))
        d = load4(tiles, tile + place(line + 3, depth))
        return ((a[0], b[0], c[0], d[0]), (a[1], b[1], c[1], d[1]), (a[2], b[2], c[2], d[2]), (a[3], b[3], c[3], d[3]))

    return Layout(
        own,
        device(lambda line, lines, pitch: min(line, lines - 1) * pitch),
        device(lambda depth, pitch: depth),
        _load_element,
        _load_chunk,
        read,
    )


def _columns() -> Layout:
    @device
    def own(thread, i):  # type: ignore[no-untyped-def]
        depth = (thread >> 4) + 4 * i
        return (thread & 15) << 2 ^ (depth & 12), depth

    @device
    def place(line, depth):  # type: ignore[no-untyped-def]
        # Four lanes read the same lines at depths that are 4 apart, so these depths have their chunks in other orders.
        return (depth << 6) + (line ^ (depth & 12))

    @device
    def read(tiles, tile, line, depth):  # type: ignore[no-untyped-def]
        return (
            load4(tiles, tile + place(line, depth)),
            load4(tiles, tile + place(line, depth + 1)),
            load4(tiles, tile + place(line, depth + 2)),
            load4(tiles, tile + place(line, depth + 3)),
        )

    return Layout(
        own,
        device(lambda line, lines, pitch: min(line, lines - 4)),
        device(lambda depth, pitch: depth * pitch),
        _load_chunk,
        _load_element,
        read,
    )


@device
def _load_element(table, index):  # type: ignore[no-untyped-def]
    return load(table, index)


@device
def _load_chunk(table, index):  # type: ignore[no-untyped-def]
    """An entry of a table that has one for each four elements."""
    return load(table, index >> 2)


class Operand(NamedTuple):
    """How a matrix comes to the registers of a warp.

    ``lines_at(first, table, line, lines, pitch, thread)`` is the part of the offsets of a thread's four chunks that is
    the same for all tiles. ``look(table, depth, thread)`` is the other part if the matrix is gathered: it is loaded one
    tile ahead. ``fetch(tiles, tile, matrix, at, ahead, pitch, depth, end, thread)`` starts to copy a tile.
    """

    lines_at: Any
    look: Any
    fetch: Any
    read: Any


@functools.cache
def operand(by_rows: bool, gathered: bool) -> Operand:
    """The functions for a matrix, by how it lies in memory; a gathered one lies where two tables say."""
    layout = _rows() if by_rows else _columns()
    own, names = layout.own, {**layout._asdict(), "np": np}
    line_at, depth_at = "line_offset(line + own(thread, {k})[0], lines, pitch)", "0"
    if gathered:
        line_at, depth_at = (
            "(line_entry(table, line + own(thread, {k})[0]) & -4)",
            "depth_entry(table, depth + own(thread, {k})[1])",
        )
    counted = gathered and by_rows
    depth_offset = layout.depth_offset

    @device
    def fetch_chunk(tiles, tile, matrix, at, ahead, pitch, depth, end, thread, i):  # type: ignore[no-untyped-def]
        """A chunk behind the end of the sums becomes 0. The lowest two bits of a table's offset count elements."""
        here = np.int32(depth + own(thread, i)[1])
        moving = ahead if gathered else np.int32(depth_offset(here, pitch))
        offset = at + (moving & -4 if counted else moving)
        size = (4 * (moving & 3) + 4 if counted else 16) if here < end else 0
        copy16(tiles, tile + 4 * (thread + THREADS * i), matrix, offset, size)

    parameters = "tiles, tile, matrix, at, ahead, pitch, depth, end, thread"
    call = f"fetch_chunk({parameters}, {{k}})".replace("at,", "at[{k}],").replace("ahead", "ahead[{k}]")
    return Operand(
        unrolled_tuple(4, "first, table, line, lines, pitch, thread", f"np.int32(first + {line_at})", **names),
        unrolled_tuple(4, "table, depth, thread", f"np.int32({depth_at})", **names),
        unrolled_loop(4, parameters, call, fetch_chunk=fetch_chunk),
        layout.read,
    )


@device
def own_line(lane):  # type: ignore[no-untyped-def]
    """The first of the four adjacent lines, of each 32, that a lane reads.

    Which line is called which row of a matrix product is free, if all agree. In this order the eight lanes that read
    together meet all banks of shared memory, and a lane ends up with four adjacent columns of the product.
    """
    g = lane >> 2
    return (g >> 1 | (g & 1) << 2) << 2


# --- the arithmetic of a tile ----------------------------------------------------------------------------------------
#
# A lane has 64 sums of its warp's 64 x 32: a tuple of four rows, of four columns, of the four elements that it holds of
# a matrix product of 16 x 8.

NO_SUMS = (((np.float32(0),) * 4,) * 4,) * 4

_pairs = unrolled_tuple(4, "p, q", "(p[{k}], q[{k}])")
_high = unrolled_tuple(4, "x", "high_part(x[{k}])", high_part=high_part)
_rounded = unrolled_tuple(4, "x", "rounded(x[{k}])", rounded=rounded)
_minus = unrolled_tuple(4, "x, y", "x[{k}] - y[{k}]")
_plus = unrolled_tuple(4, "x, y", "x[{k}] + y[{k}]")
_plus_row = unrolled_tuple(4, "x, y", "plus(x[{k}], y[{k}])", plus=_plus)
_multiplied = unrolled_tuple(4, "total, a, b", "product(total[{k}], a, b[{k}])", product=plus_matrix_product)


@device
def _plus_three_products(total, a, b_upper, b_lower):  # type: ignore[no-untyped-def]
    """total + A B nearly as in float32, from three products of halves; small times small would be lost in rounding."""
    a_high, upper_high, lower_high = _high(a), _high(b_upper), _high(b_lower)
    b_high = _pairs(upper_high, lower_high)
    b_low = _pairs(_minus(b_upper, upper_high), _minus(b_lower, lower_high))
    total = _multiplied(total, _minus(a, a_high), b_high)
    total = _multiplied(total, a_high, b_low)
    return _multiplied(total, a_high, b_high)


@device
def _plus_one_product(total, a, b_upper, b_lower):  # type: ignore[no-untyped-def]
    return _multiplied(total, _rounded(a), _pairs(_rounded(b_upper), _rounded(b_lower)))


@functools.cache
def plus_tile(precision: str, promoted: bool) -> Any:
    """A device function: total + the product of a lane's blocks of a tile of A, ``top`` and ``bottom``, and of B.

    ``precision`` is "float32", which takes three products, or "tf32", which takes one. If ``promoted``, the sums of the
    tile start at 0 and are added in float32: tensor cores cut off when they add, and each cut is relative to the total.
    """
    plus_product = {"float32": _plus_three_products, "tf32": _plus_one_product}[precision]

    @device
    def plus_row(total, a, next_a, b):  # type: ignore[no-untyped-def]
        fresh = NO_SUMS[0] if promoted else total
        fresh = plus_product(fresh, a, b[0], b[1])
        fresh = plus_product(fresh, next_a, b[2], b[3])
        return _plus_row(total, fresh) if promoted else fresh

    # Depth 4 t + i is called column t of a matrix product for the first of two i, and column t + 4 for the second.
    return unrolled_tuple(
        4,
        "total, top, bottom, b",
        "plus_row(total[{k}], (top[0][{k}], bottom[0][{k}], top[1][{k}], bottom[1][{k}]),"
        " (top[2][{k}], bottom[2][{k}], top[3][{k}], bottom[3][{k}]), b)",
        plus_row=plus_row,
    )
