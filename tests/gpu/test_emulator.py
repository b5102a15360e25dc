"""The emulation itself: it computes what a GPU would, and finds what a GPU would not tell.

python -m pytest -m cuda --emulated-gpu
"""

from __future__ import annotations

import math
from fractions import Fraction

import emulated_gpu
import gpu_estimate
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if not emulated_gpu.state.installed:
    pytest.skip("for --emulated-gpu, which needs numba-cuda", allow_module_level=True)

from numba import cuda
from ptx_interpreter import KernelError, operation
from tinyalexnet.kernels.cuda.runtime import launch_blocks, load_four, store_four

from tinyalexnet import alexnet, softmax_cross_entropy, to_device
from tinyalexnet.alexnet import VARIANTS, Conv, Drop, Flat, Full, Norm, Pool, Relu, Variant
from tinyalexnet.training.optimizer import SGD

pytestmark = pytest.mark.cuda
THREADS, BLOCKS = 64, 3


def launched(kernel, *arrays, blocks=BLOCKS, threads=THREADS):
    """What the arrays are after the launch."""
    on_device = [cuda.to_device(array) for array in arrays]
    launch_blocks(kernel, (blocks,), threads, *on_device)
    return [array.copy_to_host() for array in on_device]


@cuda.jit
def scattered(x, out):
    """Threads that part, in loops of different lengths, and meet again; with whole numbers of either sign."""
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


def test_threads_part_and_meet(rng):
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


@cuda.jit
def turned_within_a_block(x, out):
    own = cuda.shared.array(THREADS, np.float64)
    thread = cuda.threadIdx.x
    own[thread] = x[cuda.grid(1)]
    cuda.syncthreads()
    out[cuda.grid(1)] = own[THREADS - 1 - thread]


@cuda.jit
def turned_without_a_barrier(x, out):
    own = cuda.shared.array(THREADS, np.float64)
    thread = cuda.threadIdx.x
    own[thread] = x[cuda.grid(1)]
    out[cuda.grid(1)] = own[THREADS - 1 - thread]


@cuda.jit
def turned_again_without_a_barrier(x, out):
    own = cuda.shared.array(THREADS, np.float64)
    thread = cuda.threadIdx.x
    own[thread] = x[cuda.grid(1)]
    cuda.syncthreads()
    out[cuda.grid(1)] = own[THREADS - 1 - thread]
    own[thread] = 0.0


@cuda.jit
def half_is_written(x, out):
    own = cuda.shared.array(THREADS, np.float64)
    thread = cuda.threadIdx.x
    if thread < THREADS // 2:
        own[thread] = x[cuda.grid(1)]
    cuda.syncthreads()
    out[cuda.grid(1)] = own[THREADS - 1 - thread]


@cuda.jit
def barrier_for_some(x, out):
    if cuda.threadIdx.x < THREADS - 1:
        cuda.syncthreads()
        out[cuda.grid(1)] = x[cuda.grid(1)]


@cuda.jit
def one_too_far(x, out):
    out[cuda.grid(1)] = x[cuda.grid(1) + 1]


@cuda.jit
def all_to_one_place(x, out):
    out[0] = x[cuda.grid(1)]


@cuda.jit
def overwritten_by_the_neighbour(x, out):
    """What a thread reads the next one writes, perhaps before."""
    index = cuda.grid(1)
    value = out[index - 1] if index > 0 else 0.0
    out[index] = value + x[index]


@cuda.jit
def four_from_anywhere(x, out):
    store_four(out, 4 * cuda.grid(1), load_four(x, 4 * cuda.grid(1) + x.size // 1000))


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
        (all_to_one_place, "a race: another thread uses the same number: block 0, thread 0, at 'st.global.f64"),
        (overwritten_by_the_neighbour, "a race"),
    ],
)
def test_what_a_kernel_must_not_do_is_found(rng, kernel, what):
    x = rng.standard_normal(THREADS * BLOCKS)
    with pytest.raises(KernelError, match=what):
        launched(kernel, x, np.zeros_like(x))


def test_four_numbers_are_loaded_from_multiples_of_four(rng):
    x = rng.standard_normal(4 * THREADS * BLOCKS).astype(np.float32)
    _, out = launched(four_from_anywhere, x, np.zeros_like(x))
    np.testing.assert_array_equal(out, x)
    x = np.resize(x, 1001)
    with pytest.raises(KernelError, match="an address that is no multiple of 16"):
        launched(four_from_anywhere, x, np.zeros_like(x), blocks=1, threads=32)


def test_new_memory_holds_no_numbers():
    assert np.isnan(cuda.device_array(7, np.float32).copy_to_host()).all()


@cuda.jit
def powers(x, y, out):
    index = cuda.grid(1)
    if index < x.size:
        out[index] = x[index] ** y[index] + math.exp(y[index]) + math.log(abs(x[index]) + y.dtype.type(1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_powers_and_logarithms(dtype, seed):
    """Made of many instructions each: to 8 units in the last place of the largest term."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0.01, 20, 40).astype(dtype), rng.uniform(-5, 5, 40).astype(dtype)
    *_, out = launched(powers, x, y, np.zeros_like(x))
    wide = [value.astype(np.longdouble) for value in (x, y)]
    terms = wide[0] ** wide[1], np.exp(wide[1]), np.log(wide[0] + 1)
    assert (np.abs(out - sum(terms)) <= 8 * np.finfo(dtype).eps * np.maximum.reduce(np.abs(terms))).all()


def test_whole_numbers_are_divided_and_multiplied(rng):
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


def test_what_is_no_number_compares_as_on_a_gpu():
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


@cuda.jit
def strided(x, out, stride):
    own = cuda.shared.array(WORDS, np.float32)
    index = cuda.grid(1)
    own[stride * cuda.threadIdx.x] = x[stride * index]
    cuda.syncthreads()
    out[index] = own[stride * (THREADS - 1 - cuda.threadIdx.x)]


@pytest.mark.parametrize(("stride", "moved", "turns"), [(1, 1, 1), (2, 2, 2), (3, 3, 1), (8, 8, 8), (32, 8, 32)])
def test_memory_is_counted(monkeypatch, stride, moved, turns):
    """Global memory moves at least 32 bytes at a time; shared memory takes turns where threads meet in a bank."""
    found = []
    monkeypatch.setattr(emulated_gpu.state, "count", found.append)
    x = cuda.to_device(np.zeros(stride * THREADS * BLOCKS, np.float32))
    launch_blocks(strided, (BLOCKS,), THREADS, x, cuda.device_array(THREADS * BLOCKS, np.float32), stride)
    assert (found[0].kernel, found[0].ran, found[0].blocks) == ("strided", BLOCKS, BLOCKS)
    assert found[0].array_bytes == 4 * (stride + 1) * THREADS * BLOCKS
    counts = found[0].counts
    assert counts.requested == {"load": 4 * THREADS * BLOCKS, "store": 4 * THREADS * BLOCKS}
    assert counts.moved == {"load": moved * 4 * THREADS * BLOCKS, "store": 4 * THREADS * BLOCKS}
    warps = BLOCKS * THREADS // 32
    assert counts.least_turns == {"load": warps, "store": warps}
    assert counts.turns == {"load": turns * warps, "store": turns * warps}
    assert counts.instructions["ld.global.f32"] == warps


def test_a_step_asks_nothing_of_the_driver(monkeypatch, rng):
    """But for its images and labels. From the third on: in the second, what the first computed is still held."""
    layers = (Conv("conv1", 8, 5, 2), Norm("norm1", "tensorflow", {"radius": 2}), Pool("pool1", 3, 2), Relu("relu1"))
    layers += Conv("conv2", 8, 3), Flat(), Full("fc3", 6), Drop("drop3"), Full("fc4")
    monkeypatch.setitem(VARIANTS, "tiny", Variant((20, 20, 3), layers, 5))
    net = alexnet("tiny", backend="cuda", algorithm="gemm")
    images = rng.standard_normal((2, 20, 20, 3)).astype(np.float32)
    sgd = SGD(net.params, backend="cuda")
    net.train = True
    monkeypatch.setattr(emulated_gpu.state, "asked", [])
    for step in range(4):
        x, labels = to_device(images), to_device(np.arange(2))
        _, dout = softmax_cross_entropy(net.forward(x), labels, "cuda")
        net.backward(dout)
        sgd.step(net.grads)
        if step == 1:
            assert set(emulated_gpu.state.asked) == {"memory", "host_to_device"}
            emulated_gpu.state.asked.clear()
    assert emulated_gpu.state.asked == ["host_to_device", "host_to_device"] * 2


def test_some_blocks_stand_for_all(monkeypatch):
    monkeypatch.setattr(emulated_gpu.state, "most_blocks", 2)
    x = np.ones(THREADS * BLOCKS)
    _, out = launched(turned_within_a_block, x, np.zeros_like(x))
    np.testing.assert_array_equal(out.reshape(BLOCKS, THREADS).sum(1), [THREADS, 0, THREADS])


def test_a_step_is_estimated(monkeypatch, capsys):
    layers = (Conv("conv1", 64, 11, 4, "VALID"), Pool("pool1", 3, 2), Relu("relu1"), Conv("conv2", 64, 3))
    monkeypatch.setitem(VARIANTS, "tf2015", Variant((31, 31, 3), layers))
    found = gpu_estimate.rows(2, "auto")
    names = ["conv1", "pool1", "relu1", "conv2", "conv2", "relu1", "pool1", "conv1"]
    assert [name for name, *_ in found] == names
    assert emulated_gpu.state.count is emulated_gpu.state.most_blocks is None
    by_pass = {(name, what): row for name, what, row in found}
    assert all(row.launches > 0 and row.instructions > 0 and row.seconds > 0 for row in by_pass.values())
    # Images of 31 x 31, outputs of 6 x 6; and then what the kernel itself takes: weights and biases, taps and places.
    least = 4 * 2 * (31 * 31 * 3 + 6 * 6 * 64)
    assert 1 < by_pass["conv1", "forward"].array_bytes / least < 10
    # A thread multiplies for 64 sums: in tiles of 128 x 64, of which the 72 places fill one, eight at a time.
    assert by_pass["conv1", "forward"].arithmetic * 32 >= 128 * 64 * 11 * 11 * 3
    assert gpu_estimate.main(["--batch_size", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [*names, "forward:", "forward-backward:"]
