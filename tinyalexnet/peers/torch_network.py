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
        self, layers: list[dict[str, Any]], images: np.ndarray, params: dict[str, np.ndarray], threads: int
    ) -> None:
        torch.set_num_threads(threads)
        self.layers = layers
        self.images = _channels_last(images)
        self.params = {
            name: _filters(value).requires_grad_() if value.ndim == 4 else torch.from_numpy(value).requires_grad_()
            for name, value in params.items()
        }

    def forward(self) -> None:
        with torch.inference_mode():
            self._output()

    def forward_backward(self) -> None:
        for value in self.params.values():
            value.grad = None
        output = self._output()
        (0.5 * (output * output).sum()).backward()

    def results(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        self.forward_backward()
        with torch.inference_mode():
            output = self._output().permute(0, 2, 3, 1).contiguous().numpy()
        gradients = {name: value.grad for name, value in self.params.items()}
        return output, {
            name: (value.permute(2, 3, 1, 0) if value.ndim == 4 else value).contiguous().numpy()
            for name, value in gradients.items()
        }

    def _output(self) -> torch.Tensor:
        x = self.images
        for layer in self.layers:
            if layer["kind"] == "relu":
                x = functional.relu(x, inplace=True)
                continue
            (top, bottom), (left, right) = layer["pads"]
            padding = top, left
            if (top, left) != (bottom, right):
                padding = 0, 0
                x = functional.pad(x, (left, right, top, bottom), value=-torch.inf if layer["kind"] == "pool" else 0.0)
            if layer["kind"] == "pool":
                x = functional.max_pool2d(x, layer["kernel"], layer["stride"], padding)
            else:
                w, b = self.params[f"{layer['name']}.w"], self.params[f"{layer['name']}.b"]
                x = functional.conv2d(x, w, b, layer["stride"], padding, groups=layer["groups"])
        return x


def _channels_last(array: np.ndarray) -> torch.Tensor:
    """(N, H, W, C) as the (N, C, H, W) that PyTorch calls channels_last: the same memory."""
    return torch.from_numpy(array).permute(0, 3, 1, 2)


def _filters(w: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(w).permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
