"""Comparisons with other frameworks: the process, the description of the network, the figures."""

from __future__ import annotations

import importlib.util
import io
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

import bench
from tinyalexnet import Conv2d, MaxPool2d, ReLU, Sequential, alexnet, l2_loss, versus
from tinyalexnet.alexnet import VARIANTS, Conv, Pool, Relu, Variant
from tinyalexnet.benchmark import Options, run
from tinyalexnet.versus import PACKAGES, Comparison, Peer, compare, describe

TINY = Variant(
    (9, 9, 3),
    (Conv("conv1", 4, 3, 2, "VALID"), Pool("pool1", 2, 1), Relu("relu1"), Conv("conv2", 2, 3), Relu("relu2")),
    weight_std=0.1,
)


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    """The framework of ``fake_network.py``, and short turns."""
    monkeypatch.setitem(PACKAGES, "fake", "fake-cpu")
    monkeypatch.setitem(VARIANTS, "tiny", TINY)
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


def test_a_description_has_the_relu_behind_its_convolution(rng):
    layers = describe(network(rng), (2, 11, 10, 4))
    assert [layer["name"] for layer in layers] == ["conv1", "relu1", "pool1", "conv2", "relu2"]
    assert layers[0]["pads"] == ((1, 0), (2, 1))
    assert layers[0]["groups"] == 2
    assert (layers[3]["padding"], layers[3]["pads"]) == ("SAME", ((1, 1), (1, 1)))
    assert json.loads(json.dumps(layers))


def test_a_relu_may_come_first():
    layers = describe(Sequential([("relu1", ReLU()), ("pool1", MaxPool2d(2, 2))]), (1, 4, 4, 1))
    assert [layer["name"] for layer in layers] == ["relu1", "pool1"]


def test_a_layer_without_counterpart_is_refused(rng):
    with pytest.raises(ValueError, match="versus is asked for, but has no counterpart of Sequential, layer 'whole'"):
        describe(Sequential([("whole", network(rng))]), (2, 11, 10, 4))


@pytest.mark.parametrize("framework", ["fake", "torch", "tensorflow", "jax"])
def test_a_peer_computes_the_same(framework, rng):
    if framework != "fake" and importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    net = network(rng)
    if framework == "tensorflow":  # it has no gradient of grouped convolutions on a CPU
        net = Sequential([("conv1", Conv2d(4, 6, 3, 2, ((1, 0), (2, 1)), backend="reference", rng=rng))])
    images = rng.standard_normal((2, 11, 10, 4)).astype(np.float32)
    output = net.forward(images)
    net.backward(l2_loss(output)[1])
    with Peer(framework, None, 1, net, images) as peer:
        assert peer.version.startswith(f"{framework} ")
        assert peer.step("Forward") > 0
        assert peer.step("Forward-backward") > 0
        their_output, their_grads = peer.results()
        folder = peer._folder
    assert not folder.exists()
    np.testing.assert_allclose(their_output, output, rtol=1e-5, atol=1e-6)
    assert their_grads.keys() == net.grads.keys()
    for name, gradient in net.grads.items():
        np.testing.assert_allclose(their_grads[name], gradient, rtol=1e-4, atol=1e-5)


def test_rounds_turns_and_differences(rng):
    net = network(rng)
    images = rng.standard_normal((2, 11, 10, 4)).astype(np.float32)
    rounds = []
    with Peer("fake", None, 1, net, images) as peer:
        steps = {"Forward": lambda: net.forward(images), "Forward-backward": lambda: net.forward(images)}
        (comparison,) = compare([peer], net, images, steps, 3, lambda: rounds.append(1))
    assert len(rounds) == 6
    assert {name: len(pairs) for name, pairs in comparison.seconds.items()} == {"Forward": 3, "Forward-backward": 3}
    assert all(theirs >= 0.01 > 0 < ours for ours, theirs in comparison.seconds["Forward"])
    assert comparison.output_difference == 0
    assert set(comparison.gradient_differences.values()) == {0.0}
    net.params["conv2.w"][...] *= 1 + 2**-10
    with Peer("fake", None, 1, network(np.random.default_rng(5)), images) as other:
        (comparison,) = compare([other], net, images, {}, 3, lambda: None)
    assert comparison.output_difference > 0.01
    assert min(comparison.gradient_differences.values()) > 0.01


def test_the_ratio_is_the_median_over_rounds_with_its_quartiles():
    pairs = [(1.0, 2.0), (1.0, 4.0), (2.0, 6.0), (1.0, 5.0), (0.5, 0.5)]
    comparison = Comparison("fake", "fake 1", {"Forward": pairs}, 1e-6, {"a.w": 1e-5, "b.w": 3e-5})
    assert comparison.ratio("Forward") == (2.0, 3.0, 4.0)
    assert comparison.lines() == [
        "versus fake 1, medians of 5 rounds",
        "Forward            1 s against 4 s: 3.00 times as fast (quartiles 2.00 and 4.00)",
        "relative difference of the output 1.0e-06, of the gradients at most 3.0e-05 (b.w)",
    ]
    assert math.isnan(Comparison("fake", "fake 1").output_difference)


def options(**changes):
    return Options(
        **{"batch_size": 2, "num_batches": 1, "rounds": 2, "variant": "tiny", "backend": "reference", **changes}
    )


def test_the_benchmark_prints_the_comparison_after_its_lines(tmp_path):
    out, err = io.StringIO(), io.StringIO()
    target = tmp_path / "results.json"
    assert run(options(versus=(("fake", sys.executable),), json=str(target)), out, err) == 0
    lines = out.getvalue().splitlines()
    assert lines[-4] == "versus fake 1.2, medians of 2 rounds"
    assert lines[-3].startswith("Forward            ")
    assert lines[-2].startswith("Forward-backward   ")
    assert lines[-1].startswith("relative difference of the output 0.0e+00, of the gradients at most ")
    assert "starting fake ..." in err.getvalue()
    (stored,) = json.loads(target.read_text())["versus"]
    assert stored["version"] == "fake 1.2"
    assert len(stored["seconds"]["Forward-backward"]) == 2
    assert stored["ratio"]["Forward"][0] <= stored["ratio"]["Forward"][1] <= stored["ratio"]["Forward"][2]


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
    assert "python is '/nowhere', but must be an interpreter" in message("--versus", "fake", "--python", "/nowhere")
    assert "must follow the --versus that it is for" in message("--python", "/nowhere")
    assert "rounds is 0" in message("--rounds", "0")


def test_a_framework_that_is_not_known_is_refused(rng):
    with pytest.raises(ValueError, match="versus is 'caffe', but must be one of 'torch', 'tensorflow', 'jax'"):
        Peer("caffe", None, 1, network(rng), np.zeros((1, 11, 10, 4), np.float32))


def test_a_process_that_ends_says_why(rng):
    net = network(rng)
    images = rng.standard_normal((5, 11, 10, 4)).astype(np.float32)
    with pytest.raises(ChildProcessError, match="versus is 'fake', but its process ended: 13 threads"):
        Peer("fake", None, 13, net, images).__enter__()
    with Peer("fake", None, 1, net, images) as peer:
        peer.step("Forward")
        with pytest.raises(ChildProcessError, match="its process ended: five are too many"):
            peer.step("Forward-backward")
        with pytest.raises(ChildProcessError, match="its process ended: five are too many"):
            peer.step("Forward")
    with (
        pytest.raises(ChildProcessError, match="its process ended: without a word"),
        Peer("fake", "/bin/true", 1, net, images),
    ):
        pass


def test_each_interpreter_belongs_to_the_framework_before_it():
    parser = bench._parser(("cpu",), ("auto",), ("torch", "jax"), ("tf2015",))
    flags = parser.parse_args(["--versus", "torch", "--versus", "jax", "--python", "/a", "--versus", "torch"])
    assert flags.versus == (("torch", None), ("jax", "/a"), ("torch", None))


def test_alexnet_can_be_described():
    layers = describe(alexnet(backend="reference"), (2, 227, 227, 3))
    assert [layer["name"] for layer in layers if layer["kind"] == "relu"] == [f"relu{i}" for i in range(1, 6)]
    assert [layer["padding"] for layer in layers if layer["kind"] == "conv"] == ["VALID", *["SAME"] * 4]
