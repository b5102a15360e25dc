"""The network in PyTorch, eager or compiled: on a CPU in its faster layout for convolutions there, channels_last."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

DEVICES = {"cpu": "cpu", "cuda": "cuda"}

LAYOUTS = {"channels_last": torch.channels_last, "channels first": torch.contiguous_format}

WARM_UPS = 3
"""Steps before a CUDA graph is recorded, as PyTorch's documentation asks for; and before a compiled step is timed."""

TRIES = 5
"""Steps in each layout, of which the fastest counts: in the first of them cuDNN tries its algorithms."""


class Network:
    """See ``worker.Network``. On a GPU it takes the layout in which a step is faster, and waits at a step's end."""

    def __init__(
        self,
        layers: list[dict[str, Any]],
        images: np.ndarray,
        labels: np.ndarray | None,
        params: dict[str, np.ndarray],
        threads: int,
        device: str,
    ) -> None:
        torch.set_num_threads(threads)
        self.version = f"torch {torch.__version__}"
        self.layers = layers
        kind, *how = device.split("-")
        self._is_on_gpu = kind != "cpu"
        if self._is_on_gpu:
            self._prepare_gpu("tf32" if "tf32" in how else "ieee")
        where = DEVICES[kind]
        self.images = torch.from_numpy(images).to(where).permute(0, 3, 1, 2)
        self.labels = None if labels is None else torch.from_numpy(labels).to(where)
        self.params = {name: _theirs(value).to(where).requires_grad_() for name, value in params.items()}
        if self._is_on_gpu:
            self._take_faster_layout()
        self._graphs: dict[str, Any] = {}
        self._warm: set[Callable[[], None]] = set()
        self._is_compiled = "compile" in how
        if self._is_compiled:
            self._compile()
        if "graph" in how:
            self._graphs = {name: self._recorded(step) for name, step in self._steps().items()}
            self.version += ", CUDA graphs"

    def forward(self) -> None:
        self._run("forward")

    def forward_backward(self) -> None:
        self._run("forward_backward")

    def seconds_of(self, step: Callable[[], None]) -> float:
        """By the clock of the GPU, if the network is there. The compiler has done its work before."""
        if self._is_compiled and step not in self._warm:
            self._warm.add(step)
            for _ in range(WARM_UPS):
                step()
        if not self._is_on_gpu:
            start = time.perf_counter()
            step()
            return time.perf_counter() - start
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        step()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / 1e3

    def _steps(self) -> dict[str, Callable[[], object]]:
        return {"forward": self._forward, "forward_backward": lambda: self._backward(train=True)}

    def _forward(self) -> torch.Tensor:
        with torch.inference_mode():
            return self._output(train=True)

    def _run(self, name: str) -> None:
        if name in self._graphs:
            self._graphs[name].replay()
        else:
            self._steps()[name]()
        self._wait()

    def _recorded(self, step: Callable[[], object]) -> Any:
        """The step as a CUDA graph; in a stream of its own before, as PyTorch's documentation says."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._kept = step()
        return graph

    def results(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        self._backward(train=False)
        with torch.no_grad():
            found = self._output(train=False)
        gradients = {name: _ours(value.grad) for name, value in self.params.items()}
        return (found.permute(0, 2, 3, 1) if found.ndim == 4 else found).contiguous().cpu().numpy(), gradients

    def _compile(self) -> None:
        """Lets PyTorch's compiler make one function of all layers, and one of all layers and the loss."""
        compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
        if sys.platform != "win32" and shutil.which(compiler) is None:
            sys.exit(f"torch.compile needs a C++ compiler, and there is no {compiler}")
        self._output, self._loss = torch.compile(self._output), torch.compile(self._loss)  # type: ignore[method-assign]
        self.version += ", compiled"

    def _prepare_gpu(self, precision: str) -> None:
        if not torch.cuda.is_available():
            sys.exit(f"{self.version} finds no GPU")
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.conv.fp32_precision = torch.backends.cuda.matmul.fp32_precision = precision
        self.version += f" on {torch.cuda.get_device_name()}, {'float32' if precision == 'ieee' else 'TF32'}"

    def _take_faster_layout(self) -> None:
        seconds = {}
        for layout in LAYOUTS:
            self._arrange(layout)
            seconds[layout] = min(self._seconds_of_a_step() for _ in range(TRIES))
        fastest = min(seconds, key=seconds.__getitem__)
        self._arrange(fastest)
        self.version += f", {fastest}"

    def _seconds_of_a_step(self) -> float:
        start = time.perf_counter()
        self._steps()["forward_backward"]()
        self._wait()
        return time.perf_counter() - start

    def _arrange(self, layout: str) -> None:
        """The images and filters in another order in memory."""

        def arranged(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.contiguous(memory_format=LAYOUTS[layout]) if tensor.ndim == 4 else tensor

        self.images = arranged(self.images)
        self.params = {name: arranged(value.detach()).requires_grad_() for name, value in self.params.items()}

    def _wait(self) -> None:
        if self._is_on_gpu:
            torch.cuda.synchronize()

    def _backward(self, train: bool) -> None:
        for value in self.params.values():
            value.grad = None
        self._loss(train).backward()

    def _loss(self, train: bool) -> torch.Tensor:
        output, labels = self._output(train), self.labels
        return 0.5 * (output * output).sum() if labels is None else functional.cross_entropy(output, labels)

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
    array: np.ndarray = tensor.contiguous().cpu().numpy()
    return array
