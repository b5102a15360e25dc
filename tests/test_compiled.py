"""What only the compiled kernels and real sizes can show: threads, bounds, PyTorch's opinion, memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from backends import Backend

from tinyalexnet import alexnet, l2_loss
from tinyalexnet.devices import device
from tinyalexnet.geometry import Window
from tinyalexnet.ops import conv2d
from tinyalexnet.ops.conv2d import conv2d_backward_input, conv2d_backward_params, conv2d_forward
from tinyalexnet.ops.conv2d.winograd.choice import choose_tile

pytestmark = pytest.mark.compiled

BENCH = Path(__file__).parent.parent / "bench.py"


def images(n, seed=1):
    values = np.random.default_rng(seed).standard_normal((n, 227, 227, 3), dtype=np.float32)
    return values * np.float32(0.1)


def run_step(net, x):
    loss, dout = l2_loss(net.forward(x))
    net.backward(dout)
    return loss, {name: grad.copy() for name, grad in net.grads.items()}


@pytest.mark.skipif(device("cpu").most_threads() < 2, reason="needs two threads")
def test_the_number_of_threads_changes_no_bit():
    net, x = alexnet(), images(3)
    results = []
    for threads in (1, device("cpu").most_threads()):
        with device("cpu").limit_threads(threads):
            results.append(run_step(net, x))
    (loss_1, grads_1), (loss_2, grads_2) = results
    assert loss_1 == loss_2
    for name, grad in grads_1.items():
        np.testing.assert_array_equal(grad, grads_2[name])


def test_two_runs_change_no_bit():
    net, x = alexnet(), images(2)
    first, second = run_step(net, x), run_step(net, x)
    assert first[0] == second[0]
    for name, grad in first[1].items():
        np.testing.assert_array_equal(grad, second[1][name])


def test_integers_are_exact_at_the_size_of_a_real_layer():
    """conv4 on one image: 3,456 products of at most 2 * 2 an output, so every sum is far below 2**24."""
    rng = np.random.default_rng(4)
    x = rng.integers(-2, 3, (3, 13, 13, 384)).astype(np.float32)
    w = rng.integers(-2, 3, (3, 3, 384, 256)).astype(np.float32)
    b = rng.integers(-2, 3, 256).astype(np.float32)
    window = Window(3, 1, "SAME")
    out = conv2d_forward(x, w, b, window, algorithm="gemm")
    np.testing.assert_array_equal(out, conv2d_forward(x, w, b, window, backend="reference"))
    dout = rng.integers(-2, 3, out.shape).astype(np.float32)
    np.testing.assert_array_equal(
        conv2d_backward_input(dout, w, x.shape, window, algorithm="gemm"),
        conv2d_backward_input(dout, w, x.shape, window, backend="reference"),
    )
    for found, expected in zip(
        conv2d_backward_params(dout, x, window, algorithm="gemm"),
        conv2d_backward_params(dout, x, window, backend="reference"),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)


def relative_error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("name", ["conv1", "conv2", "conv3", "conv4", "conv5"])
def test_winograd_of_each_layer_is_within_2e_5_of_a_direct_convolution_in_float64(name):
    """With the tiles that a batch of 10 or more takes, on what the layer really sees: a ReLU's output."""
    net, shape = alexnet(), (10, 227, 227, 3)
    for other, layer in net:
        if other == name:
            break
        shape = layer.output_shape(shape)
    rng = np.random.default_rng(5)
    x = rng.standard_normal(shape, dtype=np.float32)
    x = x if name == "conv1" else np.maximum(x, 0)
    conv = net[name]
    conv.needs_dx = True
    w, b = conv.params["w"], conv.params["b"]
    b[...] = rng.standard_normal(b.shape)
    assert choose_tile("auto", "cpu", shape, w.shape[3], conv.window, 1, x.dtype).points in (49, 64)
    out = conv.forward(x)
    dout = rng.standard_normal(out.shape, dtype=np.float32)
    dx = conv.backward(dout)
    direct, exact = Backend("reference"), [a.astype(np.float64) for a in (x, w, b, dout)]
    assert relative_error(out, direct(conv2d_forward, *exact[:3], conv.window)) < 2e-5
    assert relative_error(dx, direct(conv2d_backward_input, exact[3], exact[1], x.shape, conv.window)) < 2e-5
    dw, db = direct(conv2d_backward_params, exact[3], exact[0], conv.window)
    assert relative_error(conv.grads["w"], dw) < 2e-5
    assert relative_error(conv.grads["b"], db) < 2e-5


def decisions(net):
    """On which side of every kink the last forward was: each pool's winners and each ReLU's signs."""
    (argmaxes, outputs) = ([layer.cache[0] for _, layer in net if layer.kind == kind] for kind in ("pool", "relu"))
    return argmaxes + [y > 0 for y in outputs]


def on_the_same_side_of_every_kink(seeds=range(20)):
    """A float32 network, the same one in float64 by the reference, and an image on which both decide alike.

    If two pixels of a window differ by less than float32 rounds, the two precisions let different ones win, and the
    gradient then takes another path: that is no rounding error and no bug. About one image in six has such a pair
    among its half a million decisions; these tests are about the others.
    """
    net, exact = alexnet(), alexnet(backend="reference", dtype=np.float64)
    for name, value in net.params.items():
        exact.params[name][...] = value
    for seed in seeds:
        x = images(1, seed)
        net.forward(x)
        exact.forward(x.astype(np.float64))
        if all(map(np.array_equal, decisions(net), decisions(exact))):
            return net, exact, x
    pytest.fail("every image has a tie")


@pytest.fixture
def large_batch_tiles(monkeypatch):
    """The tiles of a batch of 128, which round more, on the one image of a test: `auto` takes smaller ones."""

    def tile(algorithm, backend, x_shape, *rest):
        return choose_tile(algorithm, backend, (128, *x_shape[1:]), *rest)

    monkeypatch.setattr(conv2d, "choose_tile", tile)


@pytest.mark.usefixtures("large_batch_tiles")
def test_the_whole_network_agrees_with_the_reference_in_float64():
    net, exact, x = on_the_same_side_of_every_kink()
    loss, grads = run_step(exact, x.astype(np.float64))
    found_loss, found = run_step(net, x)
    np.testing.assert_allclose(found_loss, loss, rtol=1e-5)
    for name, grad in grads.items():
        assert relative_error(found[name], grad) < 1e-5, name


def test_few_decisions_differ_between_the_precisions():
    """Otherwise the test above would be picking its image for another reason than ties."""
    net, exact = alexnet(), alexnet(backend="reference", dtype=np.float64)
    for name, value in net.params.items():
        exact.params[name][...] = value
    x = images(4)
    net.forward(x)
    exact.forward(x.astype(np.float64))
    differing = sum(np.count_nonzero(a != b) for a, b in zip(decisions(net), decisions(exact), strict=True))
    assert differing < 10


@pytest.mark.usefixtures("large_batch_tiles")
def test_the_whole_network_agrees_with_pytorch_in_float64():
    """An oracle that nobody here wrote: pool5 and every gradient within 1e-5."""
    torch = pytest.importorskip("torch")
    net, _, x = on_the_same_side_of_every_kink()
    y = net.forward(x).copy()
    _, grads = run_step(net, x)
    leaves = {}
    h = torch.from_numpy(x.astype(np.float64)).permute(0, 3, 1, 2)
    for index, (stride, padding, pooled) in enumerate([(4, 0, 1), (1, 2, 1), (1, 1, 0), (1, 1, 0), (1, 1, 1)], 1):
        w = torch.from_numpy(net.params[f"conv{index}.w"].astype(np.float64).transpose(3, 2, 0, 1).copy())
        b = torch.from_numpy(net.params[f"conv{index}.b"].astype(np.float64))
        leaves[f"conv{index}.w"], leaves[f"conv{index}.b"] = w.requires_grad_(), b.requires_grad_()
        h = torch.relu(torch.nn.functional.conv2d(h, w, b, stride, padding))
        if pooled:
            h = torch.nn.functional.max_pool2d(h, 3, 2)
    (0.5 * (h * h).sum()).backward()
    assert relative_error(y, h.detach().permute(0, 2, 3, 1).numpy()) < 1e-5
    for name, leaf in leaves.items():
        expected = leaf.grad.numpy()
        expected = expected.transpose(2, 3, 1, 0) if expected.ndim == 4 else expected
        assert relative_error(grads[name], expected) < 1e-5, name


def test_no_kernel_reads_or_writes_outside_its_arrays(tmp_path):
    """The compiled kernels once more with Numba's bounds checks, on ragged shapes, in a process of its own."""
    script = """
import numpy as np
from tinyalexnet import Conv2d, MaxPool2d, ReLU, Sequential
rng = np.random.default_rng(0)
for kernel, stride, padding, groups in [(3, 1, "SAME", 1), ((2, 5), (3, 2), ((0, 3), (4, 1)), 2), (7, 4, "VALID", 1)]:
    net = Sequential([
        ("conv", Conv2d(4, 6, kernel, stride, padding, groups, rng=rng)), ("relu", ReLU()),
        ("pool", MaxPool2d(2, 1, "SAME")),
    ])
    for n, h, w in [(1, 7, 7), (3, 25, 23)]:
        out = net.forward(rng.standard_normal((n, h, w, 4)).astype(np.float32))
        net.backward(out)
        assert np.isfinite(net.grads["conv.w"]).all()
print("checked")
"""
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert result.stdout == "checked\n", result.stderr


@pytest.mark.parametrize(("backend", "batch_size"), [("cpu", 24), ("reference", 8)])
@pytest.mark.parametrize("flag", ["--forward_only", "--forward_backward_only"])
def test_the_memory_estimate_holds(tmp_path, backend, batch_size, flag):
    """Peak memory of a run, less that of the smallest, is what the estimate says, within a fifth of the whole."""
    pytest.importorskip("resource")
    memory = {}
    # Kernels twice: a first run may compile them, and its memory then has the compiler's.
    for n in (1, batch_size) * (2 if backend == "cpu" else 1):
        file = tmp_path / f"{n}.json"
        command = [sys.executable, BENCH, "--quiet", "--batch_size", str(n), "--num_batches", "1", "--json", file]
        subprocess.run([*command, "--backend", backend, flag], check=True, stdout=subprocess.DEVNULL)
        memory[n] = json.loads(file.read_text())["memory"]
    grown = {key: memory[batch_size][key] - memory[1][key] for key in ("estimate", "peak")}
    assert abs(grown["peak"] - grown["estimate"]) < 0.2 * memory[batch_size]["peak"], memory
    assert memory[batch_size]["peak"] < 1.5 * memory[batch_size]["estimate"]
