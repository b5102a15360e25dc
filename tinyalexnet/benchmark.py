"""TensorFlow's AlexNet benchmark of 2015: the same network, the same loop, the same lines.

Standard output carries those lines and nothing else; everything that they do not say goes to standard error.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from threadpoolctl import threadpool_limits

from . import breakdown, machine, plots
from .alexnet import alexnet, check_variant
from .console import Console
from .files import check_writable, replacing
from .geometry import as_integer
from .images import load_images
from .kernels import placed
from .kernels.contract import Shape
from .layers import Conv2d, Dense, Dropout, Flatten, LocalResponseNorm, MaxPool2d, ReLU
from .losses import Loss, l2_loss, softmax_cross_entropy
from .network import Sequential
from .versus import Choice, Comparison, Peer, check_choice, compare

BURN_IN_STEPS = 10
"""Steps that run before each timed run and do not count."""

IMAGE_STD = 0.1
"""Standard deviation of the noise that stands in for images."""

PASSES = ("Forward", "Forward-backward")


@dataclass(frozen=True)
class Options:
    """What to run; the command line's flags under the same names."""

    batch_size: int = 128
    num_batches: int = 100
    variant: str = "tf2015"
    backend: str = "cpu"
    algorithm: str = "auto"
    threads: int | None = None
    seed: int = 0
    passes: tuple[str, ...] = PASSES
    legacy_stats: bool = False
    images: str | None = None
    json: str | None = None
    quiet: bool = False
    versus: tuple[Choice, ...] = ()
    rounds: int = 10
    layers: bool = False
    plot: str | None = None


@dataclass
class Run:
    """One timed run: the durations in seconds of the steps that were finished, and the CPU time of all threads."""

    name: str
    durations: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0

    def cpu_utilisation(self, threads: int) -> float:
        """Process CPU time over wall time times threads: 1 where every thread computed all the time."""
        return self.cpu_seconds / (sum(self.durations) * threads)


def statistics(durations: list[float]) -> tuple[float, float]:
    """Mean and population standard deviation of all durations, in seconds."""
    mean = math.fsum(durations) / len(durations)
    return mean, math.sqrt(math.fsum((duration - mean) ** 2 for duration in durations) / len(durations))


def legacy_statistics(durations: list[float]) -> tuple[float, float]:
    """The 2015 script's mean and standard deviation: the first sample is dropped, the divisor is not reduced.

    Math
        mean = Σ_{i>0} d_i / N and spread = √(Σ_{i>0} d_i² / N - mean²). So N equal durations d give the mean
        d (N - 1) / N and the spread d √(N - 1) / N: 10 % of d at N = 100, where nothing varied at all.
    Source
        docs/benchmark.md.
    """
    n = len(durations)
    mean = math.fsum(durations[1:]) / n
    return mean, math.sqrt(max(math.fsum(duration**2 for duration in durations[1:]) / n - mean**2, 0.0))


FIXED_MEMORY = {"reference": 50_000_000, "cpu": 200_000_000, "cuda": 0}
"""Bytes that a run takes whatever its batch: compiled code, and what the convolutions work with."""


def memory_estimate(net: Sequential, x_shape: Shape, backend: str, backward: bool) -> int:
    """Bytes that a run will allocate at its peak, within about a fifth.

    The parameters, and their gradients twice. What layers keep until the next step: the images, the input of each
    convolution, dense layer and normalisation, the output of each ReLU, which is mostly the same array, a
    normalisation's divisors, and a byte an output for where a pool's maxima were and for what a dropout kept. All but
    the images are there twice, because a step's are made before the last step's are let go. On top of that come the
    input and the output, or their gradients, of the layer where they are largest. The reference adds the copies that
    NumPy makes: of the padded input, of one product, and of the candidates under a pooling window.
    """
    kept = passing = 0
    before, is_kept = x_shape, True
    for name, shape in net.output_shapes(x_shape).items():
        layer, size, size_before = net[name], math.prod(shape), math.prod(before)
        copies = size + size_before
        if isinstance(layer, (Conv2d, Dense, LocalResponseNorm, ReLU)) and not is_kept:
            kept += size_before
            is_kept = True
        if isinstance(layer, (ReLU, Flatten)):
            copies = size
        else:
            is_kept = False
        if isinstance(layer, LocalResponseNorm):
            kept += size
        elif isinstance(layer, Dropout):
            kept += size // 4
        elif isinstance(layer, MaxPool2d):
            kept += size // 4
            copies = size_before + (math.prod(layer.window.kernel) + 8) * size
        both = size + size_before * (backward and before != x_shape)
        passing = max(passing, both + copies * (backend == "reference"))
        before = shape
    parameters = sum(value.size for value in net.params.values())
    itemsize = 4
    return FIXED_MEMORY[backend] + itemsize * (
        parameters * (3 if backward else 1) + math.prod(x_shape) + 2 * kept + passing
    )


def run(options: Options, out: TextIO, err: TextIO) -> int:
    """Runs the benchmark and returns the exit code: 0, or 130 where Ctrl-C ended it early.

    Errors
        ValueError where an option is out of range or does not fit this machine, before anything large is allocated;
        ImportError where an optional package is missing.
    """
    x_shape = _checked_shape(options)
    net = alexnet(options.variant, options.backend, options.seed, algorithm=options.algorithm)
    threads = _threads(options)
    _refuse_too_large(net, x_shape, options)
    images = placed(_images(options, x_shape), options.backend)
    labels = _labels(options, net.output_shape(x_shape))
    loss = _loss(labels, options.backend)
    say = Console(err, quiet=options.quiet)
    runs: list[Run] = []
    comparisons: list[Comparison] = []
    layers: dict[str, Any] = {}
    interrupted = False

    with _limit_threads(options.backend, threads), _peers(options, net, images, labels, threads, say) as peers:
        say.line(_header(options, threads))
        for name, shape in net.output_shapes(x_shape).items():
            if isinstance(net[name], (Conv2d, MaxPool2d, Dense)):
                print(f"{name}   {list(shape)}", file=out, flush=True)
        try:
            _compile(net, images, loss, options, say)
            for name in options.passes:
                runs.append(Run(name))
                _time(runs[-1], _step(name, net, images, loss), options, out, say)
                _report(runs[-1], options, threads, out, say)
            if peers:
                comparisons = _compare(peers, net, images, loss, options, out, say)
            # Last, because it measures the machine: after large matrix products dw was seen to take 40 % longer.
            if options.layers or options.plot is not None:
                layers = _layers(net, images, loss, options, threads, out, say)
        except KeyboardInterrupt:
            interrupted = True
            if runs and 0 < len(runs[-1].durations) < options.num_batches:
                _report(runs[-1], options, threads, out, say)
            say.line("interrupted")
    if options.json is not None:
        write_json(options.json, _results(options, net, x_shape, threads, runs, layers, comparisons, interrupted))
    return 130 if interrupted else 0


def write_json(path: str | Path, value: dict[str, Any]) -> None:
    """Writes ``value``, all of it or nothing."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")


def _checked_shape(options: Options) -> Shape:
    for name in ("batch_size", "num_batches", "rounds"):
        as_integer(name, getattr(options, name), 1)
    as_integer("seed", options.seed, 0)
    for choice in options.versus:
        check_choice(choice, options.backend == "cuda")
    for name, path in (("json", options.json), ("plot", options.plot)):
        if path is not None:
            check_writable(name, path)
    if options.plot is not None:
        plots.check(options.plot)
    return options.batch_size, *check_variant(options.variant).image_shape


def _threads(options: Options) -> int:
    most = machine.cores()
    if options.backend == "cpu":
        from .kernels.cpu import runtime

        most = runtime.most_threads()
    if options.threads is None:
        return most
    if as_integer("threads", options.threads, 1) > most:
        raise ValueError(f"threads is {options.threads}, but must be at most {most} here")
    return options.threads


def _refuse_too_large(net: Sequential, x_shape: Shape, options: Options) -> None:
    needed = memory_estimate(net, x_shape, options.backend, backward=PASSES[1] in options.passes)
    available = machine.available_memory()
    if options.backend == "cuda":
        from .kernels.cuda import runtime

        available = runtime.free_memory()
    if available is not None and needed > available:
        raise ValueError(
            f"batch_size is {options.batch_size}, but needs about {needed / 1e9:.1f} GB of memory, and "
            f"{available / 1e9:.1f} GB is available"
        )


def _images(options: Options, x_shape: Shape) -> np.ndarray:
    if options.images is not None:
        return load_images(options.images, x_shape)
    images = np.random.default_rng(options.seed).standard_normal(x_shape, dtype=np.float32)
    images *= IMAGE_STD
    return images


@contextmanager
def _limit_threads(backend: str, threads: int) -> Iterator[None]:
    if backend == "cpu":
        from .kernels.cpu import runtime

        with runtime.limit_threads(threads):
            yield
    else:
        with threadpool_limits(threads, user_api="blas"):
            yield


def _labels(options: Options, shape: Shape) -> np.ndarray | None:
    """Random labels for a network that classifies."""
    if check_variant(options.variant).num_classes is None:
        return None
    return np.random.default_rng(options.seed).integers(0, shape[1], shape[0])


def _loss(labels: np.ndarray | None, backend: str) -> Loss:
    """The cross-entropy with the labels; without any, the loss of 2015's script."""
    if labels is None:
        return lambda y: l2_loss(y, backend)
    known = placed(labels, backend)
    return lambda logits: softmax_cross_entropy(logits, known, backend)


def _compile(net: Sequential, images: np.ndarray, loss: Loss, options: Options, say: Console) -> None:
    """Runs every pass once, so that no step of a run has to wait for a compiler.

    On the whole batch, because a smaller one may take other algorithms.
    """
    if options.backend == "cuda":
        start, watch = time.perf_counter(), breakdown.stopwatch(options.backend)
        for name in options.passes:
            watch(_step(name, net, images, loss))
        say.line(f"kernels compiled by a first step; ready after {time.perf_counter() - start:.1f} s")
    if options.backend != "cpu":
        return
    from .kernels.cpu import runtime

    start = time.perf_counter()
    with runtime.report_compilation(
        on_start=lambda name: say.line(f"compiling {name} ...", end=""),
        on_end=lambda seconds: say.line(f" {seconds:.1f} s"),
    ) as compiled:
        for name in options.passes:
            _step(name, net, images, loss)()
    cached = "" if compiled else ", all from the cache"
    say.line(f"{len(compiled)} functions compiled{cached}; ready after {time.perf_counter() - start:.1f} s")


def _step(name: str, net: Sequential, images: np.ndarray, loss: Loss) -> Callable[[], object]:
    """What is timed: the forward alone, or the forward, the loss and the gradients of the parameters."""

    def forward_backward() -> None:
        _, dout = loss(net.forward(images))
        net.backward(dout)

    return {"Forward": lambda: net.forward(images), "Forward-backward": forward_backward}[name]


def _time(run: Run, step: Callable[[], object], options: Options, out: TextIO, say: Console) -> None:
    watch = breakdown.stopwatch(options.backend)
    with say.bar(run.name, BURN_IN_STEPS + options.num_batches) as (advance, write):
        for i in range(-BURN_IN_STEPS, options.num_batches):
            cpu_start = time.process_time()
            duration = watch(step)
            if i >= 0:
                run.cpu_seconds += time.process_time() - cpu_start
                run.durations.append(duration)
                if i > 0 and i % 10 == 0:
                    write(f"{datetime.now()}: step {i}, duration = {duration:.3f}", out)
            advance()


@contextmanager
def _peers(
    options: Options, net: Sequential, images: np.ndarray, labels: np.ndarray | None, threads: int, say: Console
) -> Iterator[list[Peer]]:
    """The frameworks to compare with, started: one that is missing is told before anything is timed."""
    with ExitStack() as stack:
        peers = []
        for choice in options.versus:
            say.line(f"starting {choice.framework} ...")
            peers.append(stack.enter_context(Peer(choice, threads, net, images, labels)))
        yield peers


def _layers(
    net: Sequential, images: np.ndarray, loss: Loss, options: Options, threads: int, out: TextIO, say: Console
) -> dict[str, Any]:
    """Measures, prints and draws the breakdown; returns what ``--json`` has of it."""
    backward = PASSES[1] in options.passes
    passes = breakdown.PASSES if backward else breakdown.PASSES[:1]
    with say.bar("layers", options.rounds) as (advance, _):
        rows = breakdown.measure(net, images, loss if backward else None, options.rounds, advance, options.backend)
    peak = breakdown.measure_machine(threads, options.backend)
    held = breakdown.ledger(net, images, rows, _kernels_hold(options.backend))
    lines = [*breakdown.table(rows, peak, passes), breakdown.ledger_line(held, machine.peak_memory())]
    print("\n".join(lines), file=out, flush=True)
    if options.plot is not None:
        title = f"{options.variant}, batch {options.batch_size}, {_processor(options.backend, threads)}"
        plots.breakdown(rows, peak, title, options.plot)
    return {
        "rounds": options.rounds,
        "machine": asdict(peak),
        "rows": [asdict(row) for row in rows],
        "memory": held,
    }


def _kernels_hold(backend: str) -> int:
    if backend != "cpu":
        return 0
    from .kernels.cpu import memory

    return memory.held()


def _compare(
    peers: list[Peer],
    net: Sequential,
    images: np.ndarray,
    loss: Loss,
    options: Options,
    out: TextIO,
    say: Console,
) -> list[Comparison]:
    steps = {name: _waiting(_step(name, net, images, loss), options.backend) for name in options.passes}
    with say.bar("versus", len(steps) * options.rounds) as (advance, _):
        comparisons = compare(peers, net, images, loss, steps, options.rounds, advance)
    for comparison in comparisons:
        for line in comparison.lines():
            print(line, file=out, flush=True)
    return comparisons


def _waiting(step: Callable[[], object], backend: str) -> Callable[[], object]:
    """The step, and where it computes on a GPU a wait for that: as the step of another framework ends."""
    if backend == "cuda":
        from .kernels.cuda import runtime

        def waiting() -> None:
            step()
            runtime.wait()

        return waiting
    return step


def _report(run: Run, options: Options, threads: int, out: TextIO, say: Console) -> None:
    mean, spread = (legacy_statistics if options.legacy_stats else statistics)(run.durations)
    steps = len(run.durations)
    print(
        f"{datetime.now()}: {run.name} across {steps} steps, {mean:.3f} +/- {spread:.3f} sec / batch",
        file=out,
        flush=True,
    )
    percent = 100 * run.cpu_utilisation(threads)
    say.line(f"{run.name}: CPU utilisation {percent:.0f} % (process CPU time / wall time x {threads} threads)")


def _header(options: Options, threads: int) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions().items())
    return (
        f"{versions} | {machine.cpu_name()}, {machine.cores()} cores | backend {options.backend}, {threads} threads | "
        f"{_arithmetic(options.backend, threads)} | float32 NHWC"
    )


def _processor(backend: str, threads: int) -> str:
    if backend == "cuda":
        from .kernels.cuda import runtime

        return runtime.name()
    return f"{threads} threads, {machine.cpu_name()}"


def _arithmetic(backend: str, threads: int) -> str:
    if backend == "cuda":
        return f"GPU {_processor(backend, threads)}, by whose clock each step is timed until it is done"
    return f"BLAS {', '.join(machine.blas_names())}"


def _results(
    options: Options,
    net: Sequential,
    x_shape: Shape,
    threads: int,
    runs: list[Run],
    layers: dict[str, Any],
    comparisons: list[Comparison],
    interrupted: bool,
) -> dict[str, Any]:
    """What ``--json`` writes: times in seconds, memory in bytes."""
    return {
        "options": asdict(options) | {"threads": threads},
        "versions": machine.versions(),
        "cpu": {"name": machine.cpu_name(), "cores": machine.cores(), "blas": machine.blas_names()},
        "dtype": "float32",
        "burn_in_steps": BURN_IN_STEPS,
        "shapes": {"images": x_shape} | net.output_shapes(x_shape),
        "memory": {
            "estimate": memory_estimate(net, x_shape, options.backend, backward=PASSES[1] in options.passes),
            "peak": machine.peak_memory(),
        },
        "interrupted": interrupted,
        "runs": [
            {
                "name": run.name,
                "durations": run.durations,
                "statistics": dict(zip(("mean", "std"), statistics(run.durations), strict=True)),
                "legacy_statistics": dict(zip(("mean", "std"), legacy_statistics(run.durations), strict=True)),
                "cpu_utilisation": run.cpu_utilisation(threads),
            }
            for run in runs
            if run.durations
        ],
        "layers": layers,
        "versus": [
            asdict(comparison) | {"ratio": {name: comparison.ratio(name) for name in comparison.seconds}}
            for comparison in comparisons
        ],
    }
