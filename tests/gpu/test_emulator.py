"""The emulator itself: it computes the results of a GPU, and finds mistakes that a GPU passes over in silence.

Runs with --emulated-gpu alone.
"""

from __future__ import annotations

import gc
import math
from fractions import Fraction

import emulator
import numpy as np
import ptx
import pytest
from arithmetic import KernelError, operation
from hypothesis import given, settings
from hypothesis import strategies as st

if not emulator.state.installed:
    pytest.skip("for --emulated-gpu, which needs numba-cuda", allow_module_level=True)

from numba import cuda

from tinyalexnet import LocalResponseNorm, alexnet, softmax_cross_entropy, to_device, to_host
from tinyalexnet.alexnet import VARIANTS, Variant
from tinyalexnet.alexnet.variants import Conv, Drop, Flat, Full, Norm, Pool, Relu
from tinyalexnet.devices.cuda import driver
from tinyalexnet.devices.cuda.memory import empty
from tinyalexnet.devices.cuda.runtime import kernel, launch_blocks, load4, store4
from tinyalexnet.training.optimizer import SGD

pytestmark = pytest.mark.cuda

THREADS, BLOCKS = 64, 3


def launched(function, *arrays, blocks=BLOCKS, threads=THREADS):
    """The arrays after the launch."""
    on_device = [to_device(array) for array in arrays]
    launch_blocks(function, (blocks,), threads, *on_device)
    return [to_host(array) for array in on_device]


@kernel
def scattered(x, out):
    """Threads that take different branches, in loops of different lengths, and meet again; integers of both signs."""
    index = cuda.grid(1)
    if index >= x.size:
        return
    value, steps = x[index], 0
    while value != 1 and value != -1 and value != 0:
        quotient, remainder = divmod(value, 3)
        if remainder == 0:
            value = quotient
        elif remainder == 1:
            value -= 1
        else:
            value += 1
        steps += 1
    out[index] = steps * 10 + (value & 3) + (value >> 1)


def test_threads_that_take_different_branches_meet_again(rng):
    x = rng.integers(-(10**6), 10**6, 150)
    _, out = launched(scattered, x, np.zeros_like(x))
    expected = []
    for start in x.tolist():
        value, steps = start, 0
        while value not in (1, -1, 0):
            value = value // 3 if value % 3 == 0 else value - 1 if value % 3 == 1 else value + 1
            steps += 1
        expected.append(steps * 10 + (value & 3) + (value >> 1))
    np.testing.assert_array_equal(out, expected)


@kernel
def turned_within_a_block(x, out):
    own = cuda.shared.array(THREADS, np.float64)
    thread = cuda.threadIdx.x
    own[thread] = x[cuda.grid(1)]
    cuda.syncthreads()
    out[cuda.grid(1)] = own[THREADS - 1 - thread]


@kernel
def turned_without_a_barrier(x, out):
    own = cuda.shared.array(THREADS, np.float64)
    thread = cuda.threadIdx.x
    own[thread] = x[cuda.grid(1)]
    out[cuda.grid(1)] = own[THREADS - 1 - thread]


@kernel
def turned_again_without_a_barrier(x, out):
    own = cuda.shared.array(THREADS, np.float64)
    thread = cuda.threadIdx.x
    own[thread] = x[cuda.grid(1)]
    cuda.syncthreads()
    out[cuda.grid(1)] = own[THREADS - 1 - thread]
    own[thread] = 0.0


@kernel
def half_is_written(x, out):
    own = cuda.shared.array(THREADS, np.float64)
    thread = cuda.threadIdx.x
    if thread < THREADS // 2:
        own[thread] = x[cuda.grid(1)]
    cuda.syncthreads()
    out[cuda.grid(1)] = own[THREADS - 1 - thread]


@kernel
def barrier_for_some(x, out):
    if cuda.threadIdx.x < THREADS - 1:
        cuda.syncthreads()
        out[cuda.grid(1)] = x[cuda.grid(1)]


@kernel
def one_too_far(x, out):
    out[cuda.grid(1)] = x[cuda.grid(1) + 1]


@kernel
def all_to_one_element(x, out):
    out[0] = x[cuda.grid(1)]


@kernel
def written_by_the_neighbour(x, out):
    """Each thread reads an element that the thread before it writes, perhaps earlier."""
    index = cuda.grid(1)
    value = out[index - 1] if index > 0 else 0.0
    out[index] = value + x[index]


@kernel
def vectors_from_anywhere(x, out):
    store4(out, 4 * cuda.grid(1), load4(x, 4 * cuda.grid(1) + x.size // 1000))


def test_a_barrier_lets_threads_exchange(rng):
    x = rng.standard_normal(THREADS * BLOCKS)
    _, out = launched(turned_within_a_block, x, np.zeros_like(x))
    np.testing.assert_array_equal(out, x.reshape(BLOCKS, THREADS)[:, ::-1].ravel())


@pytest.mark.parametrize(
    ("kernel", "what"),
    [
        (turned_without_a_barrier, "shared memory that nobody has written|a race"),
        (turned_again_without_a_barrier, "a race"),
        (half_is_written, "shared memory that nobody has written"),
        (barrier_for_some, "a barrier that some threads of a block do not reach"),
        (one_too_far, "an address outside of every array: block 2, thread 63, at 'ld.global.f64"),
        (all_to_one_element, "a race: another thread uses the same element: block 0, thread 0, at 'st.global.f64"),
        (written_by_the_neighbour, "a race"),
    ],
)
def test_a_mistake_of_a_kernel_is_found(rng, kernel, what):
    x = rng.standard_normal(THREADS * BLOCKS)
    with pytest.raises(KernelError, match=what):
        launched(kernel, x, np.zeros_like(x))


def test_vectorised_loads_begin_at_multiples_of_four_elements(rng):
    x = rng.standard_normal(4 * THREADS * BLOCKS).astype(np.float32)
    _, out = launched(vectors_from_anywhere, x, np.zeros_like(x))
    np.testing.assert_array_equal(out, x)
    x = np.resize(x, 1001)
    with pytest.raises(KernelError, match="an address that is not a multiple of 16"):
        launched(vectors_from_anywhere, x, np.zeros_like(x), blocks=1, threads=32)


def test_new_memory_is_nan():
    assert np.isnan(to_host(empty((7,), np.float32))).all()


@kernel
def powers(x, y, out):
    index = cuda.grid(1)
    if index < x.size:
        out[index] = x[index] ** y[index] + math.exp(y[index]) + math.log(abs(x[index]) + y.dtype.type(1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_powers_and_logarithms(dtype, seed):
    """Each takes many instructions. The error is at most 8 units in the last place of the largest term."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0.01, 20, 40).astype(dtype), rng.uniform(-5, 5, 40).astype(dtype)
    *_, out = launched(powers, x, y, np.zeros_like(x))
    wide = [value.astype(np.longdouble) for value in (x, y)]
    terms = wide[0] ** wide[1], np.exp(wide[1]), np.log(wide[0] + 1)
    assert (np.abs(out - sum(terms)) <= 8 * np.finfo(dtype).eps * np.maximum.reduce(np.abs(terms))).all()


def test_integers_are_divided_and_multiplied(rng):
    a, b = rng.integers(-(2**63), 2**63 - 1, (2, 200))
    b[::2] >>= 40
    quotient = operation(["div", "s64"])
    assert quotient(a, b).tolist() == [math.trunc(Fraction(p, q)) for p, q in zip(a.tolist(), b.tolist(), strict=True)]
    high = operation(["mul", "hi", "s64"])
    assert high(a, b).tolist() == [p * q >> 64 for p, q in zip(a.tolist(), b.tolist(), strict=True)]
    with pytest.raises(KernelError, match="a division by 0"):
        quotient(a, a - a)
    with pytest.raises(NotImplementedError, match=r"popc\.b32"):
        operation(["popc", "b32"])


def test_nan_compares_as_on_a_gpu():
    nan, one = np.array([np.nan, 1.0, np.nan], np.float32), np.array([1.0, 1.0, np.nan], np.float32)
    for name, expected in {
        "lt": 0b000,
        "ge": 0b010,
        "ne": 0b000,
        "neu": 0b101,
        "ltu": 0b101,
        "num": 0b010,
        "nan": 0b101,
    }.items():
        found = operation(["setp", name, "f32"])(nan, one)
        assert found.tolist() == [bool(expected & bit) for bit in (4, 2, 1)], name


WORDS = 32 * THREADS


@kernel
def strided(x, out, stride):
    own = cuda.shared.array(WORDS, np.float32)
    index = cuda.grid(1)
    own[stride * cuda.threadIdx.x] = x[stride * index]
    cuda.syncthreads()
    out[index] = own[stride * (THREADS - 1 - cuda.threadIdx.x)]


@pytest.mark.parametrize(("stride", "moved", "turns"), [(1, 1, 1), (2, 2, 2), (3, 3, 1), (8, 8, 8), (32, 8, 32)])
def test_memory_is_counted(monkeypatch, stride, moved, turns):
    """Global memory moves at least 32 bytes at a time; shared memory takes turns if there are bank conflicts."""
    found = []
    monkeypatch.setattr(emulator.state, "on_launch", found.append)
    x = to_device(np.zeros(stride * THREADS * BLOCKS, np.float32))
    launch_blocks(strided, (BLOCKS,), THREADS, x, empty((THREADS * BLOCKS,), np.float32), stride)
    assert (found[0].kernel, found[0].ran, found[0].blocks) == ("strided", BLOCKS, BLOCKS)
    assert found[0].array_bytes == 4 * (stride + 1) * THREADS * BLOCKS
    counts = found[0].counts
    assert counts.requested == {"load": 4 * THREADS * BLOCKS, "store": 4 * THREADS * BLOCKS}
    assert counts.moved == {"load": moved * 4 * THREADS * BLOCKS, "store": 4 * THREADS * BLOCKS}
    warps = BLOCKS * THREADS // 32
    assert counts.least_turns == {"load": warps, "store": warps}
    assert counts.turns == {"load": turns * warps, "store": turns * warps}
    assert counts.instructions["ld.global.f32"] == warps


def test_a_step_requests_nothing_of_the_driver(monkeypatch, rng):
    """From the third step on, except for images, labels, dropout's seed, and the rates of weights and biases: in the
    second, the results of the first are held."""
    layers = (Conv("conv1", 8, 5, 2), Norm("norm1", LocalResponseNorm, {"radius": 2}), Pool("pool1"), Relu("relu1"))
    layers += Conv("conv2", 8, 3), Flat(), Full("fc3", 6), Drop("drop3"), Full("fc4")
    monkeypatch.setitem(VARIANTS, "tiny", Variant((20, 20, 3), layers, 5))
    net = alexnet("tiny", backend="cuda", algorithm="gemm")
    images = rng.standard_normal((2, 20, 20, 3)).astype(np.float32)
    sgd = SGD(net.params, backend="cuda")
    net.train = True
    monkeypatch.setattr(emulator.state, "requests", [])
    for step in range(4):
        x, labels = to_device(images), to_device(np.arange(2))
        _, dout = softmax_cross_entropy(net.forward(x), labels, "cuda")
        net.backward(dout)
        sgd.step(net.grads)
        if step == 1:
            gc.collect()  # compiling leaves cycles that hold frames, and so arrays
            assert set(emulator.state.requests) == {"memory", "host_to_device"}
            emulator.state.requests.clear()
    assert emulator.state.requests == 2 * 5 * ["host_to_device"]


def test_some_blocks_stand_for_all(monkeypatch):
    monkeypatch.setattr(emulator.state, "block_limit", 2)
    x = np.ones(THREADS * BLOCKS)
    _, out = launched(turned_within_a_block, x, np.zeros_like(x))
    np.testing.assert_array_equal(out.reshape(BLOCKS, THREADS).sum(1), [THREADS, 0, THREADS])


def test_every_kernel_is_found_and_launched():
    """``ptx.kernels`` fails if a kernel of the package is never launched."""
    found = {kernel.name for kernel in ptx.kernels()}
    expected = {"maxpool.forward", "simt_gemm.implicit_gemm", "conv2d.gather", "conv2d.winograd.transforms.transform"}
    kinds = ("rows_columns", "rows_rows", "columns_columns", "window_rows_columns", "window_columns_columns")
    assert expected | {f"tensor_gemm.{kind}" for kind in kinds} <= found


def test_a_second_installation_changes_nothing():
    before = driver.driver()
    emulator.install()
    assert driver.driver() is before
