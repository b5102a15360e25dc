"""The network in ONNX Runtime, forward alone: an ONNX model of its layers, with all optimisations of the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OPSET, IR = 13, 8
"""Of the model: in that operator set every operator that is needed has its present form, and old runtimes read it."""


class Network:
    """See ``worker.Network``. It has no ``forward_backward``, and no gradients.

    The images and the output are bound once, so that no step copies them.
    """

    version = f"onnxruntime {onnxruntime.__version__}"

    def __init__(
        self,
        layers: list[dict[str, Any]],
        images: np.ndarray,
        labels: np.ndarray | None,
        params: dict[str, np.ndarray],
        threads: int,
        device: str,
    ) -> None:
        self._images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        self._threads = threads
        self._model_of: Callable[[bool], Any] = lambda train: _model(layers, self._images.shape, params, train)
        self._session, self._binding = self._bound(train=True)

    def forward(self) -> None:
        self._session.run_with_iobinding(self._binding)

    def results(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        session, binding = self._bound(train=False)
        session.run_with_iobinding(binding)
        found: np.ndarray = binding.get_outputs()[0].numpy()
        return (np.ascontiguousarray(found.transpose(0, 2, 3, 1)) if found.ndim == 4 else found), {}

    def _bound(self, train: bool) -> tuple[Any, Any]:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.intra_op_num_threads, options.inter_op_num_threads = self._threads, 1
        session = onnxruntime.InferenceSession(
            self._model_of(train).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        binding = session.io_binding()
        binding.bind_ortvalue_input("images", onnxruntime.OrtValue.ortvalue_from_numpy(self._images))
        binding.bind_output("output")
        return session, binding


def _model(layers: list[dict[str, Any]], shape: tuple[int, ...], params: dict[str, np.ndarray], train: bool) -> Any:
    """The layers as a model of ONNX, with fixed shapes; with ``train`` dropout draws."""
    constants = _constants(layers, shape[1], params)
    if train:
        constants["train"] = np.array(True)
    nodes, name = [], "images"
    for layer in layers:
        output = layer["name"] if layer is not layers[-1] else "output"
        nodes.append(_node(layer, name, output, constants, train))
        name = output
    graph = helper.make_graph(
        nodes,
        "alexnet",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)


def _node(layer: dict[str, Any], x: str, output: str, constants: dict[str, np.ndarray], train: bool) -> Any:
    kind, name = layer["kind"], layer["name"]
    inputs, options = [x], {}
    if kind in ("conv", "dense"):
        inputs += [f"{name}.w", f"{name}.b"]
    if kind in ("conv", "pool"):
        (top, bottom), (left, right) = layer["pads"]
        options = {"strides": layer["stride"], "pads": [top, left, bottom, right]}
    if kind == "conv":
        options |= {"group": layer["groups"]}
    elif kind == "pool":
        options |= {"kernel_shape": layer["kernel"]}
    elif kind == "lrn":
        size = 2 * layer["radius"] + 1
        # The mean over the window there, the sum here.
        options = {"size": size, "alpha": size * layer["alpha"], "beta": layer["beta"], "bias": layer["bias"]}
    elif kind == "dropout":
        constants[f"{name}.rate"] = np.array(layer["rate"], np.float32)
        inputs += [f"{name}.rate", *["train"] * train]
    return helper.make_node(OPERATORS[kind], inputs, [output], name, **options)


OPERATORS = {
    "conv": "Conv",
    "pool": "MaxPool",
    "relu": "Relu",
    "lrn": "LRN",
    "flatten": "Flatten",
    "dense": "Gemm",
    "dropout": "Dropout",
}


def _constants(layers: list[dict[str, Any]], channels: int, params: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The parameters as ONNX has them: filters (KH, KW, C, F) as (F, C, KH, KW), dense weights (C, F) as they are.

    Of the first dense layer, which follows the images, the rows are in the order (C, H, W) and no longer (H, W, C). So
    no step changes the order of the elements.
    """
    found = {}
    flattened = False
    for layer in layers:
        flattened |= layer["kind"] == "flatten"
        for name in (f"{layer['name']}.w", f"{layer['name']}.b") if layer["kind"] in ("conv", "dense") else ():
            value = params[name]
            if value.ndim == 4:
                channels = value.shape[3]
                value = value.transpose(3, 2, 0, 1)
            elif value.ndim == 2 and flattened:
                value = value.reshape(-1, channels, value.shape[1]).swapaxes(0, 1).reshape(value.shape)
                flattened = False
            found[name] = np.ascontiguousarray(value)
    return found
