"""Sums in a fixed order: the same bits every time. The sizes alone decide which thread adds which elements."""

import functools
from typing import Any, NamedTuple

import numpy as np

from .memory import empty
from .runtime import THREADS, cuda, device, divide, kernel, launch_blocks, load, load4, store, store4

BLOCKS = 528
"""The most blocks of a first stage: four for each of an H100's 132 multiprocessors."""

FEW_ROWS = 32
"""Up to so many rows, such as the sums of split-K, a thread of ``column_sums`` adds all rows of its columns."""

ONE_STAGE = 1024
"""Up to so many rows ``column_sums`` has one stage."""

OWN_ROWS = 16
"""The fewest rows, if there are more stages, that a thread adds."""

MOST_ACROSS = {FEW_ROWS: THREADS, ONE_STAGE: 4}
"""Up to so many rows: the most threads of a block side by side, with four columns each. The others add other rows: so
there are enough blocks if one stage must do. Of more rows, 32 threads load 512 bytes each."""


def sum_of(terms: Any, factor: float = 1.0) -> Any:
    """``factor`` times the sum, as a device array of one element.

    Shapes
        terms (N,), float64 -> (1,), float64.
    Schedule
        One block: thread t sums terms t, t + THREADS, ...; then ``block_sum``. For few terms: one of each row of a
        batch, or of each block of a first stage.
    """
    total = empty((1,), np.float64)
    launch_blocks(_sum, (1,), THREADS, terms, np.float64(factor), total)
    return total


def first_stage_blocks(count: int) -> int:
    """Blocks of THREADS threads of a first stage over ``count`` elements, of which each thread takes four at a time."""
    return max(1, min(BLOCKS, -(-count // (4 * THREADS))))


ROOM = 4 * THREADS
"""Elements in shared memory: four for each thread."""


class Part(NamedTuple):
    """A stage of ``column_sums``: the size of its matrix, the rows that a block adds, its threads side by side, and in
    memory the distance of two rows and the first column."""

    rows: int
    columns: int
    run: int
    across: int
    pitch: int
    first: int


def column_sums(matrix: Any, out: Any, first: int | None = None) -> None:
    """Writes to ``out`` the sums of the columns; of out.size columns from ``first`` on, if that is given.

    Shapes
        matrix (M, out.size), or (M, ..., more) with ``first``, out of any shape, of one dtype.
    Schedule
        A block adds a run of rows of some columns. A thread has four columns, which it loads with 16 bytes, and of the
        run every ``THREADS / across``-th row, four of them at a time. Then a tree in shared memory adds the threads of
        a column. If there is more than one run, their sums are the rows of the next stage.
    """
    columns = out.size
    pitch = columns if first is None else matrix.shape[-1]
    part, blocks, aligned = _part(matrix.size // pitch, columns, pitch, first or 0)
    runs = blocks[1]
    sums = out if runs == 1 else empty((runs, columns), out.dtype)
    launch_blocks(_column_sums(aligned), blocks, THREADS, part, matrix.flat(), sums.flat())
    if runs > 1:
        column_sums(sums, out)


@functools.lru_cache(maxsize=256)
def _part(rows: int, columns: int, pitch: int, first: int) -> tuple[Part, tuple[int, int], bool]:
    """A stage, its blocks (across the columns, and runs of rows), and if rows begin at multiples of four."""
    across = _threads_across(rows, columns)
    chunks, down = -(-columns // (4 * across)), THREADS // across
    runs = 1
    if rows > ONE_STAGE:
        runs = max(1, min(BLOCKS // chunks, rows // (down * OWN_ROWS)))
    run = max(1, -(-rows // runs))
    aligned = columns % 4 == 0 and pitch % 4 == 0 and first % 4 == 0
    return Part(rows, columns, run, across, pitch, first), (chunks, max(1, -(-rows // run))), aligned


def _threads_across(rows: int, columns: int) -> int:
    """Threads side by side, a power of two. At most a ninth of them are idle in the last block, or there is one."""
    fours = -(-columns // 4)
    across = next((most for limit, most in MOST_ACROSS.items() if rows <= limit), 32)
    while across > 1 and 8 * -(-fours // across) * across > 9 * fours:
        across //= 2
    return across


def block_tree(combine: Any, threads: int) -> Any:
    """A device function that combines a value of each of a block's ``threads``, a power of two, by ``combine(a, b)``.

    Its arguments are a shared array with room for one value of each thread, and a thread's value. All threads get the
    result.
    """

    @device
    def tree(own, value):  # type: ignore[no-untyped-def]
        thread = cuda.threadIdx.x
        own[thread] = value
        half = threads // 2
        while half > 0:
            cuda.syncthreads()
            if thread < half:
                own[thread] = combine(own[thread], own[thread + half])
            half //= 2
        cuda.syncthreads()
        return own[0]

    return tree


@device
def _sum_of_two(a, b):  # type: ignore[no-untyped-def]
    return a + b


block_sum = block_tree(_sum_of_two, THREADS)
"""Adds one value of each of THREADS threads."""


@kernel
def _sum(terms, factor, total):  # type: ignore[no-untyped-def]
    own = cuda.shared.array(THREADS, np.float64)
    part = 0.0
    for index in range(cuda.threadIdx.x, terms.size, THREADS):
        part += terms[index]
    part = block_sum(own, part)
    if cuda.threadIdx.x == 0:
        total[0] = factor * part


# --- column_sums ------------------------------------------------------------------------------------------------------


@functools.cache
def _column_sums(aligned: bool) -> Any:
    """A stage of ``column_sums``. ``aligned`` is a constant: without branches, all loads of a round are on their way
    before the first is needed."""

    @kernel
    def column_sums(part, matrix, sums):  # type: ignore[no-untyped-def]
        own = cuda.shared.array(ROOM, matrix.dtype, alignment=16)
        thread = cuda.threadIdx.x
        down, _ = divide(THREADS, part.across)
        first, place = divide(thread, part.across)
        column = 4 * (cuda.blockIdx.x * part.across + place)
        count = part.columns - column
        start = cuda.blockIdx.y * part.run
        end = min(part.rows, start + part.run) if count > 0 else start
        zero = matrix.dtype.type(0)
        total = zero, zero, zero, zero
        row = start + first
        while row < end:
            upper = _row(matrix, row, end, column, part, aligned)
            second = _row(matrix, row + down, end, column, part, aligned)
            third = _row(matrix, row + 2 * down, end, column, part, aligned)
            lower = _row(matrix, row + 3 * down, end, column, part, aligned)
            total = _plus(total, _plus(_plus(upper, second), _plus(third, lower)))
            row += 4 * down
        half = down // 2
        while half > 0:
            store4(own, 4 * thread, total)
            cuda.syncthreads()
            if first < half:
                total = _plus(total, load4(own, 4 * (thread + half * part.across)))
            cuda.syncthreads()
            half //= 2
        if first == 0 and count > 0:
            _store_four(sums, cuda.blockIdx.y * part.columns + column, count, aligned, total)

    return column_sums


@device
def _row(matrix, row, end, column, part, aligned):  # type: ignore[no-untyped-def]
    """Four columns of a row, or zeros from row ``end`` on."""
    found = _load_four(matrix, min(row, end - 1) * part.pitch + part.first + column, part.columns - column, aligned)
    zero = matrix.dtype.type(0)
    return found if row < end else (zero, zero, zero, zero)


@device
def _plus(a, b):  # type: ignore[no-untyped-def]
    return a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]


@device
def _load_four(array, at, count, aligned):  # type: ignore[no-untyped-def]
    """Elements at ... at + 3; 0 for those behind the first ``count``, which are at least 4 if ``aligned``."""
    if aligned:
        return load4(array, np.int32(at))
    zero = array.dtype.type(0)
    return (
        load(array, at),
        load(array, at + 1) if count > 1 else zero,
        load(array, at + 2) if count > 2 else zero,
        load(array, at + 3) if count > 3 else zero,
    )


@device
def _store_four(array, at, count, aligned, four):  # type: ignore[no-untyped-def]
    """Writes the elements that ``_load_four`` would read."""
    if aligned:
        store4(array, np.int32(at), four)
    else:
        store(array, at, four[0])
        if count > 1:
            store(array, at + 1, four[1])
        if count > 2:
            store(array, at + 2, four[2])
        if count > 3:
            store(array, at + 3, four[3])
