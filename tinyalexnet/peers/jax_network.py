"""The network in JAX, compiled by XLA, channels last."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

VERSION = f"jax {jax.__version__}"


class Network:
    """See ``worker.Network``. JAX cannot be told how many threads to use; the worker limits the processors."""

    def __init__(
        self, layers: list[dict[str, Any]], images: np.ndarray, params: dict[str, np.ndarray], threads: int
    ) -> None:
        self.layers = layers
        self.images = jnp.asarray(images)
        self.params = {name: jnp.asarray(value) for name, value in params.items()}
        self._forward = jax.jit(self._output)
        self._gradients = jax.jit(jax.grad(lambda params, x: 0.5 * jnp.sum(self._output(params, x) ** 2)))

    def forward(self) -> None:
        jax.block_until_ready(self._forward(self.params, self.images))

    def forward_backward(self) -> None:
        jax.block_until_ready(self._gradients(self.params, self.images))

    def results(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        gradients = self._gradients(self.params, self.images)
        output = np.asarray(self._forward(self.params, self.images))
        return output, {name: np.asarray(value) for name, value in gradients.items()}

    def _output(self, params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
        for layer in self.layers:
            if layer["kind"] == "relu":
                x = jax.nn.relu(x)
            elif layer["kind"] == "pool":
                pads = ((0, 0), *layer["pads"], (0, 0))
                x = lax.reduce_window(x, -jnp.inf, lax.max, (1, *layer["kernel"], 1), (1, *layer["stride"], 1), pads)
            else:
                x = lax.conv_general_dilated(
                    x,
                    params[f"{layer['name']}.w"],
                    layer["stride"],
                    layer["pads"],
                    dimension_numbers=("NHWC", "HWIO", "NHWC"),
                    feature_group_count=layer["groups"],
                )
                x = x + params[f"{layer['name']}.b"]
        return x
