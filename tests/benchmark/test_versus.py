"""Comparisons with other frameworks: the process, the description of the network, the figures."""

from __future__ import annotations

import functools
import importlib.util
import io
import itertools
import json
import math
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import bench
from tests.benchmark.at_once import AtOnce
from tinyalexnet import (
    AvgPool2d,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
    Sequential,
    alexnet,
    l2_loss,
    softmax_cross_entropy,
)
from tinyalexnet.alexnet import VARIANTS, Variant
from tinyalexnet.alexnet.variants import Conv, Drop, Flat, Full, Pool, Relu
from tinyalexnet.benchmark import Options, run, versus
from tinyalexnet.benchmark import options as bench_options
from tinyalexnet.benchmark.timing import Workload
from tinyalexnet.benchmark.versus import ON_GPU, PACKAGES, Choice, Comparison, Peer, check_choice, compare, describe
from tinyalexnet.devices import device

TINY = Variant(
    (9, 9, 3),
    (Conv("conv1", 4, 3, 2, "VALID"), Pool("pool1", 2, 1), Relu("relu1"), Conv("conv2", 2, 3), Relu("relu2")),
    weight_std=0.1,
)
CLASSIFIER = Variant(
    (9, 9, 3), (Conv("conv1", 4, 3, 2), Pool("pool1", 2), Relu("relu1"), Flat(), Drop("drop2"), Full("fc2")), 5, 0.1
)
LABELS = np.array([2, 0])


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    """The framework of ``fake_network.py``, and short turns."""
    monkeypatch.setitem(PACKAGES, "fake", "fake-cpu")
    monkeypatch.setitem(VARIANTS, "tiny", TINY)
    monkeypatch.setitem(VARIANTS, "classifier", CLASSIFIER)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr(versus, "TURN_SECONDS", 0.03)


def network(rng):
    """Everything a description has to carry: groups, strides, pads by name, by number, and more on one side."""
    net = Sequential(
        [
            ("conv1", Conv2d(4, 6, (3, 2), (2, 1), ((1, 0), (2, 1)), groups=2, backend="reference", rng=rng)),
            ("pool1", MaxPool2d(3, 2, ((1, 0), (1, 1)), backend="reference")),
            ("relu1", ReLU(backend="reference")),
            ("conv2", Conv2d(6, 5, 3, 1, "SAME", backend="reference", rng=rng)),
            ("relu2", ReLU(backend="reference")),
        ]
    )
    for name in ("conv1.b", "conv2.b"):
        net.params[name][...] = rng.standard_normal(net.params[name].shape)
    return net


def classifier(rng):
    """The other kinds of layers, in both orders of the variants: lrn, pool, relu and relu, lrn, pool.

    The normalisations have a large alpha: with AlexNet's a wrong gradient would pass (docs/lrn.md). One beta
    is 0.75, for which there are shorter ways.
    """
    net = Sequential(
        [
            ("conv1", Conv2d(4, 6, 3, backend="reference", rng=rng, std=0.3)),
            ("norm1", LocalResponseNorm(2, 1.5, 0.3, 0.75, backend="reference")),
            ("pool1", MaxPool2d(3, 2, "SAME", backend="reference")),
            ("relu1", ReLU(backend="reference")),
            ("conv2", Conv2d(6, 5, 2, backend="reference", rng=rng, std=0.5)),
            ("relu2", ReLU(backend="reference")),
            ("norm2", LocalResponseNorm(1, 1.0, 0.5, 0.6, backend="reference")),
            ("pool2", MaxPool2d(2, 1, backend="reference")),
            ("flatten", Flatten()),
            ("drop3", Dropout(0.25, rng=rng, backend="reference")),
            ("fc3", Dense(30, 7, "reference", rng=rng, std=0.5)),
            ("relu3", ReLU(inplace=True, backend="reference")),
            ("drop4", Dropout(0.5, rng=rng, backend="reference")),
            ("fc4", Dense(7, 5, "reference", rng=rng, std=0.5)),
        ]
    )
    for name, value in net.params.items():
        if name.endswith(".b"):
            value[...] = rng.standard_normal(value.shape)
    return net


def test_a_description_has_the_relu_behind_its_convolution(rng):
    layers = describe(network(rng), (2, 11, 10, 4))
    assert [layer["name"] for layer in layers] == ["conv1", "relu1", "pool1", "conv2", "relu2"]
    assert layers[0]["pads"] == ((1, 0), (2, 1))
    assert layers[0]["groups"] == 2
    assert (layers[3]["padding"], layers[3]["pads"]) == ("SAME", ((1, 1), (1, 1)))
    assert json.loads(json.dumps(layers))


def test_normalisations_and_dense_layers_keep_their_places(rng):
    layers = describe(classifier(rng), (2, 11, 10, 4))
    assert [layer["name"] for layer in layers[:8]] == [
        *("conv1", "norm1", "relu1", "pool1"),
        *("conv2", "relu2", "norm2", "pool2"),
    ]
    assert layers[1] == {"kind": "lrn", "name": "norm1", "radius": 2, "bias": 1.5, "alpha": 0.3, "beta": 0.75}
    assert layers[9] == {"kind": "dropout", "name": "drop3", "rate": 0.25}
    assert [layer["kind"] for layer in layers[8:]] == ["flatten", "dropout", "dense", "relu", "dropout", "dense"]


def test_a_relu_may_come_first():
    layers = describe(Sequential([("relu1", ReLU()), ("pool1", MaxPool2d(2, 2))]), (1, 4, 4, 1))
    assert [layer["name"] for layer in layers] == ["relu1", "pool1"]


def test_a_relu_stays_behind_a_normalisation():
    layers = describe(Sequential([("norm1", LocalResponseNorm()), ("relu1", ReLU())]), (1, 4, 4, 1))
    assert [layer["name"] for layer in layers] == ["norm1", "relu1"]


def test_a_layer_without_counterpart_is_refused():
    with pytest.raises(ValueError, match="versus is asked for, but has no counterpart of AvgPool2d, layer 'pool1'"):
        describe(Sequential([("pool1", AvgPool2d(2, 2))]), (2, 11, 10, 4))


@pytest.mark.parametrize(("build", "labels"), [(network, None), (classifier, LABELS)])
@pytest.mark.parametrize("framework", ["fake", "torch", "torch --compile", "tensorflow", "jax", "onnxruntime"])
def test_a_peer_computes_the_same(framework, build, labels, rng):
    """To rounding: no sum has more than 200 terms, and 200 * 2**-24 is 1e-5 of the sum of their magnitudes."""
    framework, *how = framework.split(" --")
    if framework != "fake" and importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    if how and shutil.which("g++") is None:
        pytest.skip("there is no g++")
    choice = Choice(framework, compile=bool(how))
    net = build(rng)
    images = rng.standard_normal((2, 11, 10, 4)).astype(np.float32)
    net.train = False
    output = net.forward(images)
    net.backward((l2_loss(output) if labels is None else softmax_cross_entropy(output, labels, "reference"))[1])
    assert all(gradient.any() for gradient in net.grads.values())
    with Peer(choice, 1, net, images, labels) as peer:
        assert peer.version.startswith(f"{framework} ")
        assert peer.version.endswith(", compiled") == choice.compile
        assert peer.step("Forward") > 0
        if choice.computes("Forward-backward"):
            assert peer.step("Forward-backward") > 0
        their_output, their_grads = peer.results()
        folder = peer._folder
    assert not folder.exists()
    np.testing.assert_allclose(their_output, output, rtol=1e-5, atol=1e-6)
    assert their_grads.keys() == (net.grads.keys() if choice.computes("Forward-backward") else set())
    for name, gradient in their_grads.items():
        np.testing.assert_allclose(gradient, net.grads[name], rtol=1e-4, atol=1e-5)


def test_onnxruntime_draws_a_dropout_for_each_step():
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from tinyalexnet.benchmark.peers.onnxruntime_network import Network

    images = np.ones((2, 30, 20, 10), np.float32)
    theirs = Network(describe(Sequential([("drop1", Dropout(0.25))]), images.shape), images, None, {}, 1, "cpu")
    draws = []
    for _ in range(2):
        theirs.forward()
        draws.append(theirs._binding.get_outputs()[0].numpy().copy())
    assert (draws[0] != draws[1]).any()
    np.testing.assert_allclose(np.unique(draws[0]), [0, 4 / 3], rtol=2**-23)
    # Five standard deviations, as of PyTorch's below.
    assert abs((draws[0] == 0).mean() - 0.25) < 0.02
    assert (theirs.results()[0] == 1).all()


def test_torch_says_that_there_is_no_compiler(rng, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setenv("CXX", "no-such-compiler")
    images = rng.standard_normal((2, 11, 10, 4)).astype(np.float32)
    with (
        pytest.raises(ChildProcessError, match=r"its process ended: torch.compile needs .* and there is no no-such"),
        Peer(Choice("torch", compile=True), 1, network(rng), images),
    ):
        pass


def test_a_choice_is_named_as_on_the_command_line():
    assert Choice("jax", "/a").name == "jax"
    assert Choice("torch", tf32=True, graph=True).name == "torch --tf32 --graph"
    assert Choice("torch", compile=True).name == "torch --compile"


def test_what_has_no_gradients_is_timed_in_the_forward_alone(rng, monkeypatch):
    monkeypatch.setattr(versus, "FORWARD_ONLY", {"fake"})
    net = network(rng)
    images = rng.standard_normal((2, 11, 10, 4)).astype(np.float32)
    steps = []
    with Peer(Choice("fake"), 1, net, images) as peer:
        monkeypatch.setattr(peer, "step", lambda name: steps.append(name) or 1.0)
        monkeypatch.setattr(peer, "results", lambda: (net.forward(images), {}))
        work = Workload(net, images, l2_loss, device("reference"))
        (comparison,) = compare([peer], work, ("Forward", "Forward-backward"), 2, lambda: None)
        own, _ = versus.time_in_turn([peer], work, ("Forward", "Forward-backward"), 2, lambda: None)
    assert set(steps) == set(comparison.seconds) == {"Forward"}
    assert {name: len(seconds) for name, seconds in own.items()} == {"Forward": 2, "Forward-backward": 2}
    assert comparison.lines()[-1] == "relative difference of the output 0.0e+00"
    with pytest.raises(ValueError, match="versus is 'fake', but must not be with the backward alone: it has none"):
        run(options(versus=(Choice("fake"),), passes=("Forward-backward",)), io.StringIO(), io.StringIO())


@pytest.mark.parametrize(("framework", "on_gpu"), [("jax", False), ("onnxruntime", False), ("torch", True)])
def test_what_is_not_compiled_on_demand_is_refused(framework, on_gpu):
    assert check_choice(Choice("torch", compile=True), on_gpu=False) is None
    with pytest.raises(ValueError, match="compile is asked for, but must not be unless versus is 'torch', on a CPU"):
        check_choice(Choice(framework, compile=True), on_gpu)


def test_rounds_turns_and_differences(rng):
    net = network(rng)
    images = rng.standard_normal((2, 11, 10, 4)).astype(np.float32)
    rounds = []
    with Peer(Choice("fake"), 1, net, images) as peer:
        work = Workload(net, images, l2_loss, device("reference"))
        (comparison,) = compare([peer], work, ("Forward", "Forward-backward"), 3, lambda: rounds.append(1))
    assert len(rounds) == 6
    assert {name: len(pairs) for name, pairs in comparison.seconds.items()} == {"Forward": 3, "Forward-backward": 3}
    assert all(theirs >= 0.01 > 0 < ours for ours, theirs in comparison.seconds["Forward"])
    assert comparison.output_difference == 0
    assert not comparison.has_dropout
    assert set(comparison.gradient_differences.values()) == {0.0}
    net.params["conv2.w"][...] *= 1 + 2**-10
    with Peer(Choice("fake"), 1, network(np.random.default_rng(5)), images) as other:
        (comparison,) = compare([other], work, (), 3, lambda: None)
    assert comparison.output_difference > 0.01
    assert min(comparison.gradient_differences.values()) > 0.01


def test_results_are_compared_without_dropout(rng):
    net = classifier(rng)
    images = rng.standard_normal((2, 11, 10, 4)).astype(np.float32)
    with Peer(Choice("fake"), 1, net, images, LABELS) as peer:
        loss = functools.partial(softmax_cross_entropy, labels=LABELS, backend="reference")
        (comparison,) = compare([peer], Workload(net, images, loss, device("reference")), (), 1, lambda: None)
    # Not 0: pool1 and relu1 are swapped, and so its gradient's sums have other terms, all of them 0.
    assert comparison.output_difference < 1e-6
    assert max(comparison.gradient_differences.values()) < 1e-6
    assert comparison.has_dropout
    assert net.train


def test_torch_draws_a_dropout_for_each_step_of_training():
    torch = pytest.importorskip("torch")
    from tinyalexnet.benchmark.peers.torch_network import Network

    torch.manual_seed(0)
    images = np.ones((2, 30, 20, 10), np.float32)
    theirs = Network(describe(Sequential([("drop1", Dropout(0.25))]), images.shape), images, None, {}, 1, "cpu")
    one, other = (theirs._output(train=True).numpy() for _ in range(2))
    assert (one != other).any()
    np.testing.assert_allclose(np.unique(one), [0, 4 / 3], rtol=2**-23)
    # Of 12000 draws: five standard deviations are 5 * sqrt(0.25 * 0.75 / 12000).
    assert abs((one == 0).mean() - 0.25) < 0.02
    assert (theirs._output(train=False) == 1).all()


def test_the_ratio_is_the_median_over_rounds_with_its_quartiles():
    pairs = [(1.0, 2.0), (1.0, 4.0), (2.0, 6.0), (1.0, 5.0), (0.5, 0.5)]
    comparison = Comparison("fake", "fake 1", {"Forward": pairs}, 1e-6, {"a.w": 1e-5, "b.w": 3e-5})
    assert comparison.ratio("Forward") == (2.0, 3.0, 4.0)
    assert comparison.lines() == [
        "versus fake 1, medians of 5 rounds",
        "Forward            1 s against 4 s: 3.00 times as fast (quartiles 2.00 and 4.00)",
        "relative difference of the output 1.0e-06, of the gradients at most 3.0e-05 (b.w)",
    ]
    comparison.has_dropout = True
    assert comparison.lines()[2].startswith("relative difference without dropout of the output 1.0e-06, of the grad")
    assert math.isnan(Comparison("fake", "fake 1").output_difference)


def options(**changes):
    return Options(
        **{"batch_size": 2, "num_batches": 1, "rounds": 2, "variant": "tiny", "backend": "reference", **changes}
    )


@pytest.mark.parametrize(("variant", "compared"), [("tiny", ""), ("classifier", "without dropout ")])
def test_the_benchmark_prints_the_comparison_after_its_lines(tmp_path, variant, compared):
    out, err = io.StringIO(), io.StringIO()
    target = tmp_path / "results.json"
    assert run(options(variant=variant, versus=(Choice("fake", sys.executable),), json=str(target)), out, err) == 0
    lines = out.getvalue().splitlines()
    assert lines[-4] == "versus fake 1.2, medians of 2 rounds"
    assert lines[-3].startswith("Forward            ")
    assert lines[-2].startswith("Forward-backward   ")
    start, end = lines[-1].split(", of the gradients at most ")
    assert start == f"relative difference {compared}of the output 0.0e+00"
    assert float(end.split()[0]) < 1e-6
    assert "starting fake ..." in err.getvalue()
    (stored,) = json.loads(target.read_text())["versus"]
    assert stored["version"] == "fake 1.2"
    assert len(stored["seconds"]["Forward-backward"]) == 2
    assert stored["ratio"]["Forward"][0] <= stored["ratio"]["Forward"][1] <= stored["ratio"]["Forward"][2]


def test_the_bar_of_a_comparison_is_full_at_the_end_and_its_lines_are_shown_at_once(bars_moved):
    with AtOnce() as out:
        assert run(options(versus=(Choice("fake"),), rounds=3), out, io.StringIO()) == 0
        assert "versus fake 1.2" in out.getvalue()
    assert bars_moved.count(("versus", 6)) == 6


def test_another_process_has_a_session_of_its_own_is_killed_and_its_results_run_no_code(rng):
    """Ctrl-C is for this one alone."""
    with Peer(Choice("fake"), 1, network(rng), np.zeros((1, 11, 10, 4), np.float32)) as peer:
        assert os.getsid(peer._process.pid) == peer._process.pid
        peer._ask = lambda command: np.savez(peer._folder / "results.npz", output=np.array([{}]))
        with pytest.raises(ValueError, match="allow_pickle=False"):
            peer.results()
    assert peer._process.returncode == -signal.SIGKILL


def test_what_cannot_be_compared_is_one_line(capsys, monkeypatch):
    def message(*arguments):
        with pytest.raises(SystemExit) as stop:
            bench.main(["--backend", "reference", "--batch_size", "1", "--quiet", *arguments])
        assert stop.value.code == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        return err

    monkeypatch.setitem(PACKAGES, "absent", "absent-cpu")
    assert "absent_network: " in message("--versus", "absent")
    assert message("--versus", "absent").endswith(" -m pip install absent-cpu\n")
    for python in ("/nowhere", ""):
        assert f"python is '{python}', but must be an interpreter" in message("--versus", "fake", "--python", python)
    assert message("--python", "/a") == "bench.py: --python /a must follow the --versus that it is for\n"
    assert message("--tf32") == "bench.py: --tf32 must follow the --versus that it is for\n"
    assert message("--versus", "fake", "--tf32").startswith("bench.py: tf32 is asked for, but must not be unless")
    assert "rounds is 0" in message("--rounds", "0")


def test_a_framework_that_is_not_known_is_refused(rng):
    with pytest.raises(
        ValueError, match="versus is 'caffe', but must be one of 'torch', 'tensorflow', 'jax', 'onnxruntime'"
    ):
        Peer(Choice("caffe"), 1, network(rng), np.zeros((1, 11, 10, 4), np.float32))


def test_a_process_that_ends_says_why(rng, tmp_path):
    net = network(rng)
    images = rng.standard_normal((5, 11, 10, 4)).astype(np.float32)
    with pytest.raises(ChildProcessError, match="versus is 'fake', but its process ended: 13 threads"):
        Peer(Choice("fake"), 13, net, images).__enter__()
    with Peer(Choice("fake"), 1, net, images) as peer:
        peer.step("Forward")
        with pytest.raises(ChildProcessError, match="its process ended: six would be worse"):
            peer.step("Forward-backward")
        with pytest.raises(ChildProcessError, match="its process ended: six would be worse"):
            peer.step("Forward")
    with (
        pytest.raises(ChildProcessError, match="its process ended: without a word"),
        Peer(Choice("fake", "/bin/true"), 1, net, images),
    ):
        pass
    one_line = tmp_path / "python"
    one_line.write_text("#!/bin/sh\necho no such law >&2\n")
    one_line.chmod(0o755)
    with (
        pytest.raises(ChildProcessError, match="its process ended: no such law"),
        Peer(Choice("fake", str(one_line)), 1, net, images),
    ):
        pass


def test_a_gpu_has_fewer_frameworks_and_one_precision_more():
    assert check_choice(Choice("torch", tf32=True), on_gpu=True) is None
    assert "torch" in ON_GPU
    with pytest.raises(ValueError, match="versus is 'jax', but must be one of 'torch' with backend 'cuda'"):
        check_choice(Choice("jax"), on_gpu=True)


def test_a_framework_that_a_gpu_lacks_is_refused_before_anything_large_exists(monkeypatch):
    monkeypatch.setattr(bench_options, "device", lambda backend: SimpleNamespace(on_host=False))
    with pytest.raises(ValueError, match="versus is 'jax', but must be one of 'torch' with backend 'cuda'"):
        bench_options.checked_shape(Options(versus=(Choice("torch"), Choice("jax"))))


@pytest.mark.parametrize(("device", "precision"), [("cuda", "float32"), ("cuda-tf32", "TF32")])
def test_torch_on_a_gpu_takes_a_layout_and_a_precision(device, precision, rng, monkeypatch):
    """On a CPU that passes for a GPU: that the results are those of the reference in both layouts."""
    torch = pytest.importorskip("torch")
    from tinyalexnet.benchmark.peers import torch_network

    precisions = [torch.backends.cudnn.conv, torch.backends.cuda.matmul]
    before = [module.fp32_precision for module in precisions]
    net, images = classifier(rng), rng.standard_normal((2, 11, 10, 4)).astype(np.float32)
    arguments = describe(net, images.shape), images, LABELS, net.params, 1, device
    with pytest.raises(SystemExit, match="finds no GPU"):
        torch_network.Network(*arguments)
    monkeypatch.setitem(torch_network.DEVICES, "cuda", "cpu")
    waits = []
    for name, value in {
        "is_available": lambda: True,
        "get_device_name": lambda: "a CPU",
        "synchronize": lambda: waits.append(1),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    net.train = False
    output = net.forward(images)
    net.backward(softmax_cross_entropy(output, LABELS, "reference")[1])
    for number, layout in enumerate(torch_network.LAYOUTS):
        readings = iter(np.where(np.arange(2) == number, 1.0, 2.0).repeat(torch_network.TRIES))
        monkeypatch.setattr(torch_network.Network, "_seconds_of_a_step", lambda _, readings=readings: next(readings))
        theirs = torch_network.Network(*arguments)
        assert theirs.version == f"torch {torch.__version__} on a CPU, {precision}, {layout}"
        assert theirs.images.is_contiguous(memory_format=torch_network.LAYOUTS[layout])
        assert not waits
        theirs.forward()
        theirs.forward_backward()
        assert len(waits) == 2
        waits.clear()
        their_output, their_grads = theirs.results()
        np.testing.assert_allclose(their_output, output, rtol=1e-5, atol=1e-6)
        for name, gradient in net.grads.items():
            np.testing.assert_allclose(their_grads[name], gradient, rtol=1e-4, atol=1e-5)
    expected = "tf32" if precision == "TF32" else "ieee"
    assert [module.fp32_precision for module in precisions] == [expected, expected]
    assert torch.backends.cudnn.benchmark
    for module, value in zip(precisions, before, strict=True):
        module.fp32_precision = value


def test_each_flag_belongs_to_the_framework_before_it(monkeypatch):
    found = []
    monkeypatch.setattr("tinyalexnet.benchmark.run", lambda options, out, err: found.append(options) or 0)
    bench.main(
        [
            *("--versus", "torch"),
            *("--versus", "jax", "--python", "/a"),
            *("--versus", "torch", "--tf32", "--python", "/b"),
        ]
    )
    assert found[0].versus == (Choice("torch"), Choice("jax", "/a"), Choice("torch", "/b", True))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_can_be_described(variant):
    """With its rows in their order, but for the ReLUs behind pools."""
    table = VARIANTS[variant]
    described = describe(alexnet(replace(table, weight_std=0.0), backend="reference"), (2, *table.image_shape))
    assert json.loads(json.dumps(described))
    names = [layer["name"] for layer in described]
    rows = [row.name for row in table.layers]
    assert sorted(names) == sorted(rows)
    relus = {row.name for row in table.layers if isinstance(row, Relu)}
    assert [name for name in names if name not in relus] == [row for row in rows if row not in relus]
    kinds = [layer["kind"] for layer in described]
    assert ("pool", "relu") not in set(itertools.pairwise(kinds))
    assert kinds.count("relu") == len(relus)


def test_alexnet_can_be_described():
    described = describe(alexnet(backend="reference"), (2, 227, 227, 3))
    assert [layer["name"] for layer in described if layer["kind"] == "relu"] == [f"relu{i}" for i in range(1, 6)]
    assert [layer["padding"] for layer in described if layer["kind"] == "conv"] == ["VALID", *["SAME"] * 4]


@pytest.mark.parametrize(("share", "count"), [(100, 1), (1, 1), (1 / 4, 4)])
def test_a_turn_has_as_many_steps_as_fill_its_time_after_one_that_does_not_count(share, count):
    """A step that is longer than a turn is taken once. The median does not see one that was slow."""
    seconds, taken = share * versus.TURN_SECONDS, []

    def step():
        taken.append(9 * seconds if len(taken) == 2 and count > 1 else seconds)
        return taken[-1]

    assert versus._turn(step) == seconds
    assert len(taken) == 1 + count


def test_a_clock_that_stands_still_does_not_make_a_turn_endless():
    taken = []
    assert versus._turn(lambda: taken.append(1) or 0.0) == 0
    assert len(taken) == 1 + round(versus.TURN_SECONDS / 1e-6)


def test_the_end_of_each_round_is_told():
    net = SimpleNamespace(leaves=list, train=True, forward=lambda images: images, backward=lambda gradient: None)
    device = SimpleNamespace(seconds_of=lambda step: 10.0)
    work = SimpleNamespace(
        net=net, step=lambda name: None, device=device, images=1.0, loss=lambda output: (0.0, output)
    )
    rounds = []
    assert versus.compare([], work, ("Forward", "Forward-backward"), 3, lambda: rounds.append(net.train)) == []
    assert rounds == [True] * 6
    assert net.train
