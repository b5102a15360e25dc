"""Matrix products on tensor cores, in float32's accuracy or in TF32's: the kernels and their launch.

out = A B + bias for each *point* of a batch of matrices that lie side by side: the groups of a convolution, the points
of a Winograd tile. ``tensor_tiles`` has the work on one tile; docs/tensor_cores.md explains all of it.
"""

import functools
from typing import Any, NamedTuple

import numpy as np

from . import precision
from .driver import driver
from .memory import empty, to_device
from .reduction import column_sums
from .runtime import bounded_kernel, check_size, cuda, device, divide, launch_blocks, load, load4, store4
from .tensor_cores import commit, wait_until
from .tensor_tiles import DEPTH, THREADS, TILE, TILE_SIZE, operand, own_line, plus_tile
from .unrolled import unrolled_loop, unrolled_tuple

STAGES = 4
"""Tiles of each matrix in shared memory: one is multiplied while the copies of the others are on their way."""

AHEAD = (STAGES - 1) * DEPTH

SIZE = STAGES * TILE_SIZE

BLOCKS = 4
"""Blocks that shall fit on a multiprocessor: a thread may then have all of its 255 registers. With six, and 168
registers, the products of AlexNet took a quarter longer (H100)."""

LEAST_DEPTH = 128
"""The fewest terms that a split sums: to write and add the splits takes the longer, the shorter they are."""

ENOUGH_TILES = {True: 792, False: 1584}
"""Split-K is used below this number of tiles, if A lies by rows and if it does not (for dw): six and twelve for each of
an H100's 132 multiprocessors. For dw that is three rounds of blocks, so that it matters less that the last one does not
fill the GPU. Constants, so that the bits of a result do not depend on the card."""


def depth_of_splits(tiles: int, depth: int, a_by_rows: bool) -> int:
    """Split-K: the terms of the sums of one split, a multiple of DEPTH; all of them if there are enough tiles."""
    splits = max(1, min(ENOUGH_TILES[a_by_rows] // max(1, tiles), depth // LEAST_DEPTH))
    return max(1, -(-depth // (splits * DEPTH))) * DEPTH


def compute_capability() -> tuple[int, int]:
    """Of the GPU, as in (9, 0) for an H100."""
    return driver().capability


class Problem(NamedTuple):
    """The sizes of a product, as kernels need them.

    ``rows``, ``columns`` and ``depth`` of one point; the ``points``; the pitch of each matrix and the distance of its
    points, in elements; tiles beside each other in a row; the depth of a split, and the elements of its result; and if
    each point has a range of its own (``multiply``).
    """

    rows: int
    columns: int
    depth: int
    points: int
    a_pitch: int
    b_pitch: int
    out_pitch: int
    a_point: int
    b_point: int
    out_point: int
    tiles: int
    split_depth: int
    split_size: int
    has_ranges: int


class Matrix(NamedTuple):
    """An operand: its elements, how they lie, and the tables of one that is gathered: of its lines, of its depth."""

    elements: Any
    by_rows: bool
    pitch: int = 0
    point: int = 0
    line_table: Any = None
    depth_table: Any = None


def multiply(
    a: Matrix,
    b: Matrix,
    bias: Any,
    sizes: tuple[int, int, int],
    points: int,
    out: Any,
    ranges: Any = None,
    promoted: bool = True,
) -> None:
    """Writes to ``out`` the products of ``points`` matrices, side by side; ``sizes`` are rows, depth, columns of each.

    All pitches and distances are multiples of four elements, and all arrays begin at multiples of 16 bytes.
    With ``ranges``, begin and end for each point on the device, a point has these rows alone if A lies by rows, and
    else these terms of the sums; other rows of ``out`` are not written.
    If ``precision.current()`` is "tf32", a product takes a third of the arithmetic. ``promoted`` is for tests.
    """
    problem, blocks, splits = _problem(
        *sizes, points, a.by_rows, a.pitch, a.point, b.pitch, b.point, ranges is not None
    )
    check_size("an array of sums", splits * out.size)
    sums = out if splits == 1 else empty((splits, out.size), out.dtype)
    gathered = a.line_table is not None
    tables = (a.line_table, a.depth_table) if gathered else (_no_table(), _no_table())
    arguments = (
        a.elements.flat(),
        b.elements.flat(),
        bias,
        *tables,
        _no_table() if ranges is None else ranges,
        problem,
        sums.flat(),
    )
    function = product(a.by_rows, gathered, b.by_rows, precision.current(), promoted)
    launch_blocks(function, blocks, THREADS, *arguments)
    if splits > 1:
        column_sums(sums, out)


@functools.lru_cache(maxsize=512)
def _problem(
    rows: int,
    depth: int,
    columns: int,
    points: int,
    a_by_rows: bool,
    a_pitch: int,
    a_point: int,
    b_pitch: int,
    b_point: int,
    has_ranges: bool,
) -> tuple[Problem, tuple[int, int], int]:
    """The sizes of a product, its blocks, and its splits."""
    down, across = -(-rows // TILE), -(-columns // TILE)
    split_depth = depth_of_splits(down * across * points, depth, a_by_rows)
    splits = max(1, -(-depth // split_depth))
    pitches, distances = (a_pitch, b_pitch, columns * points), (a_point, b_point, columns)
    split = split_depth, rows * columns * points
    problem = Problem(rows, columns, depth, points, *pitches, *distances, across, *split, int(has_ranges))
    return problem, (down * across, points * splits), splits


@functools.cache
def _no_table() -> Any:
    return to_device(np.zeros(1, np.int32))


_wait = wait_until(STAGES - 2)


@functools.cache
def product(a_by_rows: bool, gathered: bool, b_by_rows: bool, of: str = "float32", promoted: bool = True) -> Any:
    """The kernel of a precision for matrices that lie so; ``gathered`` if A is im2col(x), or its transpose."""
    a_lines, look, fetch_a, read_a = operand(a_by_rows, gathered)
    b_lines, _, fetch_b, read_b = operand(b_by_rows, False)
    plus = plus_tile(of, promoted)

    def product(a, b, bias, line_table, depth_table, ranges, problem, sums):  # type: ignore[no-untyped-def]
        a_tiles = cuda.shared.array(SIZE, np.float32, alignment=16)
        b_tiles = cuda.shared.array(SIZE, np.float32, alignment=16)
        thread = np.int32(cuda.threadIdx.x & (THREADS - 1))  # the compiler then knows how large it can be
        row, col = divide(cuda.blockIdx.x, problem.tiles)
        row, col = np.int32(row * TILE), np.int32(col * TILE)
        split, point = divide(cuda.blockIdx.y, problem.points)
        start, rows, depths = np.int32(split * problem.split_depth), problem.rows, problem.depth
        if problem.has_ranges:
            begin, past = load(ranges, np.int32(2 * point)), load(ranges, np.int32(2 * point + 1))
            if a_by_rows:
                row, rows = np.int32(row + begin), past
            else:
                start, depths = np.int32(start + begin), past
        if row >= rows:
            return
        end = np.int32(min(start + problem.split_depth, depths))
        a_pitch, b_pitch = np.int32(problem.a_pitch), np.int32(problem.b_pitch)
        a_at = a_lines(point * problem.a_point, line_table, row, rows, a_pitch, thread)
        b_at = b_lines(point * problem.b_point, line_table, col, problem.columns, b_pitch, thread)
        ahead = look(depth_table, start, thread)
        for k in range(0, AHEAD, DEPTH):
            if start + k < end:
                fetch_a(a_tiles, k * TILE, a, a_at, ahead, a_pitch, start + k, end, thread)
                fetch_b(b_tiles, k * TILE, b, b_at, ahead, b_pitch, start + k, end, thread)
            commit()
            ahead = look(depth_table, start + k + DEPTH, thread)
        lane, warp = thread & 31, thread >> 5
        line, depth = own_line(lane), (lane & 3) << 2
        row, col = row + line, col + 32 * warp + depth
        # The bias is loaded while the first copies are on their way.
        total = _repeated(_bias_of_row(bias, point * problem.out_point, col, problem.columns if split == 0 else 0))
        tile, free = np.int32(0), np.int32(AHEAD * TILE)
        for k in range(start, end, np.int32(DEPTH)):
            # All but the newest copies are here. After the barrier, those of all threads; and the tile before was read.
            _wait()
            cuda.syncthreads()
            later = np.int32(k + AHEAD)
            if later < end:
                fetch_a(a_tiles, free, a, a_at, ahead, a_pitch, later, end, thread)
                fetch_b(b_tiles, free, b, b_at, ahead, b_pitch, later, end, thread)
                ahead = look(depth_table, later + DEPTH, thread)
            commit()
            top, bottom = read_a(a_tiles, tile, line, depth), read_a(a_tiles, tile, 32 + line, depth)
            total = plus(total, top, bottom, read_b(b_tiles, tile, 32 * warp + line, depth))
            free = tile
            tile = np.int32(tile + TILE_SIZE if tile < AHEAD * TILE else 0)
        _write(sums, split * problem.split_size + point * problem.out_point, row, col, total, rows, problem)

    ways = ["rows" if by_rows else "columns" for by_rows in (a_by_rows, b_by_rows)]
    product.__name__ = "_".join(["window"] * gathered + ways)
    return bounded_kernel(THREADS, BLOCKS)(product)


# Of a matrix product of 16 x 8, a lane's element 2 h + i is in the half h of its rows and in the half i of its columns.

_four_sums = unrolled_tuple(4, "left, right", "(left[{k}], right[{k}], left[{k}], right[{k}])")
_repeated = unrolled_tuple(4, "row", "row")


@device
def _bias_of_row(bias, first, col, columns):  # type: ignore[no-untyped-def]
    """A lane's sums of one row before anything is added: the bias, or 0 where ``columns`` end."""
    return _four_sums(_four_of_bias(bias, first, col, columns), _four_of_bias(bias, first, col + 16, columns))


@device
def _four_of_bias(bias, first, col, columns):  # type: ignore[no-untyped-def]
    zero = bias.dtype.type(0)
    four = (zero, zero, zero, zero)
    if col < columns:
        four = load4(bias, first + col)
    return four


@device
def _write_four(sums, first, row, col, four, rows, problem):  # type: ignore[no-untyped-def]
    if row < rows and col < problem.columns:
        store4(sums, first + row * problem.out_pitch + col, four)


_write = unrolled_loop(
    16,
    "sums, first, row, col, total, rows, problem",
    "write_four(sums, first, row + {k} // 4 + 32 * ({k} // 2 % 2), col + 16 * ({k} % 2), (total[{k} // 4][0][{k} % 4],"
    " total[{k} // 4][1][{k} % 4], total[{k} // 4][2][{k} % 4], total[{k} // 4][3][{k} % 4]), rows, problem)",
    write_four=_write_four,
)
