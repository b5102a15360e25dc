"""Everything that docs/gpu.md quotes, measured on this machine's GPU, in one go.

python docs/gpu_measure.py [--out FOLDER] [--quick]      needs a GPU; PyTorch, if it is installed, is timed beside it

Prints tables in Markdown, and writes them with every single figure to FOLDER/gpu.md and FOLDER/gpu.json.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import platform
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tinyalexnet import alexnet, l2_loss, softmax_cross_entropy, to_host
from tinyalexnet.alexnet import VARIANTS
from tinyalexnet.benchmark.timing import Workload
from tinyalexnet.benchmark.versus import Choice, Peer
from tinyalexnet.console import Console
from tinyalexnet.devices import device
from tinyalexnet.files import replacing

CASES = [("tf2015", 128), ("tf2015", 512), ("tf2015", 10), ("tf2015", 1)]
CASES += [(name, 128) for name in ("owt", "torchvision", "caffe", "krizhevsky2012", "cifar")]

PEERS = {"float32": Choice("torch", graph=True), "TF32": Choice("torch", tf32=True, graph=True)}
"""Each in its faster layout, by its own CUDA graphs."""

PASSES = ("Forward", "Forward-backward")
ROUNDS, TURN_SECONDS = 3, 0.06

FIRST_STEP = """
import time; start = time.perf_counter()
import numpy as np
from tinyalexnet import alexnet, l2_loss, to_device
net = alexnet("tf2015", backend="cuda"); step = net.captured(lambda y: l2_loss(y, "cuda"))
step(np.zeros((128, 227, 227, 3), np.float32)).loss
print(time.perf_counter() - start)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=".", metavar="FOLDER")
    parser.add_argument("--quick", action="store_true", help="the first case alone")
    options = parser.parse_args()
    gpu = device("cuda")
    say = Console(sys.stderr, quiet=False)
    head = f"{gpu.processor(1)}, driver for CUDA {gpu._gpu.version}, {time.strftime('%Y-%m-%d')}; {versions()}"
    print(head, flush=True)
    lines = [head, ""]
    found: dict[str, object] = {"head": head}
    cases = CASES[:1] if options.quick else CASES
    for part in (start_up, launches, steps, errors, families):
        say.line(f"{part.__name__} ...")
        table, figures = part(cases)
        lines += [*table, ""]
        found[part.__name__] = figures
        print("\n".join(table), flush=True)
    folder = Path(options.out)
    for name, text in (("gpu.md", "\n".join(lines)), ("gpu.json", json.dumps(found, indent=1))):
        with replacing(folder / name) as temporary:
            temporary.write_text(text + "\n")
    return 0


def start_up(cases: object) -> tuple[list[str], object]:
    """Seconds from the start of Python to the end of the first step, kernels from the disk."""
    seconds = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", FIRST_STEP], capture_output=True, text=True, check=True)
        seconds.append(float(done.stdout))
    return [f"first step of a process: {', '.join(f'{s:.1f}' for s in seconds)} s"], seconds


def launches(cases: object) -> tuple[list[str], object]:
    """Host microseconds for a launch of a step that is not captured, and the bandwidth of a copy on the GPU."""
    work, _ = workload("tf2015", 1)
    step, gpu, count = work.net.captured(work.loss, graph=False), work.device._gpu, []
    for _ in range(3):
        step(work.images)
    launch = gpu.launch
    gpu.launch = lambda *arguments: count.append(launch(*arguments))
    step(work.images)
    gpu.launch = launch
    seconds = []
    for _ in range(20):
        work.device.wait()
        start = time.perf_counter()
        step(work.images)
        seconds.append(time.perf_counter() - start)
    micro = 1e6 * statistics.median(seconds) / len(count)
    bandwidth = work.device.peak(1).bandwidth / 1e9
    lines = [
        f"without a graph: {len(count)} launches a step, {micro:.1f} us of the host each; copy {bandwidth:.0f} GB/s"
    ]
    return lines, {"launches": len(count), "microseconds": micro, "copy": bandwidth}


def versions() -> str:
    names = ("numpy", "numba", "numba-cuda", "cuda-bindings", "torch")
    found = [f"{name} {version(name)}" for name in names if find_spec(name.replace("-bindings", "").replace("-", "_"))]
    return ", ".join([f"Python {platform.python_version()}", *found])


def workload(variant: str, batch: int, precision: str = "float32") -> tuple[Workload, np.ndarray | None]:
    """A network on random images, and its labels, if it classifies."""
    gpu, rng = device("cuda"), np.random.default_rng(0)
    net = alexnet(variant, backend="cuda", seed=0, precision=precision)
    images = 0.1 * rng.standard_normal((batch, *VARIANTS[variant].image_shape), dtype=np.float32)
    classes = VARIANTS[variant].num_classes
    labels = None if classes is None else rng.integers(0, classes, batch)
    there = None if labels is None else gpu.to_device(labels)

    def loss(y: object) -> object:
        return l2_loss(y, "cuda") if there is None else softmax_cross_entropy(y, there, "cuda")

    return Workload(net, gpu.to_device(images), loss, gpu), labels


def turn(seconds_of: object) -> float:
    count = max(3, round(TURN_SECONDS / max(seconds_of(), 1e-6)))
    return statistics.median(seconds_of() for _ in range(count))


def steps(cases: list[tuple[str, int]]) -> tuple[list[str], object]:
    """Milliseconds of each pass, in turns with PyTorch: medians of the rounds, and the spread of our own."""
    peers = PEERS if find_spec("torch") else {}
    names = "ours", "ours, TF32", *peers
    titles = ["tinyalexnet", "tinyalexnet, TF32", *(f"PyTorch, {peer}" for peer in peers)]
    lines = [f"| ms, forward / forward-backward | batch | {' | '.join(titles)} |", "|---" * (2 + len(names)) + "|"]
    figures: dict[str, object] = {}
    for variant, batch in cases:
        seconds = case(variant, batch, peers)
        row = [f"{variant} | {batch}"]
        for name in names:
            row.append(" / ".join(f"{1e3 * statistics.median(seconds[f'{name} {what}']):.3f}" for what in PASSES))
        lines.append(f"| {' | '.join(row)} |")
        print(lines[-1], file=sys.stderr, flush=True)
        figures[f"{variant} {batch}"] = seconds
    return lines, figures


def case(variant: str, batch: int, peers: dict[str, Choice]) -> dict[str, list[float]]:
    """Seconds of each side and pass, one figure for each round."""
    work, labels = workload(variant, batch)
    coarse, _ = workload(variant, batch, "tf32")
    seconds: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        running = {
            name: stack.enter_context(Peer(choice, 16, work.net, work.images, labels)) for name, choice in peers.items()
        }
        for what in PASSES:
            own = {"ours": work.step(what), "ours, TF32": coarse.step(what)}
            for step in own.values():
                step()
            for _ in range(ROUNDS):
                for name, step in own.items():
                    seconds[f"{name} {what}"].append(turn(functools.partial(work.device.seconds_of, step)))
                for name, peer in running.items():
                    seconds[f"{name} {what}"].append(turn(functools.partial(peer.step, what)))
    return seconds


def errors(cases: object) -> tuple[list[str], object]:
    """Relative L2 errors of tf2015 at batch 8, of this package and of PyTorch in float32, against our own float64."""
    rng, gpu = np.random.default_rng(1), device("cuda")
    images = (0.1 * rng.standard_normal((8, 227, 227, 3))).astype(np.float32)
    results = {}
    for dtype in (np.float32, np.float64):
        net = alexnet("tf2015", backend="cuda", seed=0)
        if dtype == np.float64:
            for _, layer in net.leaves():
                layer.params = {k: gpu.to_device(to_host(v).astype(dtype)) for k, v in layer.params.items()}
        out = net.forward(gpu.to_device(images.astype(dtype)))
        net.backward(l2_loss(out, "cuda")[1])
        results[np.dtype(dtype).name] = {"out": to_host(out)} | {k: to_host(v) for k, v in net.grads.items()}
    if find_spec("torch"):
        net = alexnet("tf2015", backend="cuda", seed=0)
        with Peer(Choice("torch"), 16, net, gpu.to_device(images)) as peer:
            out, grads = peer.results()
        results["torch"] = {"out": out} | grads
    exact = results.pop("float64")
    figures = {
        side: {k: float(np.linalg.norm(v - exact[k]) / np.linalg.norm(exact[k])) for k, v in found.items()}
        for side, found in results.items()
    }
    lines = [f"| relative error | {' | '.join(figures)} |", "|---" * (1 + len(figures)) + "|"]
    lines += [f"| {k} | {' | '.join(f'{found[k]:.1e}' for found in figures.values())} |" for k in exact]
    return lines, figures


def families(cases: list[tuple[str, int]]) -> tuple[list[str], object]:
    """Microseconds of each kernel in a captured forward-backward, between events that are part of the graph."""
    figures: dict[str, object] = {}
    lines = []
    for variant, batch in cases:
        micro = kernel_times(workload(variant, batch)[0])
        by_name: dict[str, list[float]] = defaultdict(list)
        for (_, name), value in micro.items():
            by_name[name].append(value)
        figures[f"{variant} {batch}"] = {f"{at} {name}": value for (at, name), value in micro.items()}
        lines += [f"{variant} {batch}: {len(micro)} launches, {sum(micro.values()):.0f} us", ""]
        lines += ["| kernel | launches | us |", "|---|---|---|"]
        lines += [
            f"| {name} | {len(values)} | {sum(values):.0f} |"
            for name, values in sorted(by_name.items(), key=lambda item: -sum(item[1]))
        ]
        lines.append("")
    return lines, figures


def kernel_times(work: Workload) -> dict[tuple[int, str], float]:
    """The median of each launch, by its number and the kernel's name."""
    gpu = work.device._gpu
    launch = gpu.launch

    def step(lap: object) -> None:
        count = itertools.count(1)

        def noted(function: object, *arguments: object) -> None:
            launch(function, *arguments)
            lap((next(count), function.name))

        gpu.launch = noted
        try:
            work.net.backward(work.loss(work.net.forward(work.images))[1])
        finally:
            gpu.launch = launch

    def prepare() -> None:
        for _, layer in work.net.leaves():
            layer.draw()

    laps = work.device.laps(step, prepare, 20, lambda: None)
    return {key: 1e6 * statistics.median(values) for key, values in laps.items()}


if __name__ == "__main__":
    sys.exit(main())
