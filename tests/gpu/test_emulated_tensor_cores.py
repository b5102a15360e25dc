"""Copies beside the arithmetic and products of a warp, as the emulator runs them: results, and mistakes that it finds.

Runs with --emulated-gpu alone.
"""

from __future__ import annotations

import emulator
import numpy as np
import pytest
import warps
from arithmetic import KernelError, operation

if not emulator.state.installed:
    pytest.skip("for --emulated-gpu, which needs numba-cuda", allow_module_level=True)


from tinyalexnet import to_device, to_host
from tinyalexnet.devices.cuda import tensor_gemm
from tinyalexnet.devices.cuda.runtime import cuda, device, kernel, launch_blocks, load4, store4
from tinyalexnet.devices.cuda.tensor_cores import commit, copy16, plus_matrix_product, rounded, wait_until
from tinyalexnet.devices.cuda.tensor_gemm import Matrix

pytestmark = pytest.mark.cuda

THREADS = 64
wait_for_all, wait_for_all_but_one = wait_until(0), wait_until(1)


def launched(function, *arguments, threads=THREADS):
    """The arrays after the launch of two blocks."""
    arguments = [to_device(value) if isinstance(value, np.ndarray) else value for value in arguments]
    launch_blocks(function, (2,), threads, *arguments)
    return [to_host(value) for value in arguments if not isinstance(value, int)]


def copying(wait, barrier=True, again=False, used=None, sized=None):
    """A kernel that turns 256 elements of each block in groups of four, by way of shared memory.

    Each thread starts two copies, of which the second is of no use. ``used`` reads before the wait; ``again`` writes
    over what the others may still be reading.
    """
    never = device(lambda tile, thread: None)
    used = used or never

    @kernel
    def turning(x, out, size, shift):
        tile = cuda.shared.array(512, np.float32, alignment=16)
        thread = cuda.threadIdx.x
        first = cuda.blockIdx.x * 256
        copy16(tile, 4 * thread, x, first + 4 * thread + shift, size)
        commit()
        copy16(tile, 256 + 4 * thread, x, first, 0)
        commit()
        used(tile, thread)
        wait()
        if barrier:
            cuda.syncthreads()
        store4(out, first + 4 * thread, load4(tile, 4 * (THREADS - 1 - thread)))
        if again:
            copy16(tile, 4 * thread, x, first, 16)

    return turning


@device
def read_own(tile, thread):
    tile[256 + 4 * thread] = tile[4 * thread]


@device
def write_own(tile, thread):
    tile[4 * thread] = 0


X = np.arange(1, 513, dtype=np.float32)
TURNED = X.reshape(2, THREADS, 4)[:, ::-1]


@pytest.mark.parametrize("wait", [wait_for_all, wait_for_all_but_one], ids=["all", "all but the newest"])
@pytest.mark.parametrize("size", [16, 12, 4, 0])
def test_a_copy_arrives_after_wait_and_barrier_and_fills_up_with_zeros(wait, size):
    _, out = launched(copying(wait), X, np.zeros_like(X), size, 0)
    np.testing.assert_array_equal(out.reshape(TURNED.shape), np.where(np.arange(4) < size // 4, TURNED, 0))


@pytest.mark.parametrize(
    ("function", "size", "shift", "what"),
    [
        (copying(wait_until(2)), 16, 0, "shared memory that a copy may be writing"),
        (copying(wait_for_all, barrier=False), 16, 0, "a race"),
        (copying(wait_for_all, again=True), 16, 0, "a race"),
        (copying(wait_for_all, used=read_own), 16, 0, "shared memory that a copy may be writing"),
        (copying(wait_for_all, used=write_own), 16, 0, "shared memory that a copy may be writing"),
        (copying(wait_for_all), 16, 1, "an address that is not a multiple of 16"),
        (copying(wait_for_all), 20, 0, "a copy of more than 16 bytes"),
        (copying(wait_for_all), 16, 8, "an address outside of every array: block 1, thread 62"),
    ],
    ids=["wait too weak", "no barrier", "copied over", "read", "written", "shifted", "too long", "outside"],
)
def test_a_mistake_of_a_copy_is_found(function, size, shift, what):
    with pytest.raises(KernelError, match=what):
        launched(function, X, np.zeros_like(X), size, shift)


@kernel
def products(a, b, c, out, first):
    """One product of each warp; the registers lie in memory, thread by thread."""
    index = cuda.grid(1)
    if cuda.threadIdx.x >= first:
        total = plus_matrix_product(load4(c, 4 * index), load4(a, 4 * index), (b[2 * index], b[2 * index + 1]))
        store4(out, 4 * index, total)


def registers(matrix, rows, columns):
    return np.ascontiguousarray(np.stack([matrix[:, r, c] for r, c in zip(rows, columns, strict=True)], -1)).ravel()


def test_a_product_of_a_warp(rng):
    a, b, c = (rng.integers(-4, 5, (4, *shape)).astype(np.float32) for shape in ((16, 8), (8, 8), (16, 8)))
    g, t = np.arange(32) // 4, np.arange(32) % 4
    sums = (g, g, g + 8, g + 8), (2 * t, 2 * t + 1, 2 * t, 2 * t + 1)
    given = registers(a, (g, g + 8, g, g + 8), (t, t, t + 4, t + 4)), registers(b, (t, t + 4), (g, g))
    *_, out = launched(products, *given, registers(c, *sums), np.zeros(4 * 128, np.float32), 0)
    np.testing.assert_array_equal(out, registers(a @ b + c, *sums))
    with pytest.raises(KernelError, match="an instruction for whole warps, run by a part of one: block 0, thread 7"):
        launched(products, *given, registers(c, *sums), np.zeros(4 * 128, np.float32), 7)
    launched(products, *given, registers(c, *sums), np.zeros(4 * 128, np.float32), 32)


def test_a_tensor_core_ignores_low_bits_and_cuts_off():
    one, ulp = np.float32(1), np.float32(2**-23)
    assert warps.cut_off(np.array([1 + 2**-10, 1 + 2**-11, -1 - 2**-11], np.float32)).tolist() == [1 + 2**-10, 1, -1]
    zeros, ones = np.zeros(32, np.float32), np.ones(32, np.float32)
    for c, small, expected in ((1, 2**-24, one), (1, 2**-23, one + ulp), (1, 1.75 * 2**-23, one + ulp)):
        a = [np.full(32, small, np.float32), zeros, zeros, zeros]
        out = warps.matrix_product(a, [np.where(np.arange(32) % 4 == 0, ones, zeros), zeros], [c * ones] * 4)
        assert (out[0] == expected).all()
        out = warps.matrix_product([-a[0], *a[1:]], [np.where(np.arange(32) % 4 == 0, ones, zeros), zeros], [-ones] * 4)
        assert (out[0] == -expected).all()


@kernel
def all_rounded(x, out):
    out[cuda.grid(1)] = rounded(x[cuda.grid(1)])


def test_rounding_to_tf32_is_to_nearest_and_keeps_nan():
    values = [1 + 2**-11, 1 + 2**-12, -1 - 3 * 2**-11, np.nan, -np.inf, 3.4e38, 0.0]
    expected = [1 + 2**-10, 1, -1 - 2**-9, np.nan, -np.inf, operation(["cvt", "rna", "tf32", "f32"])(3.4e38), 0]
    x = np.resize(np.array(values, np.float32), 2 * THREADS)
    _, out = launched(all_rounded, x, np.zeros_like(x))
    np.testing.assert_array_equal(out, np.resize(np.array(expected, np.float32), 2 * THREADS))


@pytest.mark.parametrize(("a_by_rows", "b_by_rows"), [(True, False), (True, True), (False, False)])
def test_tiles_have_no_bank_conflicts(monkeypatch, a_by_rows, b_by_rows):
    """Each load and store of shared memory takes the fewest turns; there are four copies and three reads a tile."""
    found = []
    monkeypatch.setattr(emulator.state, "on_launch", found.append)
    square, depth = to_device(np.ones(64 * 64, np.float32)), 64
    matrices = Matrix(square, a_by_rows, 64), Matrix(square, b_by_rows, 64)
    out = to_device(np.zeros(64 * 64, np.float32))
    tensor_gemm.multiply(*matrices, to_device(np.zeros(64, np.float32)), (64, depth, 64), 1, out)
    np.testing.assert_array_equal(to_host(out), 64)
    (counts,) = (launch.counts for launch in found)
    assert counts.turns == counts.least_turns
    tiles, warps_of_block, turns = depth // 16, 2, 4
    assert counts.turns["store"] == tiles * warps_of_block * turns * (4 + 4)
    assert counts.turns["load"] == tiles * warps_of_block * turns * (8 + 4)
