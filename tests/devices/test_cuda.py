"""The backend on a GPU against the reference: on real hardware, or without, in a process of its own.

python -m pytest -m cuda                            on a GPU
NUMBA_ENABLE_CUDASIM=1 python -m pytest -m cuda     in Numba's simulator: the kernels as plain Python
python -m pytest -m cuda --emulated-gpu             compiled, and interpreted: ptx_interpreter.py; needs numba-cuda
"""

from __future__ import annotations

import importlib.util
import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import Case, cases
from tinyalexnet.kernels.cuda import conv2d, runtime, tiles

from tinyalexnet import (
    Conv2d,
    Sequential,
    alexnet,
    benchmark,
    kernels,
    l2_loss,
    machine,
    softmax_cross_entropy,
    to_device,
    to_host,
    versus,
)
from tinyalexnet.alexnet import VARIANTS, Conv, Drop, Flat, Full, Pool, Relu, Variant
from tinyalexnet.geometry import Window
from tinyalexnet.training import Settings, Training
from tinyalexnet.training.data import Dataset, Images

pytestmark = pytest.mark.cuda
if not runtime.cuda.is_available():
    pytest.skip("no GPU, neither simulated nor emulated", allow_module_level=True)

# The simulator starts a thread of Python for each number.
few = settings(max_examples=25)
BLOCK = runtime.THREADS
PAST_A_BLOCK = Case(Window((3, 2), (2, 1), ((1, 0), (0, 1))), (1, 6, 7, 4), 2 * (BLOCK // 16 + 1), 2, 1)
# Past a tile in each direction; loaded four at a time: both matrices, one of them, the other. In the last two sums over
# the places, and over the taps, are cut into parts.
PIXELS = 6 * 7
IMAGES = max(tiles.ROWS // PIXELS + 2, -(-2 * tiles.LEAST_STEPS * tiles.DEPTH // PIXELS))
PAST_A_TILE = [
    Case(Window((3, 2), 1, "SAME"), (IMAGES, 6, 7, 8), 2 * tiles.COLS + 8, 2, 1),
    Case(Window((2, 3), 1, "SAME"), (IMAGES, 6, 7, 4), tiles.COLS + 2, 1, 2),
    Case(Window(1, 1, "SAME"), (IMAGES, 6, 7, 9), tiles.COLS + 4, 1, 3),
    Case(Window((2, 1), 1, "SAME"), (IMAGES, 6, 7, tiles.LEAST_STEPS * tiles.DEPTH), 5, 1, 4),
]


@pytest.fixture(autouse=True)
def quick_turns():
    """The simulator's own thread asks all others in turn whether they wait: it must not keep Python for 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def host(result):
    return tuple(map(host, result)) if isinstance(result, tuple) else to_host(result)


def both(name, *arguments):
    """What the reference makes of the arguments, and what the GPU makes of them; each a tuple."""
    expected = getattr(kernels.load("reference"), name)(*arguments)
    on_device = [to_device(value) if isinstance(value, np.ndarray) else value for value in arguments]
    found = host(getattr(kernels.load("cuda"), name)(*on_device))
    as_tuple = [value if isinstance(value, tuple) else (value,) for value in (expected, found)]
    return zip(*as_tuple, strict=True)


def equal(name, *arguments):
    for expected, found in both(name, *arguments):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def close(name, *arguments, units=64):
    """To some units in the last place of the largest number: the order of the sums differs, and so do exp and pow."""
    for expected, found in both(name, *arguments):
        dtype = np.asarray(arguments[0]).dtype
        assert np.shape(expected) in (found.shape, ())
        np.testing.assert_allclose(
            found, expected, rtol=0, atol=units * np.finfo(dtype).eps * max(1, np.abs(expected).max())
        )


@few
@given(case=cases())
@example(case=PAST_A_BLOCK)
@example(case=PAST_A_TILE[0])
@example(case=PAST_A_TILE[1])
@example(case=PAST_A_TILE[2])
@example(case=PAST_A_TILE[3])
def test_the_convolution_and_its_backwards_are_exact_on_integers(case):
    x, w, b, dout = case.integers()
    equal("conv2d_forward", x, w, b, case.window, case.groups, "gemm")
    equal("conv2d_backward_input", dout, w, x.shape, case.window, case.groups, "gemm")
    equal("conv2d_backward_params", dout, x, case.window, case.groups, "gemm")


# A block of the simulator's threads for each of up to 64 points: few, and small.
@pytest.mark.parametrize(
    "case",
    [
        Case(Window(3, 1, "SAME"), (2, 5, 6, 3), 4, 1, 1),
        Case(Window((2, 3), 1, ((2, 0), (1, 3))), (1, 4, 3, 4), 6, 2, 2),
    ],
)
def test_winograd_is_as_accurate_as_on_a_cpu(case):
    """Relative L2 at most 2e-5, the bound of the other backends (docs/winograd.md)."""
    x, w, b, dout = case.normals(np.float32)
    reference, cuda = kernels.load("reference"), kernels.load("cuda")
    exact = [array.astype(np.float64) for array in (x, w, b, dout)]
    x, w, b, dout = map(to_device, (x, w, b, dout))
    last = case.window, case.groups, "winograd"
    found = [cuda.conv2d_forward(x, w, b, *last), cuda.conv2d_backward_input(dout, w, x.shape, *last)]
    found += cuda.conv2d_backward_params(dout, x, *last)
    x, w, b, dout = exact
    expected = [
        reference.conv2d_forward(x, w, b, *last[:2]),
        reference.conv2d_backward_input(dout, w, x.shape, *last[:2]),
    ]
    expected += reference.conv2d_backward_params(dout, x, *last[:2])
    for one, other in zip(found, expected, strict=True):
        assert np.linalg.norm(to_host(one) - other) <= 2e-5 * np.linalg.norm(other)


def test_auto_takes_winograd_where_it_pays():
    conv3 = (128, 13, 13, 192), 384, Window(3, 1, "SAME"), 1
    assert conv2d._tile("auto", *conv3, np.dtype(np.float32)).r == (3, 3)
    assert conv2d._tile("auto", *conv3, np.dtype(np.float64)) is None
    assert conv2d._tile("gemm", *conv3, np.dtype(np.float32)) is None
    assert conv2d._tile("auto", (128, 227, 227, 3), 64, Window(11, 4), 1, np.dtype(np.float32)) is None


def test_the_first_version_is_exact_too_and_can_be_timed(capsys, monkeypatch):
    path = Path(__file__).parents[1] / "docs" / "gpu_first.py"
    spec = importlib.util.spec_from_file_location("gpu_first", path)
    first = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(first)
    case = PAST_A_BLOCK
    x, w, b, dout = case.integers()
    found = host(first.conv2d_forward(*map(to_device, (x, w, b)), case.window, case.groups))
    reference = kernels.load("reference")
    np.testing.assert_array_equal(found, reference.conv2d_forward(x, w, b, case.window, case.groups))
    found = host(first.conv2d_backward_params(to_device(dout), to_device(x), case.window, case.groups))
    for one, expected in zip(found, reference.conv2d_backward_params(dout, x, case.window, case.groups), strict=True):
        np.testing.assert_array_equal(one, expected)
    monkeypatch.setitem(VARIANTS, "tf2015", Variant((6, 5, 2), (Conv("conv1", 4, 3),)))
    monkeypatch.setattr(sys, "argv", ["gpu_first.py", "--batch_size", "1", "--rounds", "2"])
    assert first.main() == 0
    assert re.search(r"conv1 +forward +\d+\.\d+ +\d+\.\d+\nconv1 +dw ", capsys.readouterr().out)


@few
@given(case=cases(pooling=True))
def test_max_pooling_is_exact(case):
    """Few different numbers, so that many windows have several maxima."""
    x, _, _, dout = case.integers()
    dout = np.ascontiguousarray(dout[..., : x.shape[3]])
    equal("maxpool_forward", x, case.window)
    argmax = kernels.load("reference").maxpool_forward(x, case.window)[1]
    equal("maxpool_backward", dout, argmax, x.shape, case.window)


def test_what_is_no_number_wins_a_window():
    x = np.full((1, 4, 4, 2), -np.inf, np.float32)
    x[0, 1, 2, 0] = np.nan
    x[0, 3, 0, 1] = np.inf
    equal("maxpool_forward", x, Window(3, 1, "SAME"))


@few
@given(case=cases(pooling=True))
def test_average_pooling(case):
    x, _, _, dout = case.normals(np.float32)
    dout = np.ascontiguousarray(dout[..., : x.shape[3]])
    close("avgpool_forward", x, case.window)
    close("avgpool_backward", dout, x.shape, case.window)


@few
@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 9)),
    radius=st.integers(0, 4),
    beta=st.sampled_from([0.0, 0.5, 0.75, 1.3]),
    seed=st.integers(0, 2**32 - 1),
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_local_response_normalisation(dtype, shape, radius, beta, seed):
    rng = np.random.default_rng(seed)
    x, dout = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    close("lrn_forward", x, radius, 1.5, 0.3, beta)
    scale = kernels.load("reference").lrn_forward(x, radius, 1.5, 0.3, beta)[1]
    close("lrn_backward", dout, x, scale, radius, 0.3, beta)


@few
@given(n=st.integers(1, 5), channels=st.integers(1, 9), filters=st.integers(1, 9), seed=st.integers(0, 2**32 - 1))
def test_the_dense_layer_is_exact_on_integers(n, channels, filters, seed):
    rng = np.random.default_rng(seed)
    x, w, b, dout = (
        rng.integers(-4, 5, s).astype("f4") for s in ((n, channels), (channels, filters), filters, (n, filters))
    )
    equal("dense_forward", x, w, b)
    equal("dense_backward_input", dout, w)
    equal("dense_backward_params", dout, x)


def test_relu_and_dropout_are_exact(rng):
    x, dout = rng.standard_normal((2, 3, 5, 7)).astype(np.float32)
    x[0, 0, :4] = 0, -0.0, np.nan, -np.inf
    y = np.maximum(x, 0)
    equal("relu_forward", x)
    equal("relu_backward", dout, y)
    equal("dropout", x, rng.random(x.shape) > 0.3, 0.3)
    equal("dropout_mask", (3, 5, 7), 0.3, (1 << 62) + 12345)
    on_device = to_device(x)
    assert kernels.load("cuda").relu_forward(on_device, on_device) is on_device
    np.testing.assert_array_equal(to_host(on_device), y)


@pytest.mark.parametrize("size", [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK * 7 + 5])
def test_the_losses(rng, size):
    y = rng.standard_normal(size).astype(np.float32)
    close("l2_loss", y)
    logits, labels = rng.standard_normal((size % 50 + 1, 7)).astype(np.float32), rng.integers(0, 7, size % 50 + 1)
    close("softmax_cross_entropy", 100 * logits, labels)


def test_a_label_out_of_range_is_no_number(rng):
    logits, labels = rng.standard_normal((3, 4)).astype(np.float32), np.array([0, 4, -1])
    loss, dlogits = host(softmax_cross_entropy(to_device(logits), to_device(labels), "cuda"))
    assert np.isnan(loss).all()
    assert np.isnan(dlogits[1:]).all()
    assert np.isfinite(dlogits[0]).all()


def test_a_network_is_that_of_the_reference(rng):
    """Every kind of kernel in one step, and the same parameters from the same seed."""
    nets = {backend: alexnet("digits", backend=backend, num_classes=7) for backend in ("reference", "cuda")}
    images, labels = rng.standard_normal((3, 8, 8, 1)).astype(np.float32), rng.integers(0, 7, 3)
    grads = {}
    for backend, net in nets.items():
        place = to_device if backend == "cuda" else np.asarray
        _, dout = softmax_cross_entropy(net.forward(place(images)), place(labels), backend)
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


def test_arrays_of_the_host_are_refused(rng):
    conv = Conv2d(3, 5, 3, backend="cuda")
    x = rng.standard_normal((1, 4, 4, 3)).astype(np.float32)
    with pytest.raises(TypeError, match="x is a ndarray, but must be an array on the device, made by to_device"):
        conv.forward(x)
    with pytest.raises(TypeError, match=r"x is a .*, but must be a NumPy array of float32 or float64"):
        Conv2d(3, 5, 3).forward(to_device(x))
    with pytest.raises(TypeError, match="out is a ndarray, but must be an array on the device"):
        kernels.load("cuda").relu_forward(to_device(x), x)
    conv.forward(to_device(x))
    with pytest.raises(ValueError, match=r"dout has shape \(1, 4, 4, 3\), but must have the output's shape"):
        conv.backward(to_device(x))
    with pytest.raises(ValueError, match=r"algorithm is 'winograd', but must be .* on a GPU for stride \(2, 2\)"):
        Conv2d(3, 5, 3, 2, backend="cuda", algorithm="winograd").forward(to_device(x))
    with pytest.raises(ValueError, match="x is strided, but must be C-contiguous on a GPU"):
        kernels.load("cuda").relu_forward(to_device(x)[:, ::2])
    assert to_host(x) is x


def test_arrays_of_more_numbers_than_kernels_count_are_refused(monkeypatch):
    x, w, b = (to_device(np.ones(shape, np.float32)) for shape in ((1, 4, 4, 3), (3, 3, 3, 4), 4))
    cuda = kernels.load("cuda")
    monkeypatch.setattr(runtime, "MOST_NUMBERS", 107)
    with pytest.raises(ValueError, match="w has 108 numbers, but may have at most 107 on a GPU: take a smaller batch"):
        cuda.conv2d_forward(x, w, b, Window(3))
    monkeypatch.setattr(runtime, "MOST_NUMBERS", 110)
    with pytest.raises(ValueError, match=r"a transformed array has \d+ numbers, but may have at most 110"):
        cuda.conv2d_forward(x, w, b, Window(3), 1, "winograd")
    monkeypatch.setattr(runtime, "MOST_NUMBERS", 60)
    with pytest.raises(ValueError, match="an array has 64 numbers"):
        cuda.dropout_mask((64,), 0.5, 1)


def test_the_update_is_that_of_the_reference(rng):
    w, v, dw = (rng.integers(-8, 9, (5, 7)).astype(np.float32) for _ in range(3))
    parameter, velocity = to_device(w), to_device(v)
    kernels.load("cuda").momentum_step(parameter, velocity, to_device(dw), 0.5, 0.25, 0.125)
    kernels.load("reference").momentum_step(w, v, dw, 0.5, 0.25, 0.125)
    np.testing.assert_array_equal(to_host(parameter), w)
    np.testing.assert_array_equal(to_host(velocity), v)


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


def test_the_benchmark_runs(monkeypatch):
    monkeypatch.setattr(benchmark, "BURN_IN_STEPS", 0)
    layers = (Conv("conv1", 4, 3), Pool("pool1", 2), Relu("relu1"), Flat(), Full("fc2", 6), Drop("drop2"), Full("fc3"))
    monkeypatch.setitem(VARIANTS, "tiny", Variant((6, 5, 2), layers, num_classes=3))
    monkeypatch.setitem(VARIANTS, "tinier", Variant((6, 5, 2), layers[:3]))
    for variant in ("tiny", "tinier"):
        out, err = io.StringIO(), io.StringIO()
        options = benchmark.Options(batch_size=2, num_batches=1, variant=variant, backend="cuda")
        assert benchmark.run(options, out, err) == 0
        assert out.getvalue().startswith("conv1   [2, 6, 5, 4]\npool1   [2, 3, 2, 4]\n")
        assert "Forward-backward across 1 steps, " in out.getvalue()
        where = f"GPU {runtime.name()}, by whose clock each step is timed until it is done"
        assert f"backend cuda, {machine.cores()} threads | {where} | float32 NHWC" in err.getvalue()
        assert "kernels compiled by a first step; ready after " in err.getvalue()


def test_a_comparison_has_both_on_the_gpu(monkeypatch, tmp_path):
    """With the framework of ``fake_network.py``, which computes on the CPU what it is told to compute on a GPU."""
    monkeypatch.setattr(benchmark, "BURN_IN_STEPS", 0)
    monkeypatch.setattr(versus, "TURN_SECONDS", 0.03)
    monkeypatch.setitem(
        VARIANTS, "tiny", Variant((6, 5, 2), (Conv("conv1", 4, 3), Relu("relu1"), Flat(), Full("fc2", 5)))
    )
    monkeypatch.setitem(versus.PACKAGES, "fake", "fake-cuda")
    monkeypatch.setattr(versus, "ON_GPU", {"fake"})
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    waits = []
    monkeypatch.setattr(runtime, "wait", lambda: waits.append(1))
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
    # Two passes, two rounds, and at least two steps in each turn.
    assert len(waits) >= 8
    with pytest.raises(ValueError, match="versus is 'jax', but must be one of 'fake' with backend 'cuda'"):
        benchmark.run(benchmark.Options(backend="cuda", versus=(versus.Choice("jax"),)), out, io.StringIO())


def test_the_table_and_the_picture_of_layers(monkeypatch, tmp_path):
    monkeypatch.setattr(benchmark, "BURN_IN_STEPS", 0)
    monkeypatch.setitem(VARIANTS, "tiny", Variant((6, 5, 2), (Conv("conv1", 4, 3), Pool("pool1", 2), Relu("relu1"))))
    out, plot = io.StringIO(), tmp_path / "layers.svg"
    options = benchmark.Options(2, 1, "tiny", "cuda", rounds=2, layers=True, plot=str(plot))
    assert benchmark.run(options, out, io.StringIO()) == 0
    assert re.search(r"^conv1  \[2, 6, 5, 4\] +76 +4320 tiles +\d", out.getvalue(), re.MULTILINE)
    assert "memory: images 0 MB" in out.getvalue()
    assert f"tiny, batch 2, {runtime.name()}" in plot.read_text()
