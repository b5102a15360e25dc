"""The network in TensorFlow, channels last, as a graph in a session: as the benchmark of 2015 ran it.

A ``tf.function`` takes as long for the forward, and a tenth longer for the gradients.
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow

tf = tensorflow.compat.v1

VERSION = f"tensorflow {tensorflow.__version__}"


class Network:
    """See ``worker.Network``."""

    def __init__(
        self, layers: list[dict[str, Any]], images: np.ndarray, params: dict[str, np.ndarray], threads: int
    ) -> None:
        tf.disable_eager_execution()
        # Placeholders: as a constant, a batch of 512 would not fit into a graph.
        starts = {name: tf.placeholder(tf.float32, value.shape) for name, value in params.items()}
        images_start = tf.placeholder(tf.float32, images.shape)
        x = tf.Variable(images_start, trainable=False)
        self._params = {name: tf.Variable(start) for name, start in starts.items()}
        self._output = _output(layers, x, self._params)
        self._gradients = tf.gradients(tf.nn.l2_loss(self._output), list(self._params.values()))
        self._session = tf.Session(
            config=tf.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=1)
        )
        values = {start: params[name] for name, start in starts.items()}
        self._session.run(tf.global_variables_initializer(), {images_start: images, **values})

    # Operations, not their values: a value would be copied out of TensorFlow.

    def forward(self) -> None:
        self._session.run(self._output.op)

    def forward_backward(self) -> None:
        self._session.run([gradient.op for gradient in self._gradients])

    def results(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        output, gradients = self._session.run([self._output, self._gradients])
        return output, dict(zip(self._params, gradients, strict=True))


def _output(layers: list[dict[str, Any]], x: Any, params: dict[str, Any]) -> Any:
    for layer in layers:
        if layer["kind"] == "relu":
            x = tf.nn.relu(x)
            continue
        # By name where there is one: the gradients of explicitly padded convolutions take half as long again.
        padding = layer["padding"] or [[0, 0], *layer["pads"], [0, 0]]
        strides = [1, *layer["stride"], 1]
        if layer["kind"] == "pool":
            x = tf.nn.max_pool(x, [1, *layer["kernel"], 1], strides, padding)
        else:
            w, b = params[f"{layer['name']}.w"], params[f"{layer['name']}.b"]
            x = tf.nn.bias_add(tf.nn.conv2d(x, w, strides, padding), b)
    return x
