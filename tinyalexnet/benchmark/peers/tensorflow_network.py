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


class Network:
    """See ``worker.Network``."""

    version = f"tensorflow {tensorflow.__version__}"

    def __init__(
        self,
        layers: list[dict[str, Any]],
        images: np.ndarray,
        labels: np.ndarray | None,
        params: dict[str, np.ndarray],
        threads: int,
        device: str,
    ) -> None:
        tf.disable_eager_execution()
        # Placeholders: as a constant, a batch of 512 would not fit into a graph.
        starts = {name: tf.placeholder(value.dtype, value.shape) for name, value in params.items()}
        images_start = tf.placeholder(images.dtype, images.shape)
        x = tf.Variable(images_start, trainable=False)
        self._params = {name: tf.Variable(start) for name, start in starts.items()}
        self._output = _output(layers, x, self._params, train=True)
        self._gradients = _gradients(self._output, labels, self._params)
        plain = _output(layers, x, self._params, train=False)
        self._results = plain, _gradients(plain, labels, self._params)
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
        output, gradients = self._session.run(self._results)
        return output, dict(zip(self._params, gradients, strict=True))


def _gradients(output: Any, labels: np.ndarray | None, params: dict[str, Any]) -> list[Any]:
    if labels is None:
        loss = tf.nn.l2_loss(output)
    else:
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=output))
    gradients: list[Any] = tf.gradients(loss, list(params.values()))
    return gradients


def _output(layers: list[dict[str, Any]], x: Any, params: dict[str, Any], train: bool) -> Any:
    for layer in layers:
        kind, name = layer["kind"], layer["name"]
        if kind == "relu":
            x = tf.nn.relu(x)
        elif kind == "lrn":
            x = tf.nn.local_response_normalization(x, layer["radius"], layer["bias"], layer["alpha"], layer["beta"])
        elif kind == "flatten":
            x = tf.reshape(x, [x.shape[0], -1])
        elif kind == "dense":
            x = tf.nn.bias_add(tf.matmul(x, params[f"{name}.w"]), params[f"{name}.b"])
        elif kind == "dropout":
            x = tf.nn.dropout(x, rate=layer["rate"]) if train else x
        else:
            # By name if there is one: the gradients of explicitly padded convolutions take half as long again.
            padding = layer["padding"] or [[0, 0], *layer["pads"], [0, 0]]
            strides = [1, *layer["stride"], 1]
            if kind == "pool":
                x = tf.nn.max_pool(x, [1, *layer["kernel"], 1], strides, padding)
            else:
                # Group by group: as fast, and a grouped one that is padded explicitly has no gradient on a CPU.
                groups = layer["groups"]
                pairs = zip(tf.split(x, groups, 3), tf.split(params[f"{name}.w"], groups, 3), strict=True)
                outputs = [tf.nn.conv2d(channels, w, strides, padding) for channels, w in pairs]
                x = tf.nn.bias_add(outputs[0] if groups == 1 else tf.concat(outputs, 3), params[f"{name}.b"])
    return x
