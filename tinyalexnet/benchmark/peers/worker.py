"""A process that runs a network step by step for another process: ``python worker.py FRAMEWORK FOLDER THREADS DEVICE``.

FOLDER holds ``network.json``, a list of layers, and ``arrays.npz``, the images, the parameters and, for a network that
classifies, the labels. DEVICE is "cpu" or "cuda"; with "-compile" behind it, the framework's compiler makes the steps,
with "-tf32" a GPU may use TensorFloat-32 for products of float32, and with "-graph" it replays CUDA graphs.

Standard input has one command per line, and standard output one answer per line, in JSON. The first answer, before any
command, is the framework's version, or the package that is missing. To the name of a pass the answer is the seconds of
one step. To "results" it is empty: the output and the gradients are then in ``results.npz``. The process ends when its
standard input does.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

STEPS = {"Forward": "forward", "Forward-backward": "forward_backward"}
"""The passes, and the methods that compute them."""

Layers = list[dict[str, Any]]
Arrays = dict[str, np.ndarray]


class Network(Protocol):
    """The class ``Network`` of a framework's module."""

    # PyTorch's also has ``seconds_of(step)``, by a GPU's clock. One that only computes the output lacks
    # ``forward_backward``, and its ``results`` have no gradients: ``versus.FORWARD_ONLY``.
    version: str
    """The framework's name and version, and the way in which it runs."""

    def __init__(
        self, layers: Layers, images: np.ndarray, labels: np.ndarray | None, params: Arrays, threads: int, device: str
    ) -> None: ...

    def forward(self) -> None:
        """Computes the output, with dropout, and waits until it is there."""

    def forward_backward(self) -> None:
        """Computes the output, with dropout, the loss, and the gradients of the parameters.

        The loss is the mean softmax cross-entropy or, without labels, half the sum of squares.
        """

    def results(self) -> tuple[np.ndarray, Arrays]:
        """The output and the gradients, both without dropout.

        The output is (N, H, W, C) or (N, C), and the gradients, under the parameters' names, have their shapes.
        """


def _seconds_of(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def main(framework: str, folder: Path, threads: int, device: str) -> None:
    # Frameworks print to standard output too. They get standard error, and the answers get standard output.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    # Line by line: else what a framework printed long ago is written at the end, behind the reason for the end.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]

    def answer(**values: object) -> None:
        print(json.dumps(values), file=answers, flush=True)

    limit_processors(threads)
    if device == "cpu":  # some frameworks would take a GPU unasked
        os.environ |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    try:
        module = importlib.import_module(f"{framework}_network")
    except ModuleNotFoundError as error:
        answer(missing=error.name)
        return
    with np.load(folder / "arrays.npz", allow_pickle=False) as stored:
        arrays = dict(stored)
    images, labels = arrays.pop("images"), arrays.pop("labels", None)
    layers = json.loads((folder / "network.json").read_text())
    network: Network = module.Network(layers, images, labels, arrays, threads, device)
    answer(version=network.version)
    for line in sys.stdin:
        command = line.strip()
        if command == "results":
            output, gradients = network.results()
            np.savez(folder / "results.npz", **{"output": output, **gradients})  # type: ignore[arg-type]
            answer()
        else:
            step = getattr(network, STEPS[command])
            answer(seconds=getattr(network, "seconds_of", _seconds_of)(step))


def limit_processors(count: int) -> None:
    """Holds this process to ``count`` processors, if the system can: not every framework has a setting for it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
