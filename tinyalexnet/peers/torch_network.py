"""The network in PyTorch, eager, in its faster layout for convolutions on a CPU, channels_last."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

VERSION = f"torch {torch.__version__}"


class Network:
    """See ``worker.Network``."""

    def __init__(
        self,
        layers: list[dict[str, Any]],
        images: np.ndarray,
        labels: np.ndarray | None,
        params: dict[str, np.ndarray],
        threads: int,
    ) -> None:
        torch.set_num_threads(threads)
        self.layers = layers
        self.images = torch.from_numpy(images).permute(0, 3, 1, 2)
        self.labels = None if labels is None else torch.from_numpy(labels)
        self.params = {name: _theirs(value).requires_grad_() for name, value in params.items()}

    def forward(self) -> None:
        with torch.inference_mode():
            self._output(train=True)

    def forward_backward(self) -> None:
        self._backward(self._output(train=True))

    def results(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        output = self._output(train=False)
        self._backward(output)
        found = output.detach()
        gradients = {name: _ours(value.grad) for name, value in self.params.items()}
        return (found.permute(0, 2, 3, 1) if found.ndim == 4 else found).contiguous().numpy(), gradients

    def _backward(self, output: torch.Tensor) -> None:
        for value in self.params.values():
            value.grad = None
        labels = self.labels
        loss = 0.5 * (output * output).sum() if labels is None else functional.cross_entropy(output, labels)
        loss.backward()

    def _output(self, train: bool) -> torch.Tensor:
        x = self.images
        for layer in self.layers:
            kind, name = layer["kind"], layer["name"]
            if kind == "relu":
                x = functional.relu(x, inplace=True)
            elif kind == "lrn":
                size = 2 * layer["radius"] + 1
                # The mean over the window there, the sum here.
                x = functional.local_response_norm(x, size, size * layer["alpha"], layer["beta"], layer["bias"])
            elif kind == "flatten":
                # The order (H, W, C), which channels_last has in memory: no copy.
                x = x.permute(0, 2, 3, 1).flatten(1)
            elif kind == "dense":
                x = functional.linear(x, self.params[f"{name}.w"], self.params[f"{name}.b"])
            elif kind == "dropout":
                x = functional.dropout(x, layer["rate"], train)
            else:
                (top, bottom), (left, right) = layer["pads"]
                padding = top, left
                if (top, left) != (bottom, right):
                    padding = 0, 0
                    x = functional.pad(x, (left, right, top, bottom), value=-torch.inf if kind == "pool" else 0.0)
                if kind == "pool":
                    x = functional.max_pool2d(x, layer["kernel"], layer["stride"], padding)
                else:
                    w, b = self.params[f"{name}.w"], self.params[f"{name}.b"]
                    x = functional.conv2d(x, w, b, layer["stride"], padding, groups=layer["groups"])
        return x


def _theirs(value: np.ndarray) -> torch.Tensor:
    """Filters (KH, KW, C, F) as (F, C, KH, KW) in channels_last, dense weights (C, F) as (F, C), biases as they are."""
    tensor = torch.from_numpy(value)
    if value.ndim == 4:
        return tensor.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    return tensor.T.contiguous() if value.ndim == 2 else tensor


def _ours(tensor: torch.Tensor) -> np.ndarray:
    """The inverse of ``_theirs``."""
    if tensor.ndim == 4:
        tensor = tensor.permute(2, 3, 1, 0)
    elif tensor.ndim == 2:
        tensor = tensor.T
    array: np.ndarray = tensor.contiguous().numpy()
    return array
