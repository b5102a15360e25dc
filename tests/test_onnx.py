"""Caffe's AlexNet as ONNX ships it: its graph with random weights, in ONNX's evaluator and in this package."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinyalexnet.alexnet import VARIANTS, alexnet
from tinyalexnet.losses import softmax
from tinyalexnet.weights.pretrained import from_channels_first

onnx = pytest.importorskip("onnx")
from onnx.reference import ReferenceEvaluator  # noqa: E402  where onnx is there
from onnx.reference.op_run import OpRun  # noqa: E402

pytestmark = pytest.mark.compiled

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
CONSTANT = 0.02
"""Every weight of the file that is shipped, to keep it small."""


def table():
    """The graph is of images of 224 pixels, and its pool5 is padded at the bottom and on the right."""
    layers = (
        replace(row, padding=((0, 1), (0, 1))) if row.name == "pool5" else row for row in VARIANTS["caffe"].layers
    )
    return replace(VARIANTS["caffe"], image_shape=(224, 224, 3), layers=tuple(layers), weight_std=0.0)


def network(tensors):
    net = alexnet(table())
    net.train = False
    named = {name.removesuffix("_0").replace("_", "."): value for name, value in tensors.items()}
    for name, value in from_channels_first(named, table(), 1000).items():
        net.params[name][...] = value
    return net


class LRN(OpRun):
    """ONNX's formula. The evaluator's own, in onnx 1.23, normalises as many channels as there are images."""

    def _run(self, x, alpha, beta, bias, size):
        out = np.empty_like(x)
        for c in range(x.shape[1]):
            window = x[:, max(0, c - (size - 1) // 2) : c + size // 2 + 1]
            out[:, c] = x[:, c] / (bias + alpha / size * np.square(window).sum(axis=1)) ** beta
        return (out,)


@pytest.fixture(scope="module")
def model():
    path = FOLDER / "light_bvlc_alexnet.onnx"
    if not path.exists():
        pytest.skip("this onnx has no light_bvlc_alexnet.onnx")
    return onnx.load(path)


@pytest.fixture(scope="module")
def shapes(model):
    """Of each weight, "conv1_w_0" to "fc8_b_0", as the graph has it."""
    found = {value.name: onnx.numpy_helper.to_array(value) for value in model.graph.initializer}
    made = [node for node in model.graph.node if node.op_type == "ConstantOfShape"]
    return {node.output[0]: tuple(map(int, found[node.input[0]])) for node in made}


def test_what_the_file_expects(model, shapes):
    """0.001 for each class, which equal weights give whatever the network is: a first check, and a weak one."""
    tensor = onnx.TensorProto()
    tensor.ParseFromString((FOLDER / "light_bvlc_alexnet_output_0.pb").read_bytes())
    expected = onnx.numpy_helper.to_array(tensor)
    net = network({name: np.full(shape, CONSTANT, np.float32) for name, shape in shapes.items()})
    images = np.random.default_rng(0).random((1, 224, 224, 3), np.float32)
    np.testing.assert_allclose(softmax(net.forward(images)), expected, rtol=1e-6)


def test_the_same_graph_with_random_weights(model, shapes):
    """Normalised and pooled images, the last images and the logits.

    A sum of n products in another order differs by some √n 2⁻²⁴ of its size, 6e-6 for the 9216 of fc6, and Winograd's
    algorithm by up to 2e-5 (docs/winograd.md): 5e-5 in all, in the norm. Images are as large as Caffe's, of 0 to 255
    less a mean, with which the normalisation divides by something.
    """
    rng = np.random.default_rng(0)
    tensors = {
        name: rng.standard_normal(shape, np.float32) * np.float32(math.sqrt(2 / math.prod(shape[1:])))
        for name, shape in shapes.items()
    }
    images = 70 * rng.standard_normal((1, 224, 224, 3), np.float32)
    filled = onnx.ModelProto()
    filled.CopyFrom(model)
    kept = [node for node in model.graph.node if node.op_type != "ConstantOfShape"]
    del filled.graph.node[:]
    filled.graph.node.extend(kept)
    filled.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in tensors.items())
    outputs = {"relu1": "r1", "norm1": "r2", "pool1": "r3", "norm2": "r6", "relu5": "r14", "fc8": "r24"}
    evaluator = ReferenceEvaluator(filled, new_ops=[LRN])
    expected = evaluator.run(list(outputs.values()), {"data_0": np.ascontiguousarray(images.transpose(0, 3, 1, 2))})
    x, found = images, {}
    for name, layer in network(tensors):
        x = layer.forward(x)
        found[name] = x.copy()  # the ReLU after it works in place
    for name, theirs in zip(outputs, expected, strict=True):
        ours = found[name].transpose(0, 3, 1, 2) if theirs.ndim == 4 else found[name]
        assert ours.shape == theirs.shape
        assert theirs.std() > 0
        assert np.linalg.norm(ours - theirs) < 5e-5 * np.linalg.norm(theirs), name
    divided = np.linalg.norm(found["norm1"]) / np.linalg.norm(found["relu1"])
    assert divided < 0.9  # and so a normalisation that did nothing would be seen
