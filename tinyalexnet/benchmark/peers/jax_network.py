"""The network in JAX, compiled by XLA, channels last."""

from __future__ import annotations

from itertools import count
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


class Network:
    """See ``worker.Network``. JAX cannot be told how many threads to use; the worker limits the processors."""

    version = f"jax {jax.__version__}"

    def __init__(
        self,
        layers: list[dict[str, Any]],
        images: np.ndarray,
        labels: np.ndarray | None,
        params: dict[str, np.ndarray],
        threads: int,
        device: str,
    ) -> None:
        self.layers = layers
        self.images = jnp.asarray(images)
        self.labels = None if labels is None else jnp.asarray(labels)
        self.params = {name: jnp.asarray(value) for name, value in params.items()}
        self._seeds = map(np.uint32, count())
        self._forward = jax.jit(self._output)
        self._gradients = jax.jit(jax.grad(self._loss))

    def forward(self) -> None:
        jax.block_until_ready(self._forward(self.params, self.images, next(self._seeds)))

    def forward_backward(self) -> None:
        jax.block_until_ready(self._gradients(self.params, self.images, next(self._seeds)))

    def results(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        gradients = self._gradients(self.params, self.images, None)
        output = np.asarray(self._forward(self.params, self.images, None))
        return output, {name: np.asarray(value) for name, value in gradients.items()}

    def _loss(self, params: dict[str, jax.Array], x: jax.Array, seed: np.uint32 | None) -> jax.Array:
        output = self._output(params, x, seed)
        if self.labels is None:
            return 0.5 * jnp.sum(output**2)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(output), self.labels[:, None], axis=1))

    def _output(self, params: dict[str, jax.Array], x: jax.Array, seed: np.uint32 | None) -> jax.Array:
        """Without dropout if there is no seed."""
        for number, layer in enumerate(self.layers):
            kind, name = layer["kind"], layer["name"]
            if kind == "relu":
                x = jax.nn.relu(x)
            elif kind == "lrn":
                x = _lrn(x, layer["radius"], layer["bias"], layer["alpha"], layer["beta"])
            elif kind == "flatten":
                x = x.reshape(len(x), -1)
            elif kind == "dense":
                x = x @ params[f"{name}.w"] + params[f"{name}.b"]
            elif kind == "dropout":
                if seed is not None:
                    key = jax.random.fold_in(jax.random.key(seed), number)
                    keep = 1 - layer["rate"]
                    x = jnp.where(jax.random.bernoulli(key, keep, x.shape), x / keep, 0)
            elif kind == "pool":
                pads = ((0, 0), *layer["pads"], (0, 0))
                x = lax.reduce_window(x, -jnp.inf, lax.max, (1, *layer["kernel"], 1), (1, *layer["stride"], 1), pads)
            else:
                # Group by group: XLA's own grouped convolution takes several times as long, and so do its gradients.
                groups = layer["groups"]
                pairs = zip(jnp.split(x, groups, 3), jnp.split(params[f"{name}.w"], groups, 3), strict=True)
                outputs = [
                    lax.conv_general_dilated(
                        channels, w, layer["stride"], layer["pads"], dimension_numbers=("NHWC", "HWIO", "NHWC")
                    )
                    for channels, w in pairs
                ]
                x = jnp.concatenate(outputs, 3) + params[f"{name}.b"]
        return x


def _lrn(x: jax.Array, radius: int, bias: float, alpha: float, beta: float) -> jax.Array:
    """JAX has no such function."""
    pads = ((0, 0), (0, 0), (0, 0), (radius, radius))
    squares = lax.reduce_window(x * x, 0.0, lax.add, (1, 1, 1, 2 * radius + 1), (1, 1, 1, 1), pads)
    scale = bias + alpha * squares
    if beta == 0.75:  # every AlexNet's: roots take a fraction of a power's time, as in this package
        root = lax.rsqrt(scale)
        return x * root * jnp.sqrt(root)
    return x * scale**-beta
