"""The GPU itself, and whole networks on it. Its operations are tested with those of the other backends: tests/ops.

pytest --backend cuda                       on a GPU
pytest --backend cuda --emulated-gpu        without one
"""

from __future__ import annotations

import gc
import importlib.util
import io
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from tinyalexnet import Conv2d, Sequential, alexnet, benchmark, l2_loss, softmax_cross_entropy, to_device, to_host
from tinyalexnet.alexnet import VARIANTS, Variant
from tinyalexnet.alexnet.variants import Conv, Drop, Flat, Full, Pool, Relu
from tinyalexnet.benchmark import timing, versus
from tinyalexnet.devices import device, machine
from tinyalexnet.devices.cuda import arrays, kernels, memory
from tinyalexnet.devices.cuda import device as cuda_device
from tinyalexnet.devices.cuda.driver import driver
from tinyalexnet.geometry import Window
from tinyalexnet.ops.conv2d import conv2d_backward_params, conv2d_forward
from tinyalexnet.ops.dropout import dropout_mask
from tinyalexnet.ops.relu import relu_forward
from tinyalexnet.training import Settings, Training
from tinyalexnet.training.data import Dataset, Images

pytestmark = pytest.mark.cuda
ROOT = Path(__file__).parents[2]


def host(values):
    return [to_host(value) for value in values]


# --- arrays -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (7,), (2, 3, 5)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.bool_, np.int64])
def test_arrays_go_there_and_back(rng, shape, dtype):
    array = rng.integers(0, 2, shape).astype(dtype)
    on_device = to_device(array)
    assert device("cuda").holds(on_device)
    assert not device("cuda").holds(array)
    np.testing.assert_array_equal(to_host(on_device), array, strict=True)
    assert to_host(array) is array
    other = np.array(1 - array.astype(int), dtype, order="F")
    device("cuda").write(on_device, other)
    np.testing.assert_array_equal(to_host(on_device), other, strict=True)


def test_a_view_of_the_host_arrives_in_its_own_order(rng):
    array = rng.standard_normal((4, 6))[::-1, ::2].T
    np.testing.assert_array_equal(to_host(to_device(array)), array, strict=True)


def test_arrays_of_the_host_are_refused(rng):
    conv = Conv2d(3, 5, 3, backend="cuda")
    x = rng.standard_normal((1, 4, 4, 3)).astype(np.float32)
    with pytest.raises(TypeError, match="x is a ndarray, but must be an array on the device, made by to_device"):
        conv.forward(x)
    with pytest.raises(TypeError, match=r"x is a .*, but must be a NumPy array of dtype float32 or float64"):
        Conv2d(3, 5, 3).forward(to_device(x))
    with pytest.raises(TypeError, match="out is a ndarray, but must be an array on the device"):
        relu_forward(to_device(x), x, "cuda")
    conv.forward(to_device(x))
    with pytest.raises(ValueError, match=r"dout has shape \(1, 4, 4, 3\), but must have the output's shape"):
        conv.backward(to_device(x))
    with pytest.raises(ValueError, match=r"algorithm is 'winograd', but must be .* for stride \(2, 2\)"):
        Conv2d(3, 5, 3, 2, backend="cuda", algorithm="winograd").forward(to_device(x))


def test_arrays_of_more_elements_than_kernels_count_are_refused(monkeypatch):
    x, w, b = (to_device(np.ones(shape, np.float32)) for shape in ((1, 4, 4, 3), (3, 3, 3, 4), 4))
    monkeypatch.setattr(arrays, "MAX_SIZE", 107)
    with pytest.raises(ValueError, match="w has 108 elements, but may have at most 107 on a GPU: take a smaller batch"):
        conv2d_forward(x, w, b, Window(3), backend="cuda")
    monkeypatch.setattr(arrays, "MAX_SIZE", 110)
    with pytest.raises(ValueError, match=r"a transformed array has \d+ elements, but may have at most 110"):
        conv2d_forward(x, w, b, Window(3), 1, "winograd", backend="cuda")
    monkeypatch.setattr(arrays, "MAX_SIZE", 60)
    with pytest.raises(ValueError, match="an array has 64 elements"):
        dropout_mask((64,), 0.5, 1, "cuda")


def test_a_label_out_of_range_is_no_number(rng):
    logits, labels = rng.standard_normal((3, 4)).astype(np.float32), np.array([0, 4, -1])
    loss, dlogits = host(softmax_cross_entropy(to_device(logits), to_device(labels), "cuda"))
    assert np.isnan(loss).all()
    assert np.isnan(dlogits[1:]).all()
    assert np.isfinite(dlogits[0]).all()


def test_a_training_step_allocates_nothing_after_the_second(rng, monkeypatch):
    """The memory of arrays that nothing refers to is used again."""
    layers = Conv("conv1", 4, 3), Pool("pool1", 2), Relu("relu1"), Flat(), Drop("drop2"), Full("fc2")
    net = alexnet(Variant((6, 5, 2), layers, 3), backend="cuda", algorithm="gemm")
    images, labels = to_device(rng.standard_normal((2, 6, 5, 2)).astype(np.float32)), to_device(np.array([1, 2]))

    def step():
        _, dout = softmax_cross_entropy(net.forward(images), labels, "cuda")
        net.backward(dout)

    for _ in range(2):
        step()
        gc.collect()  # compiling leaves cycles that hold frames, and so arrays
    asked, gpu = [], driver()
    allocate = gpu.allocate
    monkeypatch.setattr(gpu, "allocate", lambda size: asked.append(size) or allocate(size))
    step()
    assert not asked


def test_memory_is_given_back_to_the_driver(monkeypatch):
    freed, gpu = [], driver()
    free = gpu.free
    monkeypatch.setattr(gpu, "free", lambda address: freed.append(address) or free(address))
    array = to_device(np.zeros(1000, np.float32))
    address = array.address
    device("cuda").release_memory()
    assert address not in freed
    del array
    device("cuda").release_memory()
    assert address in freed


# --- the device -------------------------------------------------------------------------------------------------------


def test_the_device_describes_itself():
    gpu = device("cuda")
    assert (gpu.name, gpu.on_host, gpu.compiles) == ("cuda", False, True)
    assert gpu.free_memory() > 0
    assert gpu.held_memory() == 0
    assert re.fullmatch(r".+, sm_\d+", gpu.processor(1))
    assert gpu.arithmetic(1) == f"GPU {gpu.processor(1)}, by whose clock each step is timed until it is done"
    assert gpu.most_threads() == machine.cores()
    steps = []
    assert gpu.seconds_of(lambda: steps.append(1)) >= 0
    gpu.wait()
    assert steps == [1]


def test_the_first_version_is_exact_too_and_can_be_timed(rng, capsys, monkeypatch):
    spec = importlib.util.spec_from_file_location("gpu_ladder", ROOT / "docs" / "gpu_ladder.py")
    first = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(first)
    window, groups = Window((3, 2), (2, 1), ((1, 0), (0, 1))), 2
    # More elements than a block has threads.
    filters = 2 * (kernels.THREADS // 16 + 1)
    x, w, b = (rng.integers(-4, 5, s).astype(np.float32) for s in ((1, 6, 7, 4), (3, 2, 2, filters), filters))
    expected = conv2d_forward(x, w, b, window, groups, backend="reference")
    np.testing.assert_array_equal(to_host(first.conv2d_forward(*map(to_device, (x, w, b)), window, groups)), expected)
    dout = rng.integers(-4, 5, expected.shape).astype(np.float32)
    found = host(first.conv2d_backward_params(to_device(dout), to_device(x), window, groups))
    for one, other in zip(found, conv2d_backward_params(dout, x, window, groups, backend="reference"), strict=True):
        np.testing.assert_array_equal(one, other)
    monkeypatch.setitem(VARIANTS, "tf2015", Variant((6, 5, 2), (Conv("conv1", 4, 3),)))
    monkeypatch.setattr(sys, "argv", ["gpu_ladder.py", "--batch_size", "1", "--rounds", "2"])
    assert first.main() == 0
    assert re.search(r"conv1 +forward( +\d+\.\d+){5}\nconv1 +dw ", capsys.readouterr().out)


# --- networks ---------------------------------------------------------------------------------------------------------


def test_a_network_is_that_of_the_reference(rng):
    """Every kind of kernel in one step, and the same parameters from the same seed."""
    nets = {backend: alexnet("digits", backend=backend, num_classes=7) for backend in ("reference", "cuda")}
    images, labels = rng.standard_normal((3, 8, 8, 1)).astype(np.float32), rng.integers(0, 7, 3)
    grads = {}
    for backend, net in nets.items():
        to = device(backend).to_device
        _, dout = softmax_cross_entropy(net.forward(to(images)), to(labels), backend)
        assert net.backward(dout) is None
        grads[backend] = {name: to_host(value) for name, value in net.grads.items()}
    for name, expected in grads["reference"].items():
        np.testing.assert_array_equal(to_host(nets["cuda"].params[name]), nets["reference"].params[name])
        # Sums of at most 512 products, through five layers.
        np.testing.assert_allclose(grads["cuda"][name], expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_step_is_the_same_bit_for_bit(rng):
    net = Sequential([("conv", Conv2d(3, 5, 3, 1, "SAME", backend="cuda", rng=1))])
    x = to_device(rng.standard_normal((2, 7, 6, 3)).astype(np.float32))
    results = []
    for _ in range(2):
        loss, dout = l2_loss(net.forward(x), "cuda")
        dx = net.backward(dout)
        results.append([to_host(value).tobytes() for value in (loss, dx, *net.grads.values())])
    assert results[0] == results[1]


def test_training_is_that_of_the_reference(rng, monkeypatch, tmp_path):
    """Two steps, a checkpoint, and a third one that goes on from it."""
    table = Variant((4, 4, 1), (Conv("conv1", 4, 3), Relu("relu1"), Flat(), Drop("drop2", 0.25), Full("fc2")), 3)
    monkeypatch.setitem(VARIANTS, "tiny", table)
    pixels, labels = rng.integers(0, 256, (12, 4, 4, 1), dtype=np.uint8), np.arange(12) % 3
    some = Images(pixels, labels, ("a", "b", "c"))
    found = {}
    for backend in ("reference", "cuda"):
        settings = Settings("tiny", batch_size=4, backend=backend, learning_rate=0.01)
        run, path = Training(settings, Dataset("tiny", some, some)), tmp_path / backend
        run.advance()
        run.advance(statistics=True)
        run.save(path)
        run = Training(settings, Dataset("tiny", some, some))
        run.restore(path)
        run.advance()
        found[backend] = [to_host(value) for value in run.net.params.values()] + [run.probabilities(pixels)]
    for one, expected in zip(found["cuda"], found["reference"], strict=True):
        np.testing.assert_allclose(one, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


# --- the benchmark ----------------------------------------------------------------------------------------------------


def test_the_benchmark_runs(monkeypatch):
    monkeypatch.setattr(timing, "BURN_IN_STEPS", 0)
    layers = (Conv("conv1", 4, 3), Pool("pool1", 2), Relu("relu1"), Flat(), Full("fc2", 6), Drop("drop2"), Full("fc3"))
    monkeypatch.setitem(VARIANTS, "tiny", Variant((6, 5, 2), layers, num_classes=3))
    monkeypatch.setitem(VARIANTS, "tinier", Variant((6, 5, 2), layers[:3]))
    for variant, precision, products in (("tiny", "float32", ""), ("tinier", "tf32", ", products in TF32")):
        out, err = io.StringIO(), io.StringIO()
        options = benchmark.Options(batch_size=2, num_batches=1, variant=variant, backend="cuda", precision=precision)
        assert benchmark.run(options, out, err) == 0
        assert out.getvalue().startswith("conv1   [2, 6, 5, 4]\npool1   [2, 3, 2, 4]\n")
        assert "Forward-backward across 1 steps, " in out.getvalue()
        clock = device("cuda").arithmetic(1)
        assert (
            f"backend cuda, {machine.cores()} threads | {clock} | float32 NHWC{products} | each step" in err.getvalue()
        )
        assert re.search(r"\n\d+ functions compiled(, all from the cache)?; ready after ", err.getvalue())


@pytest.mark.parametrize("graph", [True, False])
def test_the_memory_estimate_is_near(monkeypatch, graph):
    """Within a quarter of what both passes allocate. No kernel runs: the numbers do not matter."""
    gpu, held, most = driver(), {}, [0]
    allocate, free = gpu.allocate, gpu.free

    def counted(size):
        address = allocate(size)
        held[address] = size
        most[0] = max(most[0], sum(held.values()))
        return address

    monkeypatch.setattr(gpu, "allocate", counted)
    monkeypatch.setattr(gpu, "free", lambda address: held.pop(address, None) and free(address))
    monkeypatch.setattr(gpu, "launch", lambda *arguments: None)
    net = alexnet("cifar", "cuda")
    shape = (16, *VARIANTS["cifar"].image_shape)
    with memory.serving(memory.DeviceMemoryPool(gpu)):
        work = timing.Workload(
            net, to_device(np.zeros(shape, np.float32)), lambda y: l2_loss(y, "cuda"), device("cuda"), graph
        )
        for name in ("Forward", "Forward-backward"):
            step = work.step(name)
            for _ in range(3):
                step()
            del step
    parameters = sum(value.nbytes for value in net.params.values())
    assert 0.75 < benchmark.memory_estimate(net, shape, "cuda", backward=True) / (most[0] + parameters) < 1.25


def test_a_comparison_has_both_on_the_gpu(monkeypatch):
    """With the framework of ``fake_network.py``, which computes on the CPU what it is told to compute on a GPU."""
    monkeypatch.setattr(timing, "BURN_IN_STEPS", 0)
    monkeypatch.setattr(versus, "TURN_SECONDS", 0.03)
    monkeypatch.setitem(
        VARIANTS, "tiny", Variant((6, 5, 2), (Conv("conv1", 4, 3), Relu("relu1"), Flat(), Full("fc2", 5)))
    )
    monkeypatch.setitem(versus.PACKAGES, "fake", "fake-cuda")
    monkeypatch.setattr(versus, "ON_GPU", {"fake"})
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests" / "benchmark"), prepend=os.pathsep)
    out = io.StringIO()
    choices = versus.Choice("fake"), versus.Choice("fake", tf32=True)
    options = benchmark.Options(2, 1, "tiny", "cuda", rounds=2, versus=choices)
    assert benchmark.run(options, out, io.StringIO()) == 0
    lines = out.getvalue().splitlines()
    for start, name in ((-8, "fake 1.2, cuda"), (-4, "fake 1.2, cuda-tf32")):
        assert lines[start] == f"versus {name}, medians of 2 rounds"
        assert [line.split()[0] for line in lines[start + 1 : start + 3]] == ["Forward", "Forward-backward"]
        differences = re.fullmatch(
            r"relative difference of the output (\S+), of the gradients at most (\S+) \(.*", lines[start + 3]
        )
        assert max(map(float, differences.groups())) < 1e-6
    with pytest.raises(ValueError, match="versus is 'jax', but must be one of 'fake' with backend 'cuda'"):
        benchmark.run(benchmark.Options(backend="cuda", versus=(versus.Choice("jax"),)), out, io.StringIO())


def test_the_table_and_the_picture_of_layers(monkeypatch, tmp_path):
    monkeypatch.setattr(timing, "BURN_IN_STEPS", 0)
    monkeypatch.setitem(VARIANTS, "tiny", Variant((6, 5, 2), (Conv("conv1", 4, 3), Pool("pool1", 2), Relu("relu1"))))
    monkeypatch.setattr(cuda_device, "COPY_BYTES", 1 << 20)
    out, plot = io.StringIO(), tmp_path / "layers.svg"
    options = benchmark.Options(2, 1, "tiny", "cuda", rounds=2, layers=True, plot=str(plot))
    assert benchmark.run(options, out, io.StringIO()) == 0
    assert re.search(r"^conv1  \[2, 6, 5, 4\] +76 +4320 gemm +\d", out.getvalue(), re.MULTILINE)
    assert "memory: images 0 MB" in out.getvalue()
    assert f"tiny, batch 2, {device('cuda').processor(1)}" in plot.read_text()
