"""The report of a benchmark: its head, its line for each run, and the file of ``--json``."""

import hashlib
import json
import platform
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

from ..console import Console
from ..devices import device, machine
from ..files import replacing
from ..ops.checks import Shape
from .options import Options
from .timing import BURN_IN_STEPS, TimedRun, legacy_statistics, statistics
from .versus import Comparison


def versions() -> dict[str, str]:
    """Version numbers of the interpreter and of the packages that the speed depends on."""
    from .. import __version__

    return {
        "tinyalexnet": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in ("numpy", "numba")},
    }


def circumstances() -> dict[str, Any]:
    """What else a time depends on: versions, processor, BLAS, type of the elements."""
    return {
        "versions": versions() | {"code": _digest_of_sources()},
        "cpu": {
            "name": machine.cpu_name(),
            "model": machine.cpu_model(),
            "cores": machine.cores(),
            "blas": machine.blas_names(),
        },
        "dtype": "float32",
    }


def _digest_of_sources() -> str:
    """Of all modules of the package: a version number stays the same for many commits."""
    digest, folder = hashlib.sha256(), Path(__file__).parents[1]
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def head(options: Options, threads: int) -> str:
    """Versions, hardware, backend and threads, in one line."""
    numbers = ", ".join(f"{name} {number}" for name, number in versions().items())
    hardware = device(options.backend)
    return (
        f"{numbers} | {machine.cpu_name()}, {machine.cores()} cores | backend {options.backend}, {threads} threads | "
        f"{hardware.arithmetic(threads)} | float32 NHWC{_products(options)}{hardware.launching(not options.no_graph)}"
    )


def _products(options: Options) -> str:
    """The precision of the matrix products, if it is another one than that of the arrays."""
    return "" if options.precision == "float32" else f", products in {options.precision.upper()}"


def report_run(run: TimedRun, options: Options, threads: int, out: TextIO, say: Console) -> None:
    """Prints mean and spread of a run, and to standard error the CPU utilisation."""
    mean, spread = (legacy_statistics if options.legacy_stats else statistics)(run.durations)
    steps = len(run.durations)
    print(
        f"{datetime.now()}: {run.name} across {steps} steps, {mean:.3f} +/- {spread:.3f} sec / batch",
        file=out,
        flush=True,
    )
    percent = 100 * run.cpu_utilisation(threads)
    say.line(
        f"{run.name}: CPU utilisation {percent:.0f} % (process CPU time / wall time x {threads} threads); "
        f"{_power(run, options.batch_size)}"
    )


def _power(run: TimedRun, batch_size: int) -> str:
    """Mean watts, and joules an image."""
    per_image = _per_image(run, batch_size)
    return "power unknown" if per_image is None else f"{run.watts:.0f} W, {per_image:.2g} J / image"


def _per_image(run: TimedRun, batch_size: int) -> float | None:
    return None if run.joules is None else run.joules / (len(run.durations) * batch_size)


def write_json(path: str | Path, value: dict[str, Any]) -> None:
    """Writes ``value``, all of it or nothing."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")


def results(
    options: Options,
    threads: int,
    shapes: dict[str, Shape],
    estimate: int,
    runs: list[TimedRun],
    layers: dict[str, Any],
    comparisons: list[Comparison],
    interrupted: bool,
) -> dict[str, Any]:
    """The content of ``--json``: times in seconds, memory in bytes."""
    return {
        "options": asdict(options) | {"threads": threads},
        **circumstances(),
        "burn_in_steps": BURN_IN_STEPS,
        "shapes": shapes,
        "memory": {"estimate": estimate, "peak": machine.peak_memory()},
        "interrupted": interrupted,
        "runs": [
            {
                "name": run.name,
                "durations": run.durations,
                "statistics": dict(zip(("mean", "std"), statistics(run.durations), strict=True)),
                "legacy_statistics": dict(zip(("mean", "std"), legacy_statistics(run.durations), strict=True)),
                "cpu_utilisation": run.cpu_utilisation(threads),
                "watts": run.watts,
                "joules_per_image": _per_image(run, options.batch_size),
            }
            for run in runs
            if run.durations
        ],
        "layers": layers,
        "versus": [comparison.as_json() for comparison in comparisons],
    }
