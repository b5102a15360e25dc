"""TensorFlow's AlexNet benchmark of 2015: the same network, the same loop, the same lines.

Standard output carries those lines and nothing else; all other text goes to standard error.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from .. import interrupts
from ..alexnet import alexnet, check_variant
from ..command import INTERRUPTED
from ..console import Console
from ..devices import Device, device, machine
from ..images import SUFFIXES, image_files, left_out, load_images
from ..losses import Loss, l2_loss, softmax_cross_entropy
from ..network import Sequential
from ..ops.checks import Shape
from . import breakdown, plots
from .memory import ledger, ledger_line, memory_estimate
from .options import Options, checked_shape, checked_threads
from .report import head, report_run, results, write_json
from .timing import TimedRun, Workload, compile_kernels, time_steps
from .versus import Comparison, Peer, compare

IMAGE_STD = 0.1
"""Standard deviation of the noise that replaces images."""

SHOWN_KINDS = ("conv", "pool", "dense")
"""Kinds of layers whose output shapes are printed."""


def run(options: Options, out: TextIO, err: TextIO) -> int:
    """Runs the benchmark and returns the exit code: 0, or 130 if Ctrl-C ended it early.

    Errors
        ValueError if an option is out of range or does not fit this machine, before anything large is allocated;
        ImportError if an optional package is missing.
    """
    say = Console(err, quiet=options.quiet)
    with say.waiting("preparing the network and the images"):
        x_shape = checked_shape(options)
        net = alexnet(
            options.variant, options.backend, options.seed, algorithm=options.algorithm, precision=options.precision
        )
        threads, hardware = checked_threads(options), device(options.backend)
        estimate = memory_estimate(net, x_shape, options.backend, options.backward)
        refuse_too_large(estimate, options, hardware)
        labels = labels_of(options, net.output_shape(x_shape))
        work = workload(options, net, x_shape, labels, say)
    runs: list[TimedRun] = []
    comparisons: list[Comparison] = []
    layers: dict[str, Any] = {}
    interrupted = False

    with hardware.limit_threads(threads), _peers(options, work, labels, threads, say) as peers:
        say.line(head(options, threads))
        shapes = printed_shapes(net, x_shape, out)
        try:
            compile_kernels(work, options.passes, say)
            for name in options.passes:
                runs.append(TimedRun(name))
                time_steps(runs[-1], work, options.num_batches, out, say)
                report_run(runs[-1], options, threads, out, say)
            if peers:
                comparisons = _compare(peers, work, options, out, say)
            # Last, because it measures the machine: after large matrix products dw was seen to take 40 % longer.
            if options.layers or options.plot is not None:
                layers = _layers(work, options, threads, out, say)
        except KeyboardInterrupt:
            interrupted = True
            interrupts.caught()
            if runs and 0 < len(runs[-1].durations) < options.num_batches:
                report_run(runs[-1], options, threads, out, say)
    if options.json is not None:
        all_shapes = {"images": x_shape} | shapes
        write_json(
            options.json, results(options, threads, all_shapes, estimate, runs, layers, comparisons, interrupted)
        )
        say.wrote(options.json)
    return INTERRUPTED if interrupted else 0


def workload(options: Options, net: Sequential, x_shape: Shape, labels: np.ndarray | None, say: Console) -> Workload:
    """The network with its images and its loss, on the device of the backend."""
    hardware = device(options.backend)
    images = hardware.to_device(_images(options, x_shape, say))
    return Workload(net, images, _loss(labels, options.backend), hardware, not options.no_graph)


def printed_shapes(net: Sequential, x_shape: Shape, out: TextIO) -> dict[str, Shape]:
    """Prints the lines of the layers, and returns all shapes."""
    shapes = net.output_shapes(x_shape)
    for name, shape in shapes.items():
        if net[name].kind in SHOWN_KINDS:
            print(f"{name}   {list(shape)}", file=out, flush=True)
    return shapes


def refuse_too_large(needed: int, options: Options, hardware: Device) -> None:
    """ValueError if so many bytes are not available."""
    available = hardware.free_memory()
    if available is not None and needed > available:
        raise ValueError(
            f"batch_size is {options.batch_size}, but needs about {needed / 1e9:.1f} GB of memory, and "
            f"{available / 1e9:.1f} GB is available"
        )


def photographs(folder: str, x_shape: Shape, say: Console) -> np.ndarray:
    """The batch from files; says which are not read."""
    found = load_images(folder, x_shape)
    taken = image_files(Path(folder))[: x_shape[0]]
    if text := left_out(folder, taken, f"{', '.join(SUFFIXES)} are, as many as the batch has images"):
        say.line(text)
    return found


def _images(options: Options, x_shape: Shape, say: Console) -> np.ndarray:
    if options.images is not None:
        return photographs(options.images, x_shape, say)
    images = np.random.default_rng(options.seed).standard_normal(x_shape, dtype=np.float32)
    images *= IMAGE_STD
    return images


def labels_of(options: Options, shape: Shape) -> np.ndarray | None:
    """Random labels for a network that classifies."""
    if check_variant(options.variant).num_classes is None:
        return None
    return np.random.default_rng(options.seed).integers(0, shape[1], shape[0])


def _loss(labels: np.ndarray | None, backend: str) -> Loss:
    """The cross-entropy with the labels; without labels, the loss of 2015's script."""
    if labels is None:
        return lambda y: l2_loss(y, backend)
    known = device(backend).to_device(labels)
    return lambda logits: softmax_cross_entropy(logits, known, backend)


@contextmanager
def _peers(
    options: Options, work: Workload, labels: np.ndarray | None, threads: int, say: Console
) -> Iterator[list[Peer]]:
    """The frameworks to compare with, started: a missing one is reported before anything is timed."""
    with ExitStack() as stack:
        peers = []
        for choice in options.versus:
            say.line(f"starting {choice.framework} ...")
            with say.waiting(f"waiting for {choice.framework}"):
                peers.append(stack.enter_context(Peer(choice, threads, work.net, work.images, labels)))
        yield peers


def _compare(peers: list[Peer], work: Workload, options: Options, out: TextIO, say: Console) -> list[Comparison]:
    with say.bar("versus", len(options.passes) * options.rounds) as (advance, _):
        comparisons = compare(peers, work, options.passes, options.rounds, advance)
    for comparison in comparisons:
        for line in comparison.lines():
            print(line, file=out, flush=True)
    return comparisons


def _layers(work: Workload, options: Options, threads: int, out: TextIO, say: Console) -> dict[str, Any]:
    """Measures, prints and draws the breakdown; returns its part of ``--json``."""
    passes = breakdown.LAYER_PASSES if options.backward else breakdown.LAYER_PASSES[:1]
    with say.bar("layers", options.rounds) as (advance, _):
        loss = work.loss if options.backward else None
        rows = breakdown.measure(work.net, work.images, loss, options.rounds, advance, work.device)
    with say.waiting("measuring the peak"):
        peak = work.device.peak(threads)
    activations = sum(row.output_bytes for row in rows)
    held = ledger(work.net, work.images, activations, work.device.held_memory())
    lines = [*breakdown.table(rows, peak, passes), ledger_line(held, machine.peak_memory())]
    print("\n".join(lines), file=out, flush=True)
    if options.plot is not None:
        title = f"{options.variant}, batch {options.batch_size}, {work.device.processor(threads)}"
        with say.waiting("drawing"):
            plots.breakdown(rows, peak, title, options.plot)
        say.wrote(options.plot)
    return {"rounds": options.rounds, "machine": asdict(peak), "rows": [asdict(row) for row in rows], "memory": held}
