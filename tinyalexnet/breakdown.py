"""Where the time and the memory of a step go, layer by layer, and how near that is to what the machine can do."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from .kernels.algorithm import winograd_tile
from .kernels.contract import Shape, group_shapes
from .layers import Conv2d, Dense, Flatten, Layer, ReLU
from .losses import Loss
from .network import Sequential

PASSES = ("forward", "dx", "dw")

PEAK_SIZE = 2048
"""Rows and columns of the matrices whose product is taken for the machine's peak."""

GEMM = {"reference": "direct", "cpu": "gemm", "cuda": "tiles"}
"""What a backend does where it does not take Winograd's algorithm."""

COPY_BYTES = 128 << 20
"""Bytes of the array whose copy is taken for the machine's memory bandwidth: more than any cache holds."""


@dataclass
class Machine:
    """What the machine reached in this run: float operations and bytes in a second, on all threads.

    A GPU's ``peak`` is what it could reach; ``how`` that comes.
    """

    peak: float
    bandwidth: float
    how: str = ""


@dataclass
class Row:
    """One layer: its place in the network, the seconds of each pass, and what a pass does and moves.

    ``multiply_adds`` is what the formula needs for the whole batch, ``performed`` what the algorithm's matrix products
    do, both for one pass. ``bytes_moved`` is the input, the output and the weights, each once; ``output_bytes`` is 0
    where the output overwrites the input.
    """

    name: str
    shape: Shape
    parameters: int = 0
    multiply_adds: int = 0
    performed: int = 0
    bytes_moved: int = 0
    algorithm: str = ""
    output_bytes: int = 0
    cache_bytes: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Seconds of all its passes."""
        return math.fsum(self.seconds.values())

    def rate(self, multiply_adds: int) -> float:
        """Float operations in a second, over all passes, if each pass has so many multiply-adds."""
        return 2 * multiply_adds * len(self.seconds) / self.total


def measure(
    net: Sequential,
    images: np.ndarray,
    loss: Loss | None,
    rounds: int,
    done: Callable[[], object],
    backend: str = "cpu",
) -> list[Row]:
    """A row for each layer, with the median seconds of its passes over ``rounds`` steps.

    ``done`` is called after each step. Without a ``loss`` a step is the forward alone.
    """
    watch = stopwatch(backend)
    samples: dict[tuple[str, str], list[float]] = {}

    def timed(name: str, what: str, step: Callable[[], np.ndarray | None]) -> np.ndarray | None:
        results: list[np.ndarray | None] = []
        samples.setdefault((name, what), []).append(watch(lambda: results.append(step())))
        return results[0]

    layers = list(net)
    for _ in range(rounds):
        x: np.ndarray | None = images
        for name, layer in layers:
            x = timed(name, "forward", lambda layer=layer, x=x: layer.forward(x))  # type: ignore[misc]
        assert x is not None
        caches = {name: sum(array.nbytes for array in layer.cache) for name, layer in layers}
        if loss is not None:
            dout: np.ndarray | None = loss(x)[1]
            for name, layer in reversed(layers):
                step: Callable[[np.ndarray], np.ndarray | None] = layer.backward
                if isinstance(layer, (Conv2d, Dense)):
                    timed(name, "dw", lambda layer=layer, dout=dout: layer.backward_params(dout))  # type: ignore[misc]
                    if not layer.needs_dx:
                        continue
                    step = layer.backward_input
                dout = timed(name, "dx", lambda step=step, dout=dout: step(dout))  # type: ignore[misc]
        done()

    rows, x_shape = [], images.shape
    for name, layer in layers:
        row = _row(name, layer, x_shape, images.dtype.itemsize)
        row.cache_bytes = caches[name]
        row.seconds = {what: float(np.median(samples[name, what])) for what in PASSES if (name, what) in samples}
        rows.append(row)
        x_shape = row.shape
    return rows


def _row(name: str, layer: Layer, x_shape: Shape, itemsize: int) -> Row:
    shape = layer.output_shape(x_shape)
    inplace = (isinstance(layer, ReLU) and layer.inplace) or isinstance(layer, Flatten)
    row = Row(name, shape, output_bytes=0 if inplace else itemsize * math.prod(shape))
    row.parameters = sum(value.size for value in layer.params.values())
    row.bytes_moved = itemsize * (math.prod(x_shape) + math.prod(shape) + row.parameters)
    if isinstance(layer, Dense):
        row.multiply_adds = row.performed = x_shape[0] * layer.params["w"].size
        row.algorithm = "product"
    if isinstance(layer, Conv2d):
        w = layer.params["w"]
        row.multiply_adds = math.prod(shape) * math.prod(w.shape[:3])
        group, w_shape = group_shapes(x_shape, w.shape[3], layer.window, layer.groups)
        # The reference takes Winograd's algorithm only where it is asked for by name, and a GPU with stride 1.
        has_auto = layer.backend == "cpu" or (layer.backend == "cuda" and layer.window.stride == (1, 1))
        asked = "gemm" if layer.algorithm == "auto" and not has_auto else layer.algorithm
        tile = winograd_tile(asked, group, w_shape, layer.window, w.dtype)
        row.algorithm, row.performed = GEMM[layer.backend], row.multiply_adds
        if tile is not None:
            row.algorithm = f"F({_by(tile.m)}, {_by(tile.r)})"
            depth = math.prod(layer.window.stride) * w.shape[2]
            # Only on a CPU are there smaller tiles at the edge.
            whole = math.prod(tile.counts((shape[1], shape[2]))) * tile.points
            points = tile.points_of((shape[1], shape[2])) if layer.backend == "cpu" else whole
            row.performed = x_shape[0] * points * depth * w.shape[3]
    return row


def _by(pair: tuple[int, int]) -> str:
    return f"{pair[0]}x{pair[1]}"


def measure_machine(threads: int, backend: str = "cpu") -> Machine:
    """The speed of a large float32 matrix product on ``threads`` threads, and of a copy: each the best of several.

    Of a GPU, what its lanes could do, and the speed of a copy there. One that is simulated is this machine.
    """
    if backend == "cuda":
        from .kernels.cuda import runtime

        if (peak := runtime.peak()) is not None:
            return Machine(peak[0], runtime.bandwidth(COPY_BYTES), peak[1])
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((PEAK_SIZE, PEAK_SIZE), dtype=np.float32) for _ in range(2))
    product = np.empty_like(a)
    with threadpool_limits(threads, user_api="blas"):
        seconds = min(seconds_of(lambda: np.matmul(a, b, out=product)) for _ in range(8))
    sources = np.array_split(np.zeros(COPY_BYTES, np.uint8), threads)
    targets = np.array_split(np.ones(COPY_BYTES, np.uint8), threads)
    with ThreadPoolExecutor(threads) as pool:
        copy_seconds = min(seconds_of(lambda: list(pool.map(np.copyto, targets, sources))) for _ in range(8))
    return Machine(2 * PEAK_SIZE**3 / seconds, 2 * COPY_BYTES / copy_seconds)


def stopwatch(backend: str) -> Callable[[Callable[[], object]], float]:
    """What tells how many seconds a step takes: for "cuda" the GPU's own clock, when all is done."""
    if backend == "cuda":
        from .kernels.cuda import runtime

        watch: Callable[[Callable[[], object]], float] = runtime.seconds_of
        return watch
    return seconds_of


def seconds_of(step: Callable[[], object]) -> float:
    """How long ``step()`` takes."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def table(rows: list[Row], peak: Machine, passes: tuple[str, ...]) -> list[str]:
    """The rows as lines of text; times in milliseconds a batch.

    GFLOP/s are effective: what the formula needs, over the time. The share of the peak is of what the products do.
    """
    whole = math.fsum(row.total for row in rows)
    wide = max(6, *(len(row.name) for row in rows))
    head = f"{'layer':<{wide}} {'output':<20} {'parameters':>10} {'multiply-adds':>14} {'algorithm':<13}"
    lines = [head + "".join(f" {name:>8}" for name in passes) + f" {'GFLOP/s':>8} {'of peak':>8} {'of step':>8}"]
    for row in rows:
        line = f"{row.name:<{wide}} {list(row.shape)!s:<20} {row.parameters or '':>10} {row.multiply_adds or '':>14}"
        line += f" {row.algorithm:<13}"
        for name in passes:
            line += f" {1e3 * row.seconds[name]:8.2f}" if name in row.seconds else f" {'':>8}"
        if row.multiply_adds:
            line += f" {row.rate(row.multiply_adds) / 1e9:8.0f} {row.rate(row.performed) / peak.peak:8.0%}"
        else:
            line += f" {'':>8} {'':>8}"
        lines.append(f"{line} {row.total / whole:8.1%}")
    sums = "".join(f" {1e3 * math.fsum(row.seconds.get(name, 0.0) for row in rows):8.2f}" for name in passes)
    parameters, multiply_adds = (sum(getattr(row, name) for row in rows) for name in ("parameters", "multiply_adds"))
    lines.append(f"{'sum':<{wide}} {'':<20} {parameters:>10} {multiply_adds:>14} {'':<13}{sums}")
    lines.append(
        f"peak {peak.peak / 1e9:.0f} GFLOP/s, {peak.how or f'of a product of {PEAK_SIZE} x {PEAK_SIZE} matrices'}; "
        f"memory {peak.bandwidth / 1e9:.0f} GB/s, of a copy"
    )
    return lines


def ledger(net: Sequential, images: np.ndarray, rows: list[Row], kernels_hold: int) -> dict[str, int]:
    """Bytes by purpose. ``kernels_hold`` is what the kernels keep for activations, gradients and scratch together."""
    caches = {_owner(array): array.nbytes for array in net.cache if _owner(array) != _owner(images)}
    parameters = sum(value.nbytes for value in net.params.values())
    return {
        "images": images.nbytes,
        "parameters": parameters,
        "gradients": sum(value.nbytes for value in net.grads.values()),
        "activations": sum(row.output_bytes for row in rows),
        "caches": sum(caches.values()),
        "kernels": kernels_hold,
    }


def ledger_line(held: dict[str, int], peak_memory: int | None) -> str:
    """The ledger as text."""
    text = (
        f"memory: images {_megabytes(held['images'])}, parameters {_megabytes(held['parameters'])}, gradients "
        f"{_megabytes(held['gradients'])}; all activations {_megabytes(held['activations'])}, of which "
        f"{_megabytes(held['caches'])} wait for the backward"
    )
    if held["kernels"]:
        text += f"; the kernels hold {_megabytes(held['kernels'])} for activations, gradients and scratch"
    if peak_memory is not None:
        text += f"; peak of the process {_megabytes(peak_memory)}"
    return text


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB"


def _owner(array: Any) -> int:
    """The same for all arrays that share memory. Those on a GPU share what points to it."""
    while isinstance(getattr(array, "base", None), np.ndarray):
        array = array.base
    return id(getattr(array, "gpu_data", array))
